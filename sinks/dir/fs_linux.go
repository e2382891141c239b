package dir

import (
	"os"

	"golang.org/x/sys/unix"
)

func renameExclusive(fromDir int, from string, toDir int, to string) error {
	return unix.Renameat2(fromDir, from, toDir, to, unix.RENAME_NOREPLACE)
}

// startWriting makes the kernel begin to write a part of a file to its disk. It
// does not take the errors of that away from the fsync that comes after, as one that
// waits would.
func startWriting(f *os.File, offset, size int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, size, unix.SYNC_FILE_RANGE_WRITE)
}

// dropCached makes the kernel let go of what it caches of a part of a file, of some
// bytes at least, and is on the disk. What is not, it keeps.
func dropCached(f *os.File, offset, size int64) {
	_ = unix.Fadvise(int(f.Fd()), offset, size, unix.FADV_DONTNEED)
}
