package dir

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLargeFilesLeaveTheCache has a large file take no more of the system's cache
// than a small one.
func TestLargeFilesLeaveTheCache(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	created, err := rootDisk{root}.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	f := created.(*partialFile)
	defer f.Close()
	piece := make([]byte, 64<<10)
	for range 4 * passSize / len(piece) {
		if _, err := f.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if !f.passes {
		t.Skip("the kernel or the file system cannot write past the cache: that takes Linux 6.14 or later, and such as ext4 or XFS")
	}
	cached := func() int64 {
		var stat unix.Cachestat_t
		if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &stat, 0); err != nil {
			t.Skip("the kernel does not tell what it caches:", err)
		}
		return int64(stat.Cache) * int64(os.Getpagesize())
	}
	const most = 2 * passSize // that of a small file, and what the disk was slow to take
	for begun := time.Now(); cached() > most; time.Sleep(time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("%d bytes of a file of %d are in the cache", cached(), f.size)
		}
	}
}
