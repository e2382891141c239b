package dir

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openWriters asks the kernel for a read lease, which it grants only when no
// process has the file open for writing, and gives it back at once. A writer
// that opens the file in between waits for that moment.
//
// Nothing is known of files of another user without CAP_LEASE (EACCES), on
// file systems without leases (EINVAL, ENOLCK), and on network file systems,
// where writers on other machines do not count.
func openWriters(f *os.File) writers {
	conn, err := f.SyscallConn()
	if err != nil {
		return unknownWriters
	}
	answer := unknownWriters
	_ = conn.Control(func(fd uintptr) {
		var fs unix.Statfs_t
		if unix.Fstatfs(int(fd), &fs) != nil || networkFileSystem(uint32(fs.Type)) {
			return
		}
		switch _, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); {
		case err == nil:
			answer = noWriter
			_, _ = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
		case errors.Is(err, unix.EAGAIN):
			answer = someWriter
		}
	})
	return answer
}
