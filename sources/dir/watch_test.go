package dir

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A folder that takes the place of another is watched under its former name
// still. It can be left under the present one.
func TestWatchedFolderTakesThePlaceOfAnother(t *testing.T) {
	dir := t.TempDir()
	a, b, gone := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "gone")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w, err := newFSWatcher()
	must(err)
	defer w.Close()
	for _, path := range []string{a, b} {
		must(os.Mkdir(path, 0o755))
		must(w.Add(path))
	}
	for i := range 10 { // nobody takes their events, so that those of the renames come later
		must(os.WriteFile(filepath.Join(a, fmt.Sprint(i)), nil, 0o644))
	}
	must(os.Rename(a, gone))
	must(os.Rename(b, a))
	must(w.Add(a))
	_ = w.Remove(a) // the error depends on what is known of the renames by now
}
