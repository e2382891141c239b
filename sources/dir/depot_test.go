package dir_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"imbrouter/router/config"
	"imbrouter/sources/dir"
)

func depot(t *testing.T) (c *dir.Config, folder string) {
	t.Helper()
	c = dir.NewConfig()
	c.Path = t.TempDir()
	return c, c.Path
}

func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(folder, path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestPut(t *testing.T) {
	for _, tt := range []struct{ name, as string }{
		{"a.csv", "a.csv"},
		{"a/b.csv", "a/b.csv"},
		{"../a.csv", "%2E%2E/a.csv"},
		{".hidden", "%2Ehidden"},
		{"a\x00b:c", "a%00b%3Ac"},
	} {
		c, folder := depot(t)
		as, err := c.Put(tt.name, strings.NewReader("text"))
		if err != nil {
			t.Errorf("%q: %v", tt.name, err)
			continue
		}
		if files := contents(t, folder); as != tt.as || len(files) != 1 || files[as] != "text" {
			t.Errorf("%q is put as %q, want %q; the folder has %q", tt.name, as, tt.as, files)
		}
	}
}

func TestPutOverwritesNothing(t *testing.T) {
	c, folder := depot(t)
	for _, want := range []string{"a.csv", "a.2.csv"} {
		if as, err := c.Put("a.csv", strings.NewReader(want)); err != nil || as != want {
			t.Errorf("put as %q, %v; want %q", as, err, want)
		}
	}
	if files := contents(t, folder); len(files) != 2 || files["a.csv"] != "a.csv" {
		t.Errorf("the folder has %q", files)
	}
}

func TestPutThatIsCutOffLeavesNothing(t *testing.T) {
	c, folder := depot(t)
	cut := errors.New("cut off")
	_, err := c.Put("a.csv", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(cut)))
	if !errors.Is(err, cut) {
		t.Errorf("Put returns %v", err)
	}
	if files := contents(t, folder); len(files) != 0 {
		t.Errorf("the folder has %q", files)
	}
}

func TestPutOfWhatTheSourceLeavesAlone(t *testing.T) {
	for _, name := range []string{"a.tmp", "sent/a.csv", "failed/a.csv"} {
		c, folder := depot(t)
		c.Exclude = []string{"*.tmp"}
		if _, err := c.Put(name, strings.NewReader("text")); err == nil || !strings.Contains(err.Error(), "does not take") {
			t.Errorf("%q: %v", name, err)
		}
		if files := contents(t, folder); len(files) != 0 {
			t.Errorf("%q: the folder has %q", name, files)
		}
	}
}

func TestFailedFilesAgain(t *testing.T) {
	c, folder := depot(t)
	if files, inAll, err := c.Failed(10); len(files) > 0 || inAll != 0 || err != nil {
		t.Errorf("a folder without failed/ has %v, %d, %v", files, inAll, err)
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	write("failed/deep/a.csv", "text")
	write("failed/deep/a.csv.reason.txt", "This file could not be sent.\n\nFile:     \"deep/a.csv\"\nReason:   two\nlines\nAttempts: 1\n")
	write("failed/alone.reason.txt", "a file of that name")
	files, inAll, err := c.Failed(10)
	if err != nil || inAll != 2 || len(files) != 2 {
		t.Fatalf("failed are %v, %d, %v", files, inAll, err)
	}
	byName := map[string]config.FailedFile{}
	for _, f := range files {
		byName[f.Name] = f
	}
	if f := byName["deep/a.csv"]; f.Reason != "two\nlines" || f.Size != 4 {
		t.Errorf("it is %+v", f)
	}
	if files, inAll, _ := c.Failed(1); len(files) != 1 || inAll != 2 {
		t.Errorf("the newest is %v of %d", files, inAll)
	}
	for _, name := range []string{"../a.csv", "none.csv", "deep"} {
		if err := c.Again(name); err == nil {
			t.Errorf("%q again is no error", name)
		}
	}
	if err := c.Again("deep/a.csv"); err != nil {
		t.Fatal(err)
	}
	if files := contents(t, folder); len(files) != 2 || files["deep/a.csv"] != "text" {
		t.Errorf("the folder has %q", files)
	}
	if _, err := os.Stat(filepath.Join(folder, "failed", "deep")); err == nil {
		t.Error("the empty folder is there")
	}
}
