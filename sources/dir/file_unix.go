//go:build unix

package dir

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openFlags make opening a FIFO, or a file that another program holds a lease
// on, fail or succeed at once where it would wait.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// inode returns a number that a file keeps when it is renamed and that the
// file which replaces it does not have.
func inode(info fs.FileInfo) uint64 {
	return uint64(info.Sys().(*syscall.Stat_t).Ino)
}

// busy tells whether opening a file failed because another program has it in
// a way that excludes others.
func busy(err error) bool { return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ETXTBSY) }
