package dir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"imbrouter/router"
)

func TestClose(t *testing.T) {
	s := open(t, nil)
	w := s.begin(t, "a")
	fmt.Fprint(w, "part")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.incompletes(t)["a"]; got != "part" {
		t.Errorf("kept %q", got)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, errStopped) {
		t.Errorf("Write = %v", err)
	}
	if _, err := s.Stream(context.Background(), named("b")); !errors.Is(err, router.ErrUnavailable) {
		t.Errorf("Stream = %v", err)
	}
	again := openAt(t, s.path, nil)
	again.mustSend(t, "a", "whole")
}

func TestLock(t *testing.T) {
	s := open(t, nil)
	other := flock.New(s.folder.lock.Path()) // as another process has it
	if locked, err := other.TryLock(); locked || err != nil {
		t.Fatalf("locked while a sink is open: %v, %v", locked, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if locked, err := other.TryLock(); !locked || err != nil {
		t.Fatalf("locked after the sink was closed: %v, %v", locked, err)
	}
	second := build(t, s.path, nil)
	err := second.Open(context.Background())
	if err == nil {
		t.Fatal("a second sink could be opened")
	}
	if want := fmt.Sprintf("is locked by pid %d", os.Getpid()); runtime.GOOS != "windows" && !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not tell %q", err, want)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}

// A sink that takes another's place has the folder at once, and what the other
// has begun ends there.
func TestSinkTakesAnothersPlace(t *testing.T) {
	first := open(t, nil)
	w := first.begin(t, "a")
	fmt.Fprint(w, "begun before, ")
	second := build(t, first.path, func(c *Config) { c.IncompleteMaxSize = 0 })
	second.opened = nil
	if err := second.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	second.mustSend(t, "b", "sent meanwhile")
	fmt.Fprint(w, "ended after")
	if err := w.Commit(context.Background()); err != nil {
		t.Error(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	cut := second.begin(t, "c")
	cut.Abort(errors.New("cut off"))
	want := map[string]string{"a": "begun before, ended after", "b": "sent meanwhile"}
	if diff := cmp.Diff(want, second.files(t)); diff != "" {
		t.Error(diff)
	}
	if got := second.incompletes(t); len(got) != 0 {
		t.Errorf("the limit of the former sink holds: %q", got)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if locked, err := flock.New(filepath.Join(first.path, filepath.FromSlash(lockFile))).TryLock(); !locked || err != nil {
		t.Errorf("locked after both were closed: %v, %v", locked, err)
	}
}

// TestSourceOnTheSameFolder has a dir source watch the folder: its lock does not
// lock the sink out, and the sink sweeps nothing of what it keeps there.
func TestSourceOnTheSameFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "received")
	ofSource := map[string]string{
		".imbrouter/source.lock": "1\n", ".imbrouter/lock": "1\n", ".imbrouter/sent.jsonl": "{}\n",
		".imbrouter/staged/1-a.csv": "a", "sent/b.csv": "b", "failed/c.csv": "c", "failed/c.csv.reason.txt": "because",
	}
	for name, contents := range ofSource {
		file := filepath.Join(path, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(contents), 0o644)); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "lock") {
			lock := flock.New(file)
			if locked, err := lock.TryLock(); !locked || err != nil {
				t.Fatalf("lock %q: %v", name, err)
			}
			defer lock.Close()
		}
	}
	s := openAt(t, path, func(c *Config) { c.Incomplete, c.IncompleteMaxAge = "remove", 1 })
	s.begin(t, "cut").Abort(errCutOff)
	s.mustSend(t, "d.csv", "d")
	s.sweep(s.folder)
	got := tree(t, path)
	if got["d.csv"] != "d" {
		t.Errorf("there is %v", got)
	}
	delete(got, "d.csv")
	delete(got, lockFile)
	if diff := cmp.Diff(ofSource, got); diff != "" {
		t.Error(diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string) error
	}{
		{"a file in the way", func(_ *testing.T, path string) error { return os.WriteFile(path, nil, 0o644) }},
		{"its own folder is a link", func(t *testing.T, path string) error {
			return errors.Join(os.Mkdir(path, 0o755), os.Symlink(t.TempDir(), filepath.Join(path, ownDir)))
		}},
		{"the lock is a link", func(t *testing.T, path string) error {
			return errors.Join(os.MkdirAll(filepath.Join(path, ownDir), 0o755),
				os.Symlink(filepath.Join(t.TempDir(), "stolen"), filepath.Join(path, lockFile)))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "received")
			if err := test.prepare(t, path); err != nil {
				t.Skip("cannot be prepared:", err)
			}
			s := build(t, path, nil)
			if err := s.Open(context.Background()); err == nil || !strings.Contains(err.Error(), "received") {
				t.Errorf("Open = %v, want an error that names the folder", err)
			}
		})
	}
}

func TestFolderIsRemoved(t *testing.T) {
	tests := []struct {
		name   string
		remove func(path string) error
	}{
		{"all", os.RemoveAll},
		{"its own folder", func(path string) error { return os.RemoveAll(filepath.Join(path, ownDir)) }},
		{"the partial files", func(path string) error { return os.RemoveAll(filepath.Join(path, partialDir)) }},
		{"moved away", func(path string) error { return os.Rename(path, path+".old") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if runtime.GOOS == "windows" {
				t.Skip("Windows lets nobody remove a folder that is in use")
			}
			s := open(t, nil)
			w := s.begin(t, "a")
			if err := test.remove(s.path); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				s.mustSend(t, "b", "b")
			}
			err := w.Commit(context.Background())
			if moved := test.name == "moved away"; moved != (err == nil) {
				t.Errorf("Commit of a stream from before = %v", err)
			}
			if diff := cmp.Diff(map[string]string{"b": "b", "b.2": "b"}, s.files(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
