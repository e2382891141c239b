package journal_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"imbrouter/router/disktest"
	"imbrouter/router/journal"
)

// A device has no end, and opening a pipe would wait.
func TestNoRegularFile(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a device": func(path string) error { return os.Symlink("/dev/full", path) },
		"a pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			path := pathIn(t)
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			_, openErr := journal.Open(path, journal.Options{})
			readErr := errors.New("nothing came")
			for _, readErr = range journal.Read(t.Context(), path, journal.Filter{}) {
				break
			}
			for _, err := range []error{openErr, readErr} {
				if err == nil || !strings.Contains(err.Error(), "is no regular file") {
					t.Errorf("gives %v", err)
				}
			}
		})
	}
}

// What does not fit is told of and leaves nothing behind, and when there is room
// again it goes on.
func TestDiskFull(t *testing.T) {
	disk := disktest.Small(t, "size=256k")
	path := journal.Path(disk, "router.toml")
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 128<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]journal.Options{"one file": {MaxSize: 1 << 20}, "rotating": {MaxSize: 10_000, MaxFiles: 100}} {
		t.Run(name, func(t *testing.T) {
			j := open(t, path, o)
			before, _ := read(t, path, journal.Filter{})
			appended := len(before)
			write := func(size int) error {
				// Two: the first may fit, and is not to stay alone.
				long := journal.Record{Outcome: journal.Sent, Name: strings.Repeat("x", size)}
				err := j.Append(t.Context(), long, long)
				if err == nil {
					appended += 2
				}
				return err
			}
			check := func(when string) {
				t.Helper()
				if records, damaged := read(t, path, journal.Filter{}); len(records) != appended || len(damaged) > 0 {
					t.Errorf("%s: %d records, want %d; damage %q", when, len(records), appended, damaged)
				}
			}
			var err error
			for err == nil {
				err = write(3000)
			}
			if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), path) {
				t.Fatalf("on the full disk: %v", err)
			}
			check("full")
			for range 5 {
				_ = write(3000)
				_ = write(10)
			}
			check("still full")
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			if err := write(3000); err != nil {
				t.Errorf("with room again: %v", err)
			}
			check("room again")
			if err := j.Close(); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(ballast, make([]byte, 64<<10), 0o600); err != nil {
				t.Log(err) // it was almost full
			}
		})
	}
}

// A file that cannot be renamed goes on, until it can.
func TestRotationThatFails(t *testing.T) {
	path := pathIn(t)
	written(t, path, "first")
	allow := refuseRename(t, path)
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		j := open(t, path, journal.Options{MaxSize: 1000, MaxFiles: 100, Log: slog.New(slog.NewTextHandler(&log, nil))})
		want := []string{"first"}
		more := func() {
			for range 50 {
				want = append(want, fmt.Sprint(len(want)))
				appendNamed(t, j, want[len(want)-1])
			}
		}
		more()
		time.Sleep(2 * time.Minute)
		more()
		wantNames(t, path, want...)
		if files := filesBeside(t, path); len(files) != 2 { // with the lock
			t.Errorf("files: %q", files)
		}
		if strings.Count(log.String(), "level=ERROR") != 1 || !strings.Contains(log.String(), "cannot go on in another file") {
			t.Errorf("log:\n%s", &log)
		}
		allow()
		time.Sleep(2 * time.Minute)
		more()
		wantNames(t, path, want...)
		if info, err := os.Stat(path); err != nil || info.Size() > 1000 {
			t.Errorf("the current file: %v, %v", info, err)
		}
		if strings.Count(log.String(), "goes on in another file again") != 1 {
			t.Errorf("log:\n%s", &log)
		}
	})
}

// refuseRename makes it impossible to rename a file until allow is called.
func refuseRename(t *testing.T, path string) (allow func()) {
	t.Helper()
	if os.Getuid() == 0 { // whom no permission binds
		if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
			t.Skip("no file can be mounted here:", err)
		}
		allow = func() { _ = unix.Unmount(path, unix.MNT_DETACH) }
	} else {
		dir := filepath.Dir(path)
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		allow = func() { _ = os.Chmod(dir, 0o755) }
	}
	t.Cleanup(allow)
	return allow
}
