package dir

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// take moves a file out of the input, into staging, and returns its path
// there. It is exactly the version v: whatever else the path names, or comes
// to name while it is moved, stays or is put back, and the error is
// errChanged; fs.ErrNotExist when the path is gone. A file that a crash leaves
// in staging is put back at the next start, so that it can never pass for one
// that was sent.
func (d *folder) take(name string, v version) (staged string, err error) {
	now, err := d.version(name)
	if err != nil {
		return "", err
	}
	if now != v {
		return "", errChanged
	}
	if staged, err = d.place(name, stagedDir, name); err != nil {
		return "", err
	}
	now, err = d.version(staged)
	if err == nil && now != v {
		err = errChanged
	}
	if err != nil {
		d.undo(staged)
		return "", err
	}
	return staged, nil
}

// moveAway moves exactly the version v of an input file to the folder base,
// under its relative path, and returns its path there. When that fails the
// file is back in its place, or under the path that is returned with the error
// if it is not "". For errors see take.
func (d *folder) moveAway(name string, v version, base string) (to string, err error) {
	staged, err := d.take(name, v)
	if err != nil {
		return "", err
	}
	step("staged")
	if to, err = d.place(staged, base, name); err != nil {
		return d.undo(staged), err
	}
	return to, nil
}

// remove deletes exactly the version v of an input file, with errors like moveAway.
func (d *folder) remove(name string, v version) (back string, err error) {
	staged, err := d.take(name, v)
	if err != nil {
		return "", err
	}
	step("staged")
	if err = d.root.Remove(staged); err != nil {
		return d.undo(staged), err
	}
	return "", nil
}

// undo is putBack after something failed. It returns "" when it fails as well:
// then the file stays in staging until the next start.
func (d *folder) undo(staged string) (back string) {
	back, err := d.putBack(staged)
	if err != nil {
		d.log.Error("a file that was to be moved away is stuck; it is put back at the next start", "path", staged, "error", err)
	}
	return back
}

// putBack makes a file in staging input again and returns its name, which is
// another one when its own has been taken meanwhile.
func (d *folder) putBack(staged string) (string, error) {
	name := strings.TrimPrefix(staged, stagedDir+"/")
	back, err := d.place(staged, ".", name)
	if err != nil {
		return "", fmt.Errorf("move %q back into the folder: %w", staged, err)
	}
	return back, nil
}

// restoreStaged puts back what a crash left in staging.
func (d *folder) restoreStaged() error {
	err := fs.WalkDir(d.root.FS(), stagedDir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		back, err := d.putBack(name)
		if err == nil {
			d.log.Warn("the program ended while this file was moved away; it is sent again", "path", back)
		}
		return err
	})
	if err == nil {
		err = d.root.RemoveAll(stagedDir) // the empty folders
	}
	if err != nil {
		return fmt.Errorf("restore what was left in %q: %w", filepath.Join(d.path, stagedDir), err)
	}
	return nil
}
