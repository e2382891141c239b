package dir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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
		kept        bool
	}{
		{"create", syscall.ENOSPC, true, false},
		{"create", syscall.EROFS, true, false},
		{"create", syscall.EACCES, false, false},
		{"write", syscall.EIO, true, true},
		{"write", syscall.ENOSPC, true, false},
		{"sync", syscall.EIO, true, true},
		{"sync", syscall.ENOSPC, true, false},
		{"close", syscall.EIO, true, true},
		{"publish", syscall.EACCES, false, false}, // it cannot be moved to the incomplete ones either
		{"syncdir", syscall.EIO, true, true},
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
			if log := s.log.String(); test.operation != "create" &&
				(strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, test.err.Error())) {
				t.Errorf("logged %s", log)
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
