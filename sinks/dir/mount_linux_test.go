package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/disktest"
)

// wholeOrNothing checks that no file under a final name is anything but the
// given contents.
func wholeOrNothing(t *testing.T, s *testSink, contents string) {
	t.Helper()
	for name, got := range s.files(t) {
		if got != contents {
			t.Errorf("%q has %d bytes, want %d", name, len(got), len(contents))
		}
	}
}

// What is left of the list of received files, when the disk has no room for it,
// takes none.
func TestMarksOnAFullDisk(t *testing.T) {
	disk := disktest.Small(t, "size=1m")
	s := openAt(t, filepath.Join(disk, "received"), func(c *Config) { c.ReceivedMaxAge, c.MinFree = config.Duration(time.Hour), 0 })
	for i := range 10 {
		s.mustSend(t, fmt.Sprint(i), "")
	}
	trimming := &s.folder.marks.trimming
	trimming.Lock() // the sink trims when it begins, which may be now
	unlock := sync.OnceFunc(trimming.Unlock)
	defer unlock()
	for i := range 6 { // most marks mean nothing any more
		must(t, os.Remove(s.abs(fmt.Sprint(i))))
	}
	if err := os.WriteFile(filepath.Join(disk, "ballast"), make([]byte, 1<<20), 0o644); !errors.Is(err, unix.ENOSPC) {
		t.Fatal("the disk is not full:", err)
	}
	unlock()
	if _, err := s.folder.marks.trim(t.Context(), s.folder); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("on the full disk: %v", err)
	}
	trimming.Lock()
	defer trimming.Unlock()
	if _, err := os.Lstat(s.abs(marksFile + ".new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

func TestDiskFull(t *testing.T) {
	tests := []struct {
		name, minFree string
		cause         error
	}{{"ENOSPC", "0", unix.ENOSPC}, {"min_free", "200000", errMinFree}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := openAt(t, filepath.Join(disktest.Small(t, "size=1m"), "received"), func(c *Config) {
				if _, err := fmt.Sscan(test.minFree, &c.MinFree); err != nil {
					t.Fatal(err)
				}
			})
			contents := strings.Repeat("x", 200_000)
			landed := 0
			var full error
			for ; full == nil && landed < 10; landed++ {
				full = s.send(fmt.Sprint(landed), contents)
			}
			if !errors.Is(full, router.ErrUnavailable) || !errors.Is(full, test.cause) {
				t.Fatalf("after %d files: %v", landed, full)
			}
			for i := range 3 {
				if err := s.send(fmt.Sprint("more", i), contents[i:]); !errors.Is(err, router.ErrUnavailable) || err.Error() != full.Error() {
					t.Errorf("on the full disk: %v, want %v", err, full)
				}
			}
			if n := s.logged("level=WARN"); n > 0 {
				t.Errorf("what the errors tell is logged as well: %s", s.log)
			}
			wholeOrNothing(t, s, contents)
			if got := s.partials(t); len(got) > 0 {
				t.Errorf("left over: %d files", len(got))
			}
			if err := os.Remove(filepath.Join(s.path, "0")); err != nil {
				t.Fatal(err)
			}
			s.mustSend(t, "more", contents)
			wholeOrNothing(t, s, contents)
		})
	}
}

func TestInodesFull(t *testing.T) {
	s := openAt(t, filepath.Join(disktest.Small(t, "size=1m,nr_inodes=12"), "received"), nil)
	var full error
	for i := 0; full == nil && i < 20; i++ {
		full = s.send(fmt.Sprint("dir/", i), "x")
	}
	if !errors.Is(full, unix.ENOSPC) || !errors.Is(full, router.ErrUnavailable) {
		t.Fatalf("without inodes: %v", full)
	}
	wholeOrNothing(t, s, "x")
	for range 3 {
		if err := s.send("dir/more", "x"); !errors.Is(err, router.ErrUnavailable) {
			t.Errorf("without inodes: %v", err)
		}
	}
	// On tmpfs a second name takes an inode as well.
	if err := errors.Join(os.Remove(filepath.Join(s.path, "dir/0")), os.Remove(filepath.Join(s.path, "dir/1"))); err != nil {
		t.Fatal(err)
	}
	s.mustSend(t, "dir/more", "x")
	wholeOrNothing(t, s, "x")
}

func TestReadOnlyRemount(t *testing.T) {
	disk := disktest.Small(t, "size=1m")
	s := openAt(t, filepath.Join(disk, "received"), nil)
	s.mustSend(t, "before", "x")
	whole := s.begin(t, "whole")
	if err := whole.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("", disk, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	for range 2 {
		if err := s.send("during", "x"); !errors.Is(err, unix.EROFS) || !errors.Is(err, router.ErrUnavailable) {
			t.Errorf("on the read-only disk: %v", err)
		}
	}
	remount(0)
	s.mustSend(t, "after", "x")
	if diff := cmp.Diff(map[string]string{"before": "x", "whole": "", "after": "x"}, s.files(t)); diff != "" {
		t.Error(diff)
	}
}

// TestPowerCut takes the power from a file system after each acknowledgement,
// and looks at what it has when it is mounted again.
func TestPowerCut(t *testing.T) {
	disk := disktest.New(t)
	path := filepath.Join(disk.Path, "new", "received") // its folders are new as well
	want := map[string]string{}
	for i := range 4 {
		s := build(t, path, nil)
		if err := s.Open(context.Background()); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("dir%d/sub/file", i)
		want[name] = strings.Repeat(fmt.Sprint(i), 100_000)
		s.mustSend(t, name, want[name])
		cut := s.begin(t, "cut")
		if _, err := cut.Write(make([]byte, directSize)); err != nil {
			t.Fatal(err)
		}
		disk.PowerOff()
		cut.Abort(errCutOff)
		_ = s.Close()
		disk.PowerOn()
		if diff := cmp.Diff(want, s.files(t)); diff != "" {
			t.Fatalf("after power cut %d (- lost, + not acknowledged): %.2000s", i, diff)
		}
	}
}
