package dir

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestClosesAreTold(t *testing.T) {
	watched, other := t.TempDir(), t.TempDir()
	c := newCloses()
	if c == nil {
		t.Skip("no inotify instance is left")
	}
	defer c.close()
	c.add(watched)
	c.add(other)
	c.add(filepath.Join(watched, "missing"))
	c.remove(other)
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(other, "untold"))
	for _, name := range []string{"a", "b"} {
		write(filepath.Join(watched, name))
		want := fsnotify.Event{Name: filepath.Join(watched, name), Op: fsnotify.Write}
		select {
		case got := <-c.events:
			if got != want {
				t.Errorf("told of %v, want %v", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("not told of %v", want)
		}
	}
	c.giveUp()
	c.add(watched)
	if len(c.dirs) > 0 {
		t.Errorf("having given up it watches %v", c.dirs)
	}
}

// A close that nobody takes note of does not keep close from ending.
func TestClosesEndWithAnEventUntaken(t *testing.T) {
	c := newCloses()
	if c == nil {
		t.Skip("no inotify instance is left")
	}
	dir := t.TempDir()
	c.add(dir)
	if err := os.WriteFile(filepath.Join(dir, "a"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c.close()
}
