package dir

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

const openFlags = os.O_RDONLY

// inode returns the time of creation, which stands in for the inode number
// that a directory listing does not tell on Windows.
func inode(info fs.FileInfo) uint64 {
	return uint64(info.Sys().(*syscall.Win32FileAttributeData).CreationTime.Nanoseconds())
}

// busy tells whether opening a file failed because another program has it in
// a way that excludes others.
func busy(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}
