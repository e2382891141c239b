package disktest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Small mounts a file system in memory until the test ends, with limits such as
// "size=1m" or "nr_inodes=12", and returns the path of its root.
func Small(t testing.TB, limits string) (path string) {
	t.Helper()
	needRoot(t)
	path = t.TempDir()
	if err := unix.Mount("none", path, "tmpfs", 0, limits); err != nil {
		t.Skip("no tmpfs can be mounted here:", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return path
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
}
