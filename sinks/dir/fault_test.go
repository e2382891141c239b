package dir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imbrouter/router"
)

// TestDiskFault lets each operation of the disk fail in the life of a stream.
func TestDiskFault(t *testing.T) {
	tests := []struct {
		operation   string
		err         error
		unavailable bool
		full        bool
		kept        bool
	}{
		{"create", syscall.ENOSPC, true, true, false},
		{"create", syscall.EROFS, true, false, false},
		{"create", syscall.EMFILE, true, false, false},
		{"create", syscall.EACCES, false, false, false},
		{"write", syscall.EIO, true, false, true},
		{"write", syscall.ENOSPC, true, true, false},
		{"write", syscall.EDQUOT, true, true, false},
		{"sync", syscall.EIO, true, false, true},
		{"sync", syscall.ENOSPC, true, true, false},
		{"close", syscall.EIO, true, false, true},
		{"publish", syscall.EACCES, false, false, false}, // it cannot be moved to the incomplete ones either
		{"publish", syscall.ENOSPC, true, true, false},
		{"syncdir", syscall.EIO, true, false, true},
	}
	for _, test := range tests {
		t.Run(test.operation+" "+test.err.Error(), func(t *testing.T) {
			s := open(t, nil)
			s.mustSend(t, "dir/before", "before")
			s.disk.fail(test.operation, test.err)
			before := s.disk.called("sync")
			err := s.send("dir/a", strings.Repeat("x", directSize))
			if !errors.Is(err, test.err) || errors.Is(err, router.ErrUnavailable) != test.unavailable ||
				errors.Is(err, router.ErrPermanent) {
				t.Errorf("the stream ended with %v", err)
			}
			if n := s.disk.called("sync") - before; n > 1 {
				t.Errorf("fsync was called %d times", n)
			}
			if diff := cmp.Diff(map[string]string{"dir/before": "before"}, s.files(t)); diff != "" {
				t.Error(diff)
			}
			if _, kept := s.incompletes(t)["dir%2Fa"]; kept != test.kept {
				t.Errorf("incomplete files: %v", s.incompletes(t))
			}
			if len(s.openStreams()) > 0 {
				t.Error("the stream is still open")
			}
			// Whoever gets the error tells of it; the sink, of what it could not do with a file.
			if s.logged("level=WARN") != s.logged("cleanup_error") {
				t.Errorf("logged %s", s.log)
			}
			if saysSo := strings.Contains(err.Error(), "nothing is kept"); saysSo != test.full {
				t.Errorf("the stream ended with %q", err)
			}

			s.disk.fail(test.operation, nil)
			s.mustSend(t, "dir/a", "again")
			s.sweep(s.folder)
			if got := s.partials(t); len(got) > 0 {
				t.Errorf("left over: %d files", len(got))
			}
		})
	}
}

// TestDiskFaultsReadTheSame has streams of different names, sizes and progress
// fail for one reason: a log of many must be able to tell that it is one.
func TestDiskFaultsReadTheSame(t *testing.T) {
	for _, fault := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.ESTALE, syscall.EMFILE, syscall.ENFILE} {
		s := open(t, nil)
		want := ""
		for _, operation := range []string{"create", "write", "sync", "close", "publish", "syncdir"} {
			s.disk.fail(operation, wrappedFault(operation, fault))
			err := s.send("dir/stream for "+operation, strings.Repeat("x", directSize+len(operation)))
			s.disk.fail(operation, nil)
			if err == nil {
				t.Fatalf("%v of %s: no error", fault, operation)
			}
			if want == "" {
				want = err.Error()
			}
			if err.Error() != want {
				t.Errorf("%v of %s: %q, want %q", fault, operation, err, want)
			}
		}
		if !strings.Contains(want, strconv.Quote(s.path)) || !strings.Contains(want, fault.Error()+": ") {
			t.Errorf("%q does not tell the folder, the fault and what to do", want)
		}
	}
}

// TestFaultOfRights names the folder in which rights are missing and what to do,
// in the same words for each stream; and other remedies where it is not rights.
func TestFaultOfRights(t *testing.T) {
	link := func(err error) error {
		return &os.LinkError{Op: "linkat", Old: partialDir + "/7-a", New: "sub/a", Err: err}
	}
	tests := map[string]struct {
		operation string
		err       error
		folder    string
		want      []string
	}{
		"no right to make files": {"create", &os.PathError{Op: "openat", Path: partialDir + "/7-a", Err: syscall.EACCES}, partialDir,
			[]string{"permission denied: ", "the user that runs imbrouter", "ReadWritePaths="}},
		"no right in a folder inside": {"publish", link(syscall.EACCES), "sub",
			[]string{"permission denied: ", "the user that runs imbrouter", "ReadWritePaths="}},
		"read-only":           {"publish", link(syscall.EROFS), ".", []string{"read-only file system: make it writable", "ReadWritePaths="}},
		"too many open files": {"create", syscall.EMFILE, ".", []string{"too many open files: raise LimitNOFILE=", "ulimit -n", "max_open"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			s.disk.fail(test.operation, test.err)
			err := s.send("sub/a", "text")
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range append(test.want, strconv.Quote(filepath.Join(s.path, filepath.FromSlash(test.folder)))) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if again := s.send("sub/b", "other text"); again == nil || again.Error() != err.Error() {
				t.Errorf("another stream fails with %q, not with %q", again, err)
			}
		})
	}
}

// wrappedFault is an error as package os returns it.
func wrappedFault(operation string, err error) error {
	return &os.PathError{Op: operation, Path: "some/file", Err: err}
}

// TestFaultOfAnotherDisk aborts a stream because its body cannot be read: that
// is not about the folder.
func TestFaultOfAnotherDisk(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
		s := open(t, nil)
		w := s.begin(t, "a")
		if _, err := w.Write([]byte("part")); err != nil {
			t.Fatal(err)
		}
		w.Abort(wrappedFault("read", fault))
		kept := s.incompletes(t)
		if kept["a"] != "part" || !strings.Contains(kept["a"+reasonSuffix], "whole: read some/file: ") {
			t.Errorf("kept %v", kept)
		}
		if n := s.logged("level=DEBUG"); n != 1 || s.logged(router.ErrUnavailable.Error()) > 0 {
			t.Errorf("logged %s", s.log)
		}
	}
}

// TestFullAtTheLastBytes has what was gathered of a stream not fit when it is
// cut off: the log says that nothing is kept.
func TestFullAtTheLastBytes(t *testing.T) {
	s := open(t, nil)
	w := s.begin(t, "a")
	if _, err := w.Write([]byte("gathered")); err != nil {
		t.Fatal(err)
	}
	s.disk.fail("write", syscall.ENOSPC)
	w.Abort(errCutOff)
	if log := s.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, errCutOff.Error()) ||
		!strings.Contains(log, "nothing is kept") {
		t.Errorf("logged %s", log)
	}
	if got := s.incompletes(t); len(got) > 0 {
		t.Errorf("kept %v", got)
	}
}

// TestNewFolderIsNotDurable has the fsync fail that makes a new folder
// durable: the next stream has to find it undone.
func TestNewFolderIsNotDurable(t *testing.T) {
	s := open(t, nil)
	s.disk.fail("syncdir", syscall.EIO)
	if err := s.send("new/a", "a"); !errors.Is(err, syscall.EIO) {
		t.Errorf("the stream ended with %v", err)
	}
	if _, err := os.Lstat(filepath.Join(s.path, "new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
	s.disk.fail("syncdir", nil)
	s.mustSend(t, "new/a", "a")
}

// TestFoldersAreDurable looks at which folders are fsynced before a file is
// acknowledged: those in which a name is new, or may be since a run that was
// killed after it had made it.
func TestFoldersAreDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "received")
	if err := os.MkdirAll(filepath.Join(path, "left", "over"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path, nil)
	for _, test := range []struct {
		name   string
		synced []string
	}{
		{"new/below/a", []string{".", "new", "new/below"}},
		{"new/below/b", []string{"new/below"}},
		{"new/c", []string{"new"}},
		{"new/other/d", []string{"new", "new/other"}},
		{"left/over/e", []string{".", "left", "left/over"}},
		{"left/over/f", []string{"left/over"}},
	} {
		s.disk.synced = nil
		s.mustSend(t, test.name, "")
		if diff := cmp.Diff(test.synced, s.disk.synced); diff != "" {
			t.Errorf("%q: %s", test.name, diff)
		}
	}
	for _, folder := range []string{"new", "left"} { // somebody removes and sends make them again
		if err := os.RemoveAll(filepath.Join(path, folder)); err != nil {
			t.Fatal(err)
		}
		s.disk.synced = nil
		s.mustSend(t, folder+"/again", "")
		if diff := cmp.Diff([]string{".", folder}, s.disk.synced); diff != "" {
			t.Errorf("%q: %s", folder, diff)
		}
	}
}

// TestNoHardLinks lands files by a rename, as on FAT.
func TestNoHardLinks(t *testing.T) {
	s := open(t, nil)
	s.folder.disk = linklessDisk{s.folder.disk, s.folder.root}
	for _, contents := range []string{"1", "2", "3"} {
		s.mustSend(t, "a.csv", contents)
	}
	s.begin(t, "b").Abort(errCutOff)
	if diff := cmp.Diff(map[string]string{"a.csv": "1", "a.2.csv": "2", "a.3.csv": "3"}, s.files(t)); diff != "" {
		t.Error(diff)
	}
	if got := s.partials(t); len(got) > 0 {
		t.Errorf("left over: %v", got)
	}
	if _, kept := s.incompletes(t)["b"]; !kept {
		t.Error("the incomplete file is not kept")
	}
}

type linklessDisk struct {
	disk
	root *os.Root
}

func (d linklessDisk) Publish(partial, name string) error { return renameNew(d.root, partial, name) }

// TestOverwriteIsNotDurable cannot have back what it has overwritten, but
// reports that it may not last.
func TestOverwriteIsNotDurable(t *testing.T) {
	s := open(t, func(c *Config) { c.IfExists = "overwrite" })
	s.mustSend(t, "a", "1")
	s.disk.fail("syncdir", syscall.EIO)
	if err := s.send("a", "2"); !errors.Is(err, router.ErrUnavailable) {
		t.Errorf("the stream ended with %v", err)
	}
	if diff := cmp.Diff(map[string]string{"a": "2"}, s.files(t)); diff != "" {
		t.Error(diff)
	}
}

func TestOverwriteSparesFolders(t *testing.T) {
	s := open(t, func(c *Config) { c.IfExists = "overwrite" })
	s.mustSend(t, "a/b", "1")
	if err := s.send("a", "2"); err == nil {
		t.Error("a file overwrote a folder")
	}
	if diff := cmp.Diff(map[string]string{"a/b": "1"}, s.files(t)); diff != "" {
		t.Error(diff)
	}
}

// TestLeftOversOfFaults has what a failed stream left removed once that works.
func TestLeftOversOfFaults(t *testing.T) {
	s := open(t, nil)
	w := s.begin(t, "a")
	if _, err := w.Write(make([]byte, directSize)); err != nil {
		t.Fatal(err)
	}
	s.disk.fail("publish", syscall.EROFS)
	w.Abort(errCutOff)
	if got := s.partials(t); len(got) != 1 {
		t.Fatalf("there are %d partial files", len(got))
	}
	if log := s.log.String(); !strings.Contains(log, "cleanup_error") {
		t.Errorf("logged %s", log)
	}
	s.disk.fail("publish", nil)
	open := s.begin(t, "b") // must not be swept
	s.sweep(s.folder)
	if got := len(s.partials(t)); got != 1 {
		t.Errorf("there are %d partial files", got)
	}
	if _, kept := s.incompletes(t)["a"]; !kept {
		t.Error("the file is not among the incomplete ones")
	}
	if err := open.Commit(context.Background()); err != nil {
		t.Error(err)
	}
}
