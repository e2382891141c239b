package dir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fsnotify/fsnotify"

	"imbrouter/router/config"
)

// findings returns what is found out about a folder with some files and folders.
func findings(t *testing.T, c *Config, newWatcher func() (watcher, error), w func(*os.File) writers, names ...string) map[string]error {
	t.Helper()
	c.Path = t.TempDir()
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(c.Path, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, c.Path)
	found := map[string]error{}
	for _, f := range c.examine(context.Background(), newWatcher, w) {
		found[f.What] = f.Err
	}
	if after := tree(t, c.Path); after != before {
		t.Errorf("left behind:\n%s", after)
	}
	return found
}

func tree(t *testing.T, folder string) string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, "\n")
}

// finding returns the error of what begins so.
func finding(t *testing.T, found map[string]error, prefix string) error {
	t.Helper()
	for what, err := range found {
		if strings.HasPrefix(what, prefix) {
			return err
		}
	}
	t.Errorf("%q was not found out, but %v", prefix, found)
	return nil
}

func TestExamine(t *testing.T) {
	found := findings(t, NewConfig(), newFSWatcher, openWriters, "sent/a", "failed", "a/b", ".hidden/c")
	for what, err := range found {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, what := range []string{
		"files can be made in it and are durable", "files can be moved to failed/", "files can be moved to sent/", "a new file is noticed (",
	} {
		finding(t, found, what)
	}
	if _, told := found["what waits in it can be read (files: 0)"]; told {
		t.Error("told of files where there are none")
	}
	if runtime.GOOS == "linux" {
		finding(t, found, "folders to watch: 3, of ") // itself, a and a/b
		finding(t, found, "the system tells when the writer of a file of this user has closed it")
	}
}

func TestExamineImplements(t *testing.T) {
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

// silentWatcher tells of nothing.
type silentWatcher struct{}

func (silentWatcher) Add(string) error              { return nil }
func (silentWatcher) Remove(string) error           { return nil }
func (silentWatcher) Events() <-chan fsnotify.Event { return nil }
func (silentWatcher) Errors() <-chan error          { return nil }
func (silentWatcher) Close() error                  { return nil }

func TestExamineFindsFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func() (watcher, error) { return silentWatcher{}, nil }
		unknown := func(*os.File) writers { return unknownWriters }
		found := findings(t, NewConfig(), silent, unknown)
		if err := finding(t, found, "a new file is noticed"); err == nil ||
			err.Error() != `nothing was told within 3s; where that cannot be helped, set watch = "poll"` {
			t.Errorf("a watcher that tells nothing: %v", err)
		}
		if err := finding(t, found, "whether a writer has closed a file the system does not tell: it is sent when it has not changed for 500ms"); err != nil {
			t.Error(err)
		}
		if _, tried := found["files can be moved to sent/"]; tried {
			t.Error("a folder that is not there was tried")
		}
	})
	none := func() (watcher, error) { return nil, errors.New("no watcher") }
	if err := finding(t, findings(t, NewConfig(), none, openWriters), "a new file is noticed"); err == nil || !strings.HasPrefix(err.Error(), "no watcher") {
		t.Errorf("no watcher: %v", err)
	}
	c := NewConfig()
	c.Watch, c.After = watchPoll, afterKeep
	found := findings(t, c, none, openWriters, "sent")
	if err := finding(t, found, `new files are looked for every 2s, because watch is "poll"`); err != nil {
		t.Error(err)
	}
	if _, tried := found["files can be moved to sent/"]; tried {
		t.Error("files that stay are tried to be moved")
	}
}

func TestSelect(t *testing.T) {
	c := NewConfig()
	c.Include, c.Exclude = []string{"**/*.csv"}, []string{"old", "*.tmp.csv"}
	for file, want := range map[string]string{
		"a.csv":         "",
		"a/b/c.csv":     "",
		"a.txt":         "no pattern of include",
		"a/x.tmp.csv":   "a pattern of exclude",
		"old/a.csv":     `the folder "old" is left out`,
		"a/.b/c.csv":    `the folder "a/.b" is left out`,
		"sent/a.csv":    `the folder "sent" is left out`,
		"a/.b.csv":      "begins with a dot",
		"../a.csv":      "is no path in the folder",
		"/a.csv":        "is no path in the folder",
		".":             "is no path in the folder",
		"a//b.csv":      "is no path in the folder",
		"":              "is no path in the folder",
		"failed/b.csv":  `the folder "failed" is left out`,
		"a/sent/b.csv":  "",
		"old.d/old.csv": "",
	} {
		err := c.Select(file)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", file, err, want)
		}
	}
	c.Recursive = false
	if err := c.Select("a/b.csv"); err == nil {
		t.Error("a file in a folder is read although recursive is false")
	}
}
