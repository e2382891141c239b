package dir

import (
	"errors"
	"path"

	"golang.org/x/sys/unix"
)

// renameNew renames a file unless the new name exists, which is fs.ErrExist.
func (d *folder) renameNew(from, to string) error {
	fromDir, err := d.openDir(path.Dir(from))
	if err != nil {
		return err
	}
	defer fromDir.Close()
	toDir, err := d.openDir(path.Dir(to))
	if err != nil {
		return err
	}
	defer toDir.Close()
	err = unix.Renameat2(int(fromDir.Fd()), path.Base(from), int(toDir.Fd()), path.Base(to), unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // the file system cannot
		return d.renameIfFree(from, to)
	}
	return err
}
