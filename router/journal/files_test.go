package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imbrouter/router/journal"
)

func TestRotation(t *testing.T) {
	path := pathIn(t)
	var log bytes.Buffer
	o := journal.Options{MaxSize: 1000, MaxFiles: 3, Log: slog.New(slog.NewTextHandler(&log, nil))}
	var all []string
	for i := range 60 {
		all = append(all, fmt.Sprintf("%030d", i))
	}
	j := open(t, path, o)
	appendNamed(t, j, all[:30]...)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, path, o)
	appendNamed(t, j, all[30:]...)
	records, damaged := read(t, path, journal.Filter{})
	got := names(records)
	if len(got) < 12 || len(damaged) > 0 || !slices.Equal(got, all[len(all)-len(got):]) {
		t.Errorf("journal has %q, damage %q", got, damaged)
	}
	files := filesBeside(t, path)
	if len(files) != 4 { // with the lock
		t.Errorf("files: %q", files)
	}
	for _, name := range files {
		if info, err := os.Stat(filepath.Join(filepath.Dir(path), name)); err != nil || info.Size() > o.MaxSize {
			t.Errorf("%s: %d bytes, %v", name, info.Size(), err)
		}
	}
	if !strings.Contains(log.String(), `its oldest file is gone" path=`+strings.TrimSuffix(path, ".jsonl")+".1.jsonl") {
		t.Errorf("log:\n%s", &log)
	}
}

// What cannot be removed stands in the way of nothing else.
func TestOldFileThatCannotBeRemoved(t *testing.T) {
	path := pathIn(t)
	written(t, path, "first")
	if err := os.MkdirAll(filepath.Join(rotated(path, 1), "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	j := open(t, path, journal.Options{MaxSize: 1000, MaxFiles: 3, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for i := range 100 {
		appendNamed(t, j, fmt.Sprint(i)) // none is lost
	}
	if files := filesBeside(t, path); len(files) > 5 { // with the lock, and the one
		t.Errorf("files: %q", files)
	}
	if strings.Count(log.String(), "level=ERROR") != 1 || !strings.Contains(log.String(), rotated(path, 1)) {
		t.Errorf("log:\n%s", &log)
	}
}

// Somebody tidies up: the record that goes with the file is told of, and those
// after it are kept.
func TestCurrentFileIsRemoved(t *testing.T) {
	for name, tidy := range map[string]func(path string) error{
		"removed": os.Remove,
		"moved":   func(path string) error { return os.Rename(path, path+".old") },
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := pathIn(t)
			var log strings.Builder
			j := open(t, path, journal.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			appendNamed(t, j, "a", "b")
			if err := tidy(path); err != nil {
				t.Skip("here nobody does so to an open file:", err)
			}
			if err := j.Append(t.Context(), journal.Record{Outcome: journal.Sent, Name: "lost"}); err == nil || !strings.Contains(err.Error(), "removed") {
				t.Errorf("Append gives %v", err)
			}
			appendNamed(t, j, "c", "d")
			wantNames(t, path, "c", "d")
			if strings.Count(log.String(), "level=ERROR") != 1 || !strings.Contains(log.String(), "path="+path) {
				t.Errorf("log:\n%s", &log)
			}
		})
	}
}

// A reader sees every record that was there when it began, once and in order,
// whatever is rotated meanwhile.
func TestReadWhileFilesAreRotated(t *testing.T) {
	path := pathIn(t)
	j := open(t, path, journal.Options{MaxSize: 2000, MaxFiles: 1000})
	written := uint64(0)
	write := func() {
		for range 50 { // several files
			if err := j.Note(journal.Record{Outcome: journal.Sent, ID: written}); err != nil {
				t.Fatal(err)
			}
			written++
		}
	}
	write()
	next := uint64(0)
	for r, err := range journal.Read(t.Context(), path, journal.Filter{}) {
		if err != nil || r.ID != next {
			t.Fatalf("record %d, %v; want %d", r.ID, err, next)
		}
		if next == 0 {
			write()
		}
		next++
	}
	if next < 50 {
		t.Errorf("%d records of 50", next)
	}
}

func TestLocked(t *testing.T) {
	path := pathIn(t)
	j := open(t, path, journal.Options{})
	if _, err := journal.Open(path, journal.Options{}); !errors.Is(err, journal.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("a second Open gives %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, journal.Options{})
}

// rotated returns the path of a file that was rotated.
func rotated(path string, number int) string {
	return fmt.Sprintf("%s.%d.jsonl", strings.TrimSuffix(path, ".jsonl"), number)
}

func TestOldFileThatCannotBeRead(t *testing.T) {
	path := pathIn(t)
	written(t, path, "a")
	for n, name := range map[int]string{1: "z", 3: "y"} {
		other := pathIn(t)
		written(t, other, name)
		if err := os.Rename(other, rotated(path, n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(rotated(path, 2), 0o755); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	j := open(t, path, journal.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	appendNamed(t, j, "b")
	if strings.Count(log.String(), "level=WARN") != 1 || !strings.Contains(log.String(), "router.journal.2.jsonl") {
		t.Errorf("log:\n%s", &log)
	}
	var got []string
	for r, err := range journal.Read(t.Context(), path, journal.Filter{}) {
		if broken := (*journal.FileError)(nil); errors.As(err, &broken) {
			got = append(got, filepath.Base(broken.Path))
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Name)
	}
	if want := []string{"z", "router.journal.2.jsonl", "y", "a", "b"}; !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}
