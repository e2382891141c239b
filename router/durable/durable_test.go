package durable_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"imbrouter/router/durable"
)

type write = func(io.Writer) error

func TestReplace(t *testing.T) {
	for how, replace := range map[string]func(t *testing.T, dir string, w write) error{
		"in a root": func(t *testing.T, dir string, w write) error {
			root, err := os.OpenRoot(filepath.Dir(dir))
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			return durable.Replace(root, filepath.Base(dir)+"/f", 0o600, w)
		},
		"by its path": func(_ *testing.T, dir string, w write) error {
			return durable.ReplacePath(filepath.Join(dir, "f"), 0o600, w)
		},
	} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			full := errors.New("disk is full")
			for _, c := range []struct {
				text string
				err  error
				want string
			}{{"one", nil, "one"}, {"two", nil, "two"}, {"three", full, "two"}} {
				err := replace(t, dir, func(w io.Writer) error {
					_, _ = io.WriteString(w, c.text)
					return c.err
				})
				text, _ := os.ReadFile(path)
				if !errors.Is(err, c.err) || string(text) != c.want {
					t.Errorf("%q: %v, the file holds %q, want %q", c.text, err, text, c.want)
				}
			}
			onlyEntry(t, dir)

			// The old file cannot be replaced.
			if err := errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "x"), 0o755)); err != nil {
				t.Fatal(err)
			}
			if err := replace(t, dir, func(io.Writer) error { return nil }); err == nil {
				t.Error("a folder was replaced")
			}
			onlyEntry(t, dir)
		})
	}
}

// onlyEntry checks that f is the only entry of a folder.
func onlyEntry(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 || entries[0].Name() != "f" {
		t.Errorf("in the folder: %v, %v", entries, err)
	}
}

// A name.new that leads elsewhere is not followed.
func TestReplaceStaysInTheFolder(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Symlink(elsewhere, filepath.Join(dir, "f.new")); err != nil {
		t.Skip("no symbolic link can be made here:", err)
	}
	if err := durable.ReplacePath(filepath.Join(dir, "f"), 0o600, func(io.Writer) error { return nil }); err == nil {
		t.Error("it goes through the link")
	}
	if _, err := os.Lstat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file elsewhere: %v", err)
	}
}
