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
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), offset, size, unix.SYNC_FILE_RANGE_WRITE)
	})
}

// writePast writes at the place where f is, and has the kernel let go of that part
// of its cache when the disk has it, which begins at once. Kernels before 6.14 and
// some file systems cannot; then, and after any other error, which the next write
// meets as well, it returns false.
func writePast(f *os.File, p []byte) (n int, ok bool) {
	for n < len(p) {
		k, err := unix.Pwritev2(int(f.Fd()), [][]byte{p[n:]}, -1, unix.RWF_DONTCACHE)
		switch {
		case err == unix.EINTR:
		case err != nil || k == 0:
			return n, false
		default:
			n += k
		}
	}
	return n, true
}
