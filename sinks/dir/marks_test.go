package dir

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/router/config"
	"imbrouter/router/retention"
)

// aMoment is an age that everything has at once.
const aMoment = config.Duration(time.Nanosecond)

func removesAll(c *Config) { c.ReceivedMaxAge = aMoment }

// openTrimmed opens a sink that removes all it has received, and has done so at its
// start. It looks again after a time longer than a test, or when trimNow is called.
func openTrimmed(t *testing.T, path string) *testSink {
	t.Helper()
	s := openAt(t, path, func(c *Config) { c.ReceivedMaxAge = config.Duration(time.Hour) })
	s.mustSend(t, "of the run before", "1")
	must(t, s.Close())
	s = openAt(t, path, removesAll)
	waitFor(t, "the sink has looked for old files", func() bool { return s.logged("old files removed") == 1 })
	return s
}

// trimNow removes old files as the sink does at its intervals.
func (s *testSink) trimNow(t testing.TB) retention.Removed {
	t.Helper()
	removed, err := s.folder.marks.trim(context.Background(), s.folder)
	if err != nil {
		t.Error(err)
	}
	return removed
}

func (s *testSink) abs(name string) string { return filepath.Join(s.path, filepath.FromSlash(name)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestReceivedMaxAge has files of which the sink cannot know that they are done
// with.
func TestReceivedMaxAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "received")
	s := openAt(t, path, nil)
	s.mustSend(t, "before the limit", "1")
	must(t, s.Close())
	s = openTrimmed(t, path)
	for _, name := range []string{"a", "b/c/d", "b/e", "moved", "changed", "replaced"} {
		s.mustSend(t, name, "received")
	}
	must(t, os.WriteFile(s.abs("by hand"), []byte("mine"), 0o644))
	must(t, os.WriteFile(s.abs("b/by hand"), []byte("mine"), 0o644))
	must(t, os.Rename(s.abs("moved"), s.abs("kept")))
	must(t, os.WriteFile(s.abs("changed"), []byte("changed by hand"), 0o644))
	must(t, os.Remove(s.abs("replaced")))
	must(t, os.WriteFile(s.abs("replaced"), []byte("replaced"), 0o644)) // of the same size
	open := s.begin(t, "open")
	s.begin(t, "cut off").Abort(errCutOff)

	if removed := s.trimNow(t); removed.Files != 3 || removed.Size != 24 {
		t.Errorf("removed %+v", removed)
	}
	must(t, open.Commit(context.Background()))
	want := map[string]string{
		"before the limit": "1", "kept": "received", "changed": "changed by hand", "replaced": "replaced",
		"by hand": "mine", "b/by hand": "mine", "open": "",
	}
	if diff := cmp.Diff(want, s.files(t)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(s.abs("b/c")); err == nil {
		t.Error("an empty folder is left")
	}
	if len(s.incompletes(t)) != 2 {
		t.Errorf("incomplete are %v", s.incompletes(t))
	}
}

// TestReceivedOverRestarts has the marks of one run count in the next.
func TestReceivedOverRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "received")
	limit := func(size config.Size) func(*Config) { return func(c *Config) { c.ReceivedMaxSize = size } }
	s := openAt(t, path, limit(1000))
	for i := range 5 {
		s.mustSend(t, fmt.Sprint("f/", i), "0123456789")
	}
	must(t, s.Close())
	// A crash cut off the last mark.
	marks, err := os.OpenFile(s.abs(marksFile), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = marks.WriteString("half")
	must(t, err)
	must(t, marks.Close())

	s = openAt(t, path, limit(25))
	waitFor(t, "files are removed at the start", func() bool { return s.logged("old files removed") == 1 })
	s.trimNow(t) // waits for the other
	s.mustSend(t, "f/5", "0123456789")
	s.trimNow(t)
	must(t, s.Close())
	if got := s.files(t); len(got) != 2 || got["f/4"] == "" || got["f/5"] == "" {
		t.Errorf("left are %v", got)
	}
	// The marks of what is gone are gone, and the others count.
	if info, err := os.Stat(s.abs(marksFile)); err != nil || info.Size() > 3*markSize {
		t.Errorf("%v, %v", info.Size(), err)
	}
	s = openAt(t, path, limit(1))
	waitFor(t, "all are removed", func() bool { return s.logged("old files removed") == 1 })
	if got := s.files(t); len(got) > 0 {
		t.Errorf("left are %v", got)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// TestDamagedMarks has marks that mean nothing: nothing is removed for them.
func TestDamagedMarks(t *testing.T) {
	s := openTrimmed(t, filepath.Join(t.TempDir(), "received"))
	s.mustSend(t, "a", "1")
	must(t, os.WriteFile(s.abs(marksFile), make([]byte, 1000), 0o644))
	if removed := s.trimNow(t); removed.Files != 0 {
		t.Errorf("removed %+v", removed)
	}
	// What comes after them counts.
	s.mustSend(t, "b", "1")
	if removed := s.trimNow(t); removed.Files != 1 {
		t.Errorf("removed %+v", removed)
	}
}

// TestMarkCannotBeWritten has a file received although it cannot be noted.
func TestMarkCannotBeWritten(t *testing.T) {
	s := open(t, removesAll)
	must(t, os.Mkdir(s.abs(marksFile), 0o755))
	s.mustSend(t, "a", "1")
	if s.logged("a received file is not noted") != 1 {
		t.Errorf("logged %s", s.log)
	}
	must(t, os.Remove(s.abs(marksFile)))
	if removed := s.trimNow(t); removed.Files != 0 {
		t.Errorf("removed %+v", removed)
	}
}

// TestTrimWhileStreamsLand has the folders of files that land removed all the
// time. No stream may fail for that, and nobody takes one file for another.
func TestTrimWhileStreamsLand(t *testing.T) {
	for _, policy := range []string{ifExistsRename, ifExistsOverwrite} {
		t.Run(policy, func(t *testing.T) {
			s := open(t, func(c *Config) { removesAll(c); c.IfExists = policy })
			ctx, cancel := context.WithCancel(t.Context())
			var trimming, sending sync.WaitGroup
			files := 0
			trimming.Go(func() {
				for ctx.Err() == nil {
					files += s.trimNow(t).Files
				}
			})
			for i := range 4 {
				sending.Go(func() {
					for n := range 50 {
						if err := s.send(fmt.Sprintf("a/%d/b", n%2), fmt.Sprint(i, n)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			sending.Wait()
			cancel()
			trimming.Wait()
			if files == 0 {
				t.Error("nothing was removed meanwhile")
			}
			s.trimNow(t)
			if got := s.files(t); len(got) > 0 {
				t.Errorf("left are %v", got)
			}
		})
	}
}

// TestMovedFolderIsLeftAlone has the whole folder moved away, to be kept.
func TestMovedFolderIsLeftAlone(t *testing.T) {
	s := openTrimmed(t, filepath.Join(t.TempDir(), "received"))
	s.mustSend(t, "a", "1")
	must(t, os.Rename(s.path, s.path+".kept"))
	if removed := s.trimNow(t); removed.Files != 0 {
		t.Errorf("removed %+v", removed)
	}
	must(t, os.RemoveAll(s.path+".kept"))
	if removed := s.trimNow(t); removed.Files != 0 {
		t.Errorf("removed %+v", removed)
	}
}

// TestTrimInterval has the sink look again after a time.
func TestTrimInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, func(c *Config) { c.ReceivedMaxSize = 1 })
		synctest.Wait()
		s.mustSend(t, "a", "12")
		time.Sleep(retention.Interval - time.Second)
		synctest.Wait()
		if got := s.files(t); len(got) != 1 {
			t.Errorf("early there is %v", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := s.files(t); len(got) != 0 {
			t.Errorf("late there is %v", got)
		}
		must(t, s.Close())
	})
}

// TestReceivedLinks has links where files were received.
func TestReceivedLinks(t *testing.T) {
	s := openTrimmed(t, filepath.Join(t.TempDir(), "received"))
	s.mustSend(t, "a/b", "1")
	outside := t.TempDir()
	must(t, os.Rename(s.abs("a"), filepath.Join(outside, "a")))
	if err := os.Symlink(filepath.Join(outside, "a"), s.abs("a")); err != nil {
		t.Skip("there are no links here: ", err)
	}
	if removed := s.trimNow(t); removed.Files != 0 {
		t.Errorf("removed %+v", removed)
	}
	if _, err := os.Stat(filepath.Join(outside, "a/b")); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(s.abs("a")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
}
