package dir

import (
	"errors"
	"fmt"
	"io/fs"
)

// renameIfFree is renameNew where the system cannot do both in one step. A
// program that makes the new name in between loses its file; only imbrouter
// has business in the folders where files are moved to.
func (d *folder) renameIfFree(from, to string) error {
	if _, err := d.root.Lstat(to); err == nil {
		return fmt.Errorf("rename to %q: %w", to, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.root.Rename(from, to)
}
