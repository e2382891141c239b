// Package durable writes files and names of files so that they outlive a crash
// and a power cut.
//
//	err := durable.Replace(root, ".imbrouter/sent.jsonl", 0o644, func(w io.Writer) error {
//		_, err := io.WriteString(w, text)
//		return err
//	})
//
// Each function is there for a file in an os.Root, out of which no name and no
// symbolic link leads, and for one by its path.
package durable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"syscall"
)

// Replace writes a file name.new and gives it the name when it is on the disk.
// After an error nothing of it is left. After a crash, and after an error but for
// that of the last step, the fsync of the folder, name is what it was.
//
// What write writes is buffered. Windows replaces no open file: write is where
// the caller may still read the old one, and it has closed that when it returns.
func Replace(root *os.Root, name string, perm fs.FileMode, write func(io.Writer) error) (err error) {
	next := name + ".new"
	f, err := root.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = errors.Join(write(w), w.Flush(), f.Sync(), f.Close())
	if err == nil {
		err = root.Rename(next, name)
	}
	if err != nil {
		_ = root.Remove(next) // what there is of it takes room
		return fmt.Errorf("write %q anew: %w", name, err)
	}
	return SyncDir(root, path.Dir(name))
}

// ReplacePath is Replace by the path of the file.
func ReplacePath(path string, perm fs.FileMode, write func(io.Writer) error) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer root.Close()
	if err := Replace(root, filepath.Base(path), perm, write); err != nil {
		return fmt.Errorf("in the folder %q: %w", root.Name(), err)
	}
	return nil
}

// SyncDir makes the names in a folder survive a power cut.
func SyncDir(root *os.Root, name string) error {
	return syncDir(func() (*os.File, error) { return root.Open(name) })
}

// SyncDirPath is SyncDir by the path of the folder.
func SyncDirPath(dir string) error {
	return syncDir(func() (*os.File, error) { return os.Open(dir) })
}

func syncDir(open func() (*os.File, error)) error {
	if runtime.GOOS == "windows" {
		return nil // it has no fsync of a folder, and NTFS keeps its names in a journal
	}
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !CannotSync(err) {
		return err
	}
	return nil
}

// CannotSync tells whether an fsync has failed because the file system has none for
// what it was asked of: some, such as those of a network, flush no folders.
func CannotSync(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}
