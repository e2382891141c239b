package dir

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLargeFilesLeaveTheCache has the system keep nothing of a large file in its
// cache, and all of a small one.
func TestLargeFilesLeaveTheCache(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var fs unix.Statfs_t
	if err := unix.Statfs(root.Name(), &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type == unix.TMPFS_MAGIC {
		t.Skip("a file system in memory has no disk to which files could go from the cache")
	}
	for name, size := range map[string]int64{"small": stretch, "large": 4 * stretch} {
		created, err := rootDisk{root}.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		f := created.(*partialFile)
		defer f.Close()
		piece := make([]byte, 64<<10)
		for f.size < size {
			if _, err := f.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		var stat unix.Cachestat_t
		if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &stat, 0); err != nil {
			t.Skip("the kernel does not tell what it caches:", err)
		}
		cached := int64(stat.Cache) * int64(os.Getpagesize())
		if name == "small" && cached < size || name == "large" && cached > stretch {
			t.Errorf("of a %s file of %d bytes %d are in the cache", name, size, cached)
		}
	}
}
