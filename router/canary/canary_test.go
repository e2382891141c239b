package canary_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"imbrouter/router/canary"
	"imbrouter/router/config"
)

// shown returns findings as a text, a line each.
func shown(findings []config.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString(f.What)
		if f.Err != nil {
			b.WriteString(": " + f.Err.Error())
		}
		b.WriteString("\n")
	}
	return b.String()
}

func empty(t *testing.T, folder string) {
	t.Helper()
	if left, err := os.ReadDir(folder); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTry(t *testing.T) {
	folder := t.TempDir()
	findings := canary.Try(folder, func(c *canary.Canary) {
		text, err := c.Root.ReadFile(c.File)
		if len(text) == 0 || err != nil || !strings.HasPrefix(c.Dir, canary.Prefix) || !strings.HasPrefix(c.File, c.Dir+"/") {
			t.Errorf("%q in %q: %q, %v", c.File, c.Dir, text, err)
		}
		c.Report("more", nil, "none")
		c.Report("wrong", fs.ErrPermission, "do this")
		c.Report("without a remedy", fs.ErrClosed, "")
	})
	want := "files can be made in it and are durable\nmore\nwrong: permission denied; do this\nwithout a remedy: file already closed\n"
	if got := shown(findings); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	if !errors.Is(findings[2].Err, fs.ErrPermission) {
		t.Error("the cause is not wrapped")
	}
	empty(t, folder)
}

func TestFolderThatDoesNotExist(t *testing.T) {
	parent := t.TempDir()
	tried := false
	findings := canary.Try(filepath.Join(parent, "a", "b"), func(*canary.Canary) { tried = true })
	if got := shown(findings); got != "it does not exist yet and can be made\n" || tried {
		t.Errorf("%s, tried %v", got, tried)
	}
	empty(t, parent)
}

func TestFileInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                          "it is a file; move it away",
		filepath.Join(file, "a", "b"): "not a directory",
	} {
		if got := shown(canary.Try(path, nil)); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestNoRightToWrite(t *testing.T) {
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("root may write everywhere, and on Windows modes say nothing")
	}
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{folder, filepath.Join(folder, "new")} {
		findings := canary.Try(path, func(*canary.Canary) { t.Error("more was tried") })
		if len(findings) != 1 || !errors.Is(findings[0].Err, fs.ErrPermission) ||
			!strings.Contains(findings[0].Err.Error(), "give the user that runs imbrouter the right to write there") {
			t.Errorf("%s: %v", path, findings)
		}
	}
}
