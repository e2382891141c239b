package dir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imbrouter/router/canary"
	"imbrouter/router/config"
)

// examined returns what is found out about a folder, with what make changes of
// its disk.
func examined(t *testing.T, change func(disk) disk) map[string]error {
	t.Helper()
	c := NewConfig()
	c.Path = t.TempDir()
	if err := os.Mkdir(filepath.Join(c.Path, ownDir), 0o755); err != nil {
		t.Fatal(err)
	}
	found := map[string]error{}
	for _, f := range canary.Try(c.Path, func(k *canary.Canary) { c.examine(k, change(rootDisk{k.Root})) }) {
		what, _, _ := strings.Cut(f.What, ", min_free")
		if strings.HasSuffix(what, "free on the disk") {
			what = "free"
		}
		found[what] = f.Err
	}
	left, err := os.ReadDir(c.Path)
	if len(left) != 1 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if left, err := os.ReadDir(filepath.Join(c.Path, ownDir)); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return found
}

// examinedDisk is a disk on which some things do not work.
type examinedDisk struct {
	disk
	overwrites, full bool
	renames, syncs   error
}

func (d examinedDisk) Publish(partial, name string) error {
	if d.overwrites {
		return d.disk.Rename(partial, name)
	}
	return d.disk.Publish(partial, name)
}

func (d examinedDisk) Rename(partial, name string) error {
	if d.renames != nil {
		return d.renames
	}
	return d.disk.Rename(partial, name)
}

func (d examinedDisk) SyncDir(name string) error { return errors.Join(d.disk.SyncDir(name), d.syncs) }

func (d examinedDisk) Free() (int64, error) {
	if d.full {
		return 1 << 20, nil
	}
	return 1 << 40, nil
}

func TestExamine(t *testing.T) {
	wrong := errors.New("wrong")
	for name, test := range map[string]struct {
		disk examinedDisk
		what string // that fails; the others do not
		want string
	}{
		"all is well":       {},
		"overwrites":        {examinedDisk{overwrites: true}, "a whole file gets its name, and never that of another", "a file was overwritten; only if_exists"},
		"other file system": {examinedDisk{renames: wrong}, "files can be moved to and from .imbrouter/", "wrong; it must be on the file system of the folder"},
		"not durable":       {examinedDisk{syncs: wrong}, "names are durable", "wrong"},
		"full":              {examinedDisk{full: true}, "free", "make room there, or lower min_free"},
	} {
		t.Run(name, func(t *testing.T) {
			found := examined(t, func(d disk) disk {
				test.disk.disk = d
				return test.disk
			})
			if len(found) != 5 {
				t.Errorf("%v", found)
			}
			for what, err := range found {
				switch {
				case what != test.what && err != nil && name != "overwrites": // after which the rest cannot work
					t.Errorf("%s: %v", what, err)
				case what == test.what && (err == nil || !strings.Contains(err.Error(), test.want)):
					t.Errorf("%s: %v, want %s", what, err, test.want)
				}
			}
		})
	}
}

func TestExamineMakesNoFolder(t *testing.T) {
	c := NewConfig()
	c.Path = filepath.Join(t.TempDir(), "new")
	var part config.Examiner = c
	if got := part.Examine(context.Background()); len(got) != 1 || got[0].Err != nil {
		t.Errorf("%v", got)
	}
	if _, err := os.Lstat(c.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
}
