package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"

	"imbrouter/router"
)

// maxTries is how many names are tried, one after the other, that others may
// have taken.
const maxTries = 1000

// maxDurable is how many folders are remembered as durable. Beyond it they are
// fsynced once more.
const maxDurable = 4096

// errSkipped says that a file exists and the policy is to leave it.
var errSkipped = errors.New("a file of that name exists")

// land gives a synced partial file the name of its stream's turn, under the
// policy of if_exists, and makes the name durable. It returns the name that it
// has got. errSkipped and errOvertaken say that another file has it by right.
func (f *folder) land(partial string, t *turn, ifExists string) (string, error) {
	f.names.RLock()
	defer f.names.RUnlock()
	info, err := f.root.Lstat(partial)
	if err != nil {
		return "", err
	}
	name, err := f.giveName(partial, t, ifExists)
	if err == nil {
		f.marks.add(name, info)
	}
	return name, err
}

// giveName is land, without a mark. f.names is held for reading.
func (f *folder) giveName(partial string, t *turn, ifExists string) (string, error) {
	name, err := f.makeParents(t.name)
	if err != nil {
		return "", err
	}
	if ifExists == ifExistsOverwrite {
		return name, t.overwrite(func() error { return f.overwrite(partial, name) })
	}
	err = f.disk.Publish(partial, name)
	if errors.Is(err, fs.ErrExist) {
		switch ifExists {
		case ifExistsSkip:
			return name, errSkipped
		case ifExistsFail:
			return "", router.Permanent(fmt.Errorf("%q exists, and if_exists is \"fail\"", f.abs(name)))
		case ifExistsRename:
			name, err = f.publishFree(partial, name, f.exists)
		}
	}
	if err != nil {
		return "", err
	}
	if err := f.published(name); err != nil {
		// Not known to be durable is not landed.
		return "", errors.Join(err, f.root.Remove(name))
	}
	return name, nil
}

// overwrite lands a partial file whether its name is taken or not. What was
// overwritten cannot be had back, so the name stays when it may not be durable.
func (f *folder) overwrite(partial, name string) error {
	if err := f.disk.Rename(partial, name); err != nil {
		return err
	}
	return f.published(name)
}

// published makes the new name of a file durable.
func (f *folder) published(name string) error {
	step(stepPublished)
	if err := f.syncDir(path.Dir(name)); err != nil {
		return err
	}
	step(stepDirSynced)
	return nil
}

// syncDir makes the names in a folder durable. Those who want that at the same
// time share an fsync.
func (f *folder) syncDir(name string) error {
	return f.syncs.Do(name, func() error { return f.disk.SyncDir(name) })
}

// removePartial removes the name of a partial file that has another one now.
func (f *folder) removePartial(partial string) error {
	err := f.root.Remove(partial)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// publishFree publishes under the first free of report.csv, report.2.csv,
// report.3.csv and so on. The search for one that is not taken skips ahead, so
// that ten thousand reports do not cost ten thousand looks.
func (f *folder) publishFree(partial, name string, taken func(string) bool) (string, error) {
	low, high := 1, 1
	for taken(numbered(name, high)) {
		low, high = high, 2*high
	}
	n := low + sort.Search(high-low, func(i int) bool { return !taken(numbered(name, low+i)) })
	for range maxTries {
		candidate := numbered(name, n)
		err := f.disk.Publish(partial, candidate)
		if !errors.Is(err, fs.ErrExist) {
			return candidate, err
		}
		n++
	}
	return "", fmt.Errorf("%q and the next %d names with a number are taken", f.abs(name), maxTries)
}

func (f *folder) exists(name string) bool {
	_, err := f.root.Lstat(name)
	return err == nil
}

// numbered returns the nth of the names that take turns: name itself, and then
// with a number before its extension.
func numbered(name string, n int) string {
	if n == 1 {
		return name
	}
	extension := path.Ext(name)
	return strings.TrimSuffix(name, extension) + "." + strconv.Itoa(n) + extension
}

// makeParents makes the folders of name and makes them durable. Where a
// folder's name is taken by a file, the folder gets a number, whatever
// if_exists says about files. It returns the name as it is then.
func (f *folder) makeParents(name string) (string, error) {
	parts := strings.Split(name, "/")
	if len(parts) == 1 {
		return name, nil
	}
	// One at a time: a folder that another stream finds is durable then.
	f.mkdir.Lock()
	defer f.mkdir.Unlock()
	parent := "."
	for _, part := range parts[:len(parts)-1] {
		made, err := f.makeChild(path.Join(parent, part))
		if err != nil {
			return "", err
		}
		parent = made
	}
	return path.Join(parent, parts[len(parts)-1]), nil
}

func (f *folder) makeChild(name string) (string, error) {
	for n := range maxTries {
		candidate := numbered(name, n+1)
		err := f.root.Mkdir(candidate, 0o755)
		if err == nil {
			if err := f.syncNew(candidate); err != nil {
				return "", errors.Join(err, f.root.Remove(candidate))
			}
			return candidate, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		// A symbolic link that leads out of the folder is no folder either.
		if info, err := f.root.Stat(candidate); err == nil && info.IsDir() {
			if f.durable[candidate] {
				return candidate, nil
			}
			return candidate, f.syncNew(candidate)
		}
	}
	return "", fmt.Errorf("%q and %d names with a number are taken by files", f.abs(name), maxTries)
}

// syncNew makes the name of a folder durable that was made now, or by a run
// that may have been killed before it did this. f.mkdir is held.
func (f *folder) syncNew(name string) error {
	delete(f.durable, name)
	if err := f.syncDir(path.Dir(name)); err != nil {
		return err
	}
	if len(f.durable) >= maxDurable {
		clear(f.durable)
	}
	f.durable[name] = true
	return nil
}
