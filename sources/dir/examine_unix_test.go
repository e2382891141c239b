//go:build unix

package dir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExamineReadsWhatWaits(t *testing.T) {
	if !asNobody(t, nothing) {
		return
	}
	c := NewConfig()
	c.Path = t.TempDir()
	for _, name := range []string{"a", "b", "c", ".d"} {
		if err := os.WriteFile(filepath.Join(c.Path, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	look := func() error {
		for _, f := range c.Examine(context.Background()) {
			if f.What == "what waits in it can be read (files: 3)" {
				return f.Err
			}
		}
		t.Error("it was not found out")
		return nil
	}
	if err := look(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"b", "c", ".d"} {
		if err := os.Chmod(filepath.Join(c.Path, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := look(); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "b: permission denied, and 1 more; give the user") {
		t.Error(err)
	}
}
