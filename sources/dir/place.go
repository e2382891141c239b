package dir

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// dirPerm is the mode of folders that are made here, less the umask.
const dirPerm = 0o777

// place moves a file to the path name below the folder base, and makes the
// folders in between. It overwrites nothing: a name that exists gets a number.
// It returns the path that the file has then.
func (d *folder) place(from, base, name string) (string, error) {
	d.names.RLock()
	defer d.names.RUnlock()
	// As a rule the folder is there, and the name free. Folders in between are left to
	// makeDirs, which takes no symbolic link for one.
	if path.Dir(name) == "." {
		to := path.Join(base, name)
		err := d.renameNew(from, to)
		if err == nil || !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return to, err
		}
	}
	into, err := d.makeDirs(base, path.Dir(name))
	if err != nil {
		return "", err
	}
	for {
		to := path.Join(into, d.freeName(into, path.Base(name)))
		err := d.renameNew(from, to)
		if !errors.Is(err, fs.ErrExist) {
			return to, err
		}
	}
}

// makeDirs makes the folder dir below the folder base, with those in between,
// and returns its path. One whose name a file has taken gets a number, as a
// file would; base does not, or files would be lost sight of.
func (d *folder) makeDirs(base, dir string) (string, error) {
	if err := d.makeFolder(base); err != nil {
		return "", err
	}
	if dir == "." {
		return base, nil
	}
	made := base
	for part := range strings.SplitSeq(dir, "/") {
		for n := 1; ; n++ {
			next := path.Join(made, numbered(part, n))
			err := d.mkdir(next)
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return "", err
			}
			if info, statErr := d.root.Lstat(next); err == nil || (statErr == nil && info.IsDir()) {
				made = next
				break
			}
		}
	}
	return made, nil
}

// makeFolder makes a folder of the layout, and those above it, where they are
// missing. A file in the place of one shows with the first use.
func (d *folder) makeFolder(name string) error {
	made := "."
	for part := range strings.SplitSeq(name, "/") {
		made = path.Join(made, part)
		if err := d.mkdir(made); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// mkdir makes a folder whose name survives a power cut.
func (d *folder) mkdir(name string) error {
	if err := d.root.Mkdir(name, dirPerm); err != nil {
		return err
	}
	return d.sync(path.Dir(name))
}

// freeName returns name if the folder has no such entry, or else with the
// first number that is free. It takes few looks also where thousands are taken.
func (d *folder) freeName(dir, name string) string {
	taken := func(n int) bool {
		_, err := d.root.Lstat(path.Join(dir, numbered(name, n)))
		return err == nil
	}
	low, high := 0, 1 // low is taken, high is free
	for taken(high) {
		low, high = high, 2*high
	}
	for low+1 < high {
		if middle := (low + high) / 2; taken(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return numbered(name, high)
}

// maxName is the length, in bytes, of the longest file name that file systems take.
const maxName = 255

// maxExtension is the length, in bytes, of what still counts as an extension.
const maxExtension = 32

// numbered puts a number before a name's extension: report.csv is the first,
// report.2.csv the second. A name that gets too long loses bytes before it.
func numbered(name string, n int) string {
	if n == 1 {
		return name
	}
	ext := path.Ext(name)
	if len(ext) > maxExtension {
		ext = ""
	}
	return lengthened(strings.TrimSuffix(name, ext), "."+strconv.Itoa(n)+ext)
}

// lengthened appends to a name, which loses bytes where both are too long.
func lengthened(name, suffix string) string {
	if room := max(maxName-len(suffix), 0); len(name) > room {
		name = strings.ToValidUTF8(name[:room], "")
	}
	return name + suffix
}

// createNew makes a file in a folder, under a name that gets a number when it exists.
func (d *folder) createNew(dir, name string) (*os.File, error) {
	for {
		f, err := d.root.OpenFile(path.Join(dir, d.freeName(dir, name)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}
