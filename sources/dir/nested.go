package dir

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// checkNested makes sure that no other source moves what it is done with into
// this folder, or watches a folder to which this one does: each file would be
// sent again, and moved one folder deeper, for ever. Any other folder inside of
// a watched one is left to its own source, see scanner.searches.
func (d *folder) checkNested() error {
	folder, err := filepath.EvalSymlinks(d.path)
	if err != nil {
		return err
	}
	for part, outer := folder, filepath.Dir(folder); outer != part; part, outer = outer, filepath.Dir(outer) {
		if !ownedBy(outer, part) {
			continue
		}
		switch watched, err := isWatched(outer); {
		case err != nil:
			return err
		case watched:
			return fmt.Errorf("%q belongs to the source that watches %q: what that has moved there would be sent again; use another folder",
				d.path, outer)
		}
	}
	for _, own := range []string{sentDir, failedDir} {
		inner := filepath.Join(d.path, own)
		switch watched, err := isWatched(inner); {
		case err != nil:
			return err
		case watched:
			return fmt.Errorf("another source watches %q, and would send again what is moved there from %q; use another folder",
				inner, d.path)
		}
	}
	return nil
}

// ownedBy tells whether a folder is one that a source of the folder outer, should
// there be one, has for itself.
func ownedBy(outer, folder string) bool {
	info, err := os.Stat(folder)
	if err != nil {
		return false
	}
	for _, own := range []string{ownDir, sentDir, failedDir} {
		if other, err := os.Stat(filepath.Join(outer, own)); err == nil && os.SameFile(info, other) {
			return true
		}
	}
	return false
}

// isWatched tells whether a source holds the lock of a folder.
func isWatched(folder string) (bool, error) {
	file := filepath.Join(folder, filepath.FromSlash(lockFile))
	if _, err := os.Stat(file); err != nil {
		return false, nil // no source was ever here
	}
	lock := flock.New(file, flock.SetFlag(os.O_RDONLY))
	free, err := lock.TryRLock()
	if err != nil {
		return false, fmt.Errorf("find out whether %q is watched: %w", folder, err)
	}
	return !free, lock.Close()
}
