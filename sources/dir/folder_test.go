package dir

import (
	"fmt"
	"log/slog"
	"os"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"

	"imbrouter/router"
)

func routerEnv() router.Env {
	return router.Env{Name: "other", Log: slog.New(slog.DiscardHandler)}
}

func TestOpenMakesTheFolder(t *testing.T) {
	d := newDrop(t)
	d.must(os.Remove(d.path))
	d.config.Path += "/new/one"
	d.build()
	d.must(d.source.Open(t.Context()))
	d.must(d.source.Close())
	for _, dir := range []string{"", "sent", "failed", ".imbrouter"} {
		if info, err := os.Stat(path.Join(d.config.Path, dir)); err != nil || !info.IsDir() {
			t.Errorf("%q: %v", dir, err)
		}
	}
}

// Fault 13.
func TestFolderIsLocked(t *testing.T) {
	d := newDrop(t)
	d.must(d.source.Open(t.Context()))
	other, err := d.config.Build(routerEnv())
	d.must(err)
	err = other.(*Source).Open(t.Context())
	want := fmt.Sprintf("%q is locked by pid %d: another imbrouter watches it", d.path, os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("the second Open returned %v, want %s", err, want)
	}
	d.must(d.source.Close())
	d.must(other.(*Source).Open(t.Context()))
	d.must(other.(*Source).Close())
}

// A source that looks whether a folder is watched has its lock for a moment. That
// stops no other one.
func TestFolderIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.must(os.Mkdir(d.abs(ownDir), 0o755))
		look := flock.New(d.abs(lockFile))
		d.must(look.RLock())
		time.AfterFunc(lockPatience/2, func() { _ = look.Close() })
		d.must(d.source.Open(t.Context()))
		d.must(d.source.Close())
	})
}

// Two sources on folders of which one moves its files into the other, whichever
// comes first. Another folder inside of a watched one is free.
func TestFolderInAnother(t *testing.T) {
	for _, test := range []struct{ inner, want string }{
		{"sent", "belongs to the source"},
		{"failed/deeper", "belongs to the source"},
		{".imbrouter/incomplete", "belongs to the source"},
		{"sub", ""},
	} {
		outer := newDrop(t)
		inner := newDrop(t)
		inner.config.Path = outer.abs(test.inner)
		inner.build()
		outer.must(outer.source.Open(t.Context()))
		err := inner.source.Open(t.Context())
		if test.want == "" {
			inner.must(err)
			inner.must(inner.source.Close())
		} else if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", outer.path)) {
			t.Errorf("Open of %s returned %v", test.inner, err)
		}
		outer.must(outer.source.Close())
		inner.must(inner.source.Open(t.Context())) // nobody has it now
		err = outer.source.Open(t.Context())
		if test.inner == "sent" {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another source watches %q", inner.config.Path)) {
				t.Errorf("Open around %s returned %v", test.inner, err)
			}
		} else {
			outer.must(err)
			outer.must(outer.source.Close())
		}
		inner.must(inner.source.Close())
	}
}

func TestFolderThatCannotBeMovedTo(t *testing.T) {
	for _, dir := range []string{"sent", "failed"} {
		d := newDrop(t)
		d.write(dir, "a file")
		err := d.source.Open(t.Context())
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("cannot write to folder %q", d.abs(dir))) {
			t.Errorf("Open returned %v", err)
		}
		d.must(os.Remove(d.abs(dir)))
		d.must(d.source.Open(t.Context())) // it left no lock behind
		d.must(d.source.Close())
	}
}

func TestNumberedNames(t *testing.T) {
	long := strings.Repeat("n", 250)
	for _, test := range []struct {
		name string
		n    int
		want string
	}{
		{"report.csv", 1, "report.csv"},
		{"report.csv", 2, "report.2.csv"},
		{"report.csv", 300, "report.300.csv"},
		{"report", 2, "report.2"},
		{"a.tar.gz", 2, "a.tar.2.gz"},
		{long + ".csv", 22, long[:248] + ".22.csv"},
		{strings.Repeat("é", 125) + ".csv", 2, strings.Repeat("é", 124) + ".2.csv"},
		{"x." + long, 2, "x." + long + ".2"},
	} {
		if got := numbered(test.name, test.n); got != test.want {
			t.Errorf("numbered(%q, %d) = %q, want %q", test.name, test.n, got, test.want)
		}
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.write("sent/gap.2", "there is no gap.3")
		d.write("sent/gap", "")
		d.start()
		for i := range 5 {
			d.write("a/report.csv", fmt.Sprint(i))
			wait(time.Second)
		}
		d.write("gap", "new")
		wait(time.Second)
		d.expectTree("sent/a/report.csv=0", "sent/a/report.2.csv=1", "sent/a/report.3.csv=2", "sent/a/report.4.csv=3", "sent/a/report.5.csv=4",
			"sent/gap=", "sent/gap.2=there is no gap.3", "sent/gap.3=new")
	})
}

// A folder in the input may have the name that a file had, and the reverse.
func TestFoldersAndFilesOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.start()
		d.write("x", "file")
		wait(time.Second)
		d.write("x/y", "in a folder")
		wait(time.Second)
		d.must(os.RemoveAll(d.abs("x")))
		d.write("x", "file again")
		wait(time.Second)
		d.expectTree("sent/x=file", "sent/x.2/y=in a folder", "sent/x.3=file again")
	})
}

// A file in the place of sent must not make another folder of it, which would
// be input.
func TestFileInThePlaceOfSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.start()
		wait(time.Second)
		d.must(os.Remove(d.abs(sentDir)))
		d.write(sentDir, "in the way")
		d.write("a/f", "text")
		wait(time.Minute)
		d.expectSent("a/f=text")
		d.expectTree("a/f=text", "sent=in the way")
		d.expectLog(1, "level=ERROR", "was sent, but cannot be put away", d.abs(sentDir), "both must be folders", "count=1\n")
		d.must(os.Remove(d.abs(sentDir)))
		wait(11 * time.Second)
		d.expectSent("a/f=text")
		d.expectTree("sent/a/f=text")
	})
}

func TestLongNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.sink.onHeader = func(info router.StreamInfo) error {
			if info.Size == 0 {
				return router.Permanent(os.ErrInvalid)
			}
			return nil
		}
		name := strings.Repeat("l", 251) + ".csv"
		d.start()
		for range 2 {
			d.write(name, "text")
			wait(time.Second)
		}
		d.write(name, "")
		wait(time.Second)
		tree := d.tree()
		if len(tree) != 4 || len(d.sink.got()) != 2 {
			t.Errorf("the folder holds %q", tree)
		}
	})
}

func TestDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.config.After = afterDelete
		d.build()
		d.write("a/f", "text")
		d.start()
		wait(time.Second)
		d.expectSent("a/f=text")
		d.expectTree()
		if _, err := os.Stat(d.abs(sentDir)); err == nil {
			t.Error("a folder sent was made")
		}
	})
}

// A file is as safe from a power cut as the names of all the folders above it.
func TestNewFoldersAreFlushed(t *testing.T) {
	d := newDrop(t)
	d.must(d.source.Open(t.Context()))
	defer d.source.Close()
	folder := d.source.folder
	flushed := map[string]bool{}
	folder.flush = func(f *os.File) error {
		flushed[strings.TrimPrefix(f.Name(), d.path+"/")] = true
		return nil
	}
	d.write("a/b/f", "text")
	d.must(os.Remove(d.abs(sentDir)))
	v, err := folder.version("a/b/f")
	d.must(err)
	_, err = folder.moveAway("a/b/f", v, sentDir)
	d.must(err)
	for _, dir := range []string{".", "sent", "sent/a"} {
		if !flushed[dir] {
			t.Errorf("a folder was made in %q, which was not flushed: %v", dir, flushed)
		}
	}
}

// A version that replaces another between the last look and the move must not
// be taken for it. The replacement is made in the middle of take.
func TestTakeTakesOnlyTheVersionThatWasSent(t *testing.T) {
	d := newDrop(t)
	d.must(d.source.Open(t.Context()))
	defer d.source.Close()
	folder := d.source.folder

	d.write("f", "sent")
	v, err := folder.version("f")
	d.must(err)
	d.replace("f", "new")
	if _, err := folder.take("f", v); err != errChanged {
		t.Errorf("take of another version returned %v", err)
	}
	d.expectTree("f=new")

	// As if the new version had come between the look and the move.
	staged, err := folder.place("f", stagedDir, "f")
	d.must(err)
	d.write("f", "newer")
	if back := folder.undo(staged); back != "f.2" {
		t.Errorf("put back as %q", back)
	}
	d.expectTree("f=newer", "f.2=new")
}
