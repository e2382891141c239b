//go:build linux || darwin

package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"

	"imbrouter/router/remedy"
)

// hasNoLinks tells whether link failed because the file system has no hard
// links: FAT says EPERM, others ENOTSUP.
func hasNoLinks(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, errors.ErrUnsupported)
}

// renameNew renames without overwriting, in one step of the kernel.
func renameNew(root *os.Root, old, new string) error {
	from, err := root.Open(path.Dir(old))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := root.Open(path.Dir(new))
	if err != nil {
		return err
	}
	defer to.Close()
	err = renameExclusive(int(from.Fd()), path.Base(old), int(to.Fd()), path.Base(new))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("the file system has neither hard links nor a rename that spares an existing file, "+
			"only if_exists = \"overwrite\" works here: %w", err)
	default:
		return &os.LinkError{Op: "rename", Old: old, New: new, Err: err}
	}
}

// hasTwoNames tells whether a file has a second hard link.
func hasTwoNames(root *os.Root, name string) bool {
	info, err := root.Lstat(name)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 1
}

func freeSpace(root *os.Root) (int64, error) {
	dir, err := root.Open(".")
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &stat); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: root.Name(), Err: err}
	}
	return int64(stat.Bavail) * int64(stat.Bsize), nil
}

var diskErrors = []diskError{
	{unix.ENOSPC, true, "make room there"},
	{unix.EDQUOT, true, "make room there, or raise the quota"},
	{unix.EROFS, false, remedy.Writable},
	{unix.EMFILE, false, remedy.OpenFiles},
	{unix.ENFILE, false, remedy.AllOpenFiles},
	{unix.EIO, false, "the disk may be failing, see the system's log"},
	{unix.ESTALE, false, "mount it again"},
}
