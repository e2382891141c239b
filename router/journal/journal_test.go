package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"imbrouter/router/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pathIn(t testing.TB) string { return journal.Path(t.TempDir(), "conf/router.toml") }

func open(t testing.TB, path string, o journal.Options) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// appendNamed appends a record for each name.
func appendNamed(t testing.TB, j *journal.Journal, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := j.Append(t.Context(), journal.Record{Outcome: journal.Sent, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
}

// read returns the records, and the errors about lines.
func read(t testing.TB, path string, f journal.Filter) (records []journal.Record, damaged []string) {
	t.Helper()
	for r, err := range journal.Read(t.Context(), path, f) {
		var line *journal.LineError
		switch {
		case errors.As(err, &line):
			damaged = append(damaged, err.Error())
		case err != nil:
			t.Fatal(err)
		default:
			records = append(records, r)
		}
	}
	return records, damaged
}

func names(records []journal.Record) (names []string) {
	for _, r := range records {
		names = append(names, r.Name)
	}
	return names
}

func wantNames(t testing.TB, path string, want ...string) {
	t.Helper()
	records, damaged := read(t, path, journal.Filter{})
	if got := names(records); !slices.Equal(got, want) || len(damaged) > 0 {
		t.Errorf("journal has %q and damage %q, want %q", got, damaged, want)
	}
}

func filesBeside(t testing.TB, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestPath(t *testing.T) {
	if got, want := journal.Path("state", "conf/quick.start.toml"), filepath.Join("state", "quick.start.journal.jsonl"); got != want {
		t.Errorf("Path is %q, want %q", got, want)
	}
}

func TestAppendedRecordIsRead(t *testing.T) {
	path := pathIn(t)
	j := open(t, path, journal.Options{})
	r := journal.Record{
		Time: time.Date(2026, 5, 4, 3, 2, 1, 123e6, time.UTC), Outcome: journal.Failed, Run: "0123456789abcdef", ID: 1<<63 + 1,
		Route: "send", Source: "outbox", Sink: "broadcast", Event: "demo.files", Name: "a/<b> & \"c\"\n\x1b[2J.csv",
		Path: "a/b.csv", Size: -1, SHA256: "abc", Duration: 1500 * time.Millisecond, Attempts: 3, Reason: "it's full",
	}
	if err := j.Append(t.Context(), r, journal.Record{Outcome: journal.Received}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const line = `{"time":"2026-05-04T03:02:01.123Z","outcome":"failed","route":"send","source":"outbox","sink":"broadcast",` +
		`"event":"demo.files","name":"a/<b> & \"c\"\n\u001b[2J.csv","path":"a/b.csv","size":-1,"sha256":"abc",` +
		`"duration":"1.5s","attempts":3,"reason":"it's full","run":"0123456789abcdef","id":9223372036854775809}` + "\n"
	if first, _, _ := strings.Cut(string(text), "\n"); first+"\n" != line {
		t.Errorf("line:\n%swant:\n%s", first+"\n", line)
	}
	records, _ := read(t, path, journal.Filter{})
	if len(records) != 2 {
		t.Fatalf("%d records", len(records))
	}
	if diff := cmp.Diff(r, records[0]); diff != "" {
		t.Error(diff)
	}
	if second := records[1]; second.Run != j.Run() || time.Since(second.Time) > time.Minute {
		t.Errorf("what was left out: run %q, time %v", second.Run, second.Time)
	}
}

// Names come from the network, as long as they like.
func TestLongNames(t *testing.T) {
	path := pathIn(t)
	j := open(t, path, journal.Options{})
	long := strings.Repeat("\x01é", 1<<20)
	r := journal.Record{Outcome: journal.Failed, Event: long, Name: long, Path: long, Reason: long, Route: long, Source: long, Sink: long, SHA256: long}
	if err := j.Append(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	records, damaged := read(t, path, journal.Filter{})
	if len(records) != 1 || len(damaged) > 0 {
		t.Fatalf("%d records, damage %q", len(records), damaged)
	}
	if name := records[0].Name; len(name) > 5<<10 || !utf8.ValidString(name) || !strings.HasSuffix(name, "…") {
		t.Errorf("the name has %d bytes and ends in %q", len(name), name[len(name)-8:])
	}
}

func TestNoJournal(t *testing.T) { wantNames(t, pathIn(t)) }

func TestAppendFromMany(t *testing.T) {
	path := pathIn(t)
	j := open(t, path, journal.Options{MaxSize: 5000, MaxFiles: 100})
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			for k := range 20 {
				name := fmt.Sprint(i, ".", k)
				err := j.Append(t.Context(), journal.Record{Outcome: journal.Sent, Name: name})
				if records, _ := read(t, path, journal.Filter{Name: name}); err != nil || len(records) != 1 {
					t.Errorf("%s: %v, it is there %d times", name, err, len(records))
				}
			}
		})
	}
	running.Wait()
	if records, damaged := read(t, path, journal.Filter{}); len(records) != 160 || len(damaged) > 0 {
		t.Errorf("%d records, damage %q", len(records), damaged)
	}
}

func TestNoteIsThereAtOnce(t *testing.T) {
	path := pathIn(t)
	j := open(t, path, journal.Options{})
	if err := j.Note(journal.Record{Outcome: journal.Sent, Name: "a"}); err != nil {
		t.Fatal(err)
	}
	wantNames(t, path, "a")
}

func TestClosed(t *testing.T) {
	j := open(t, pathIn(t), journal.Options{})
	for range 2 {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := j.Append(t.Context(), journal.Record{Outcome: journal.Sent}); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("Append gives %v", err)
	}
	if err := j.Note(journal.Record{Outcome: journal.Sent}); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("Note gives %v", err)
	}
}

// written makes a journal with records of these names.
func written(t *testing.T, path string, names ...string) {
	t.Helper()
	j := open(t, path, journal.Options{})
	appendNamed(t, j, names...)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAppendIsGivenUp(t *testing.T) {
	j := open(t, pathIn(t), journal.Options{})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var err error
	for range 1000 { // the fsync may be faster
		if err = j.Append(ctx, journal.Record{Outcome: journal.Sent}); err != nil {
			break
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Append gives %v", err)
	}
}

// Reading ends with its ctx, also where the filter chooses nothing more.
func TestReadEndsWithItsContext(t *testing.T) {
	path := pathIn(t)
	appendNamed(t, open(t, path, journal.Options{}), "wanted", "other", "other")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	for r, err := range journal.Read(ctx, path, journal.Filter{Name: "wanted"}) {
		switch {
		case errors.Is(err, context.Canceled):
			got = append(got, "canceled")
		case err != nil:
			t.Fatal(err)
		default:
			got = append(got, r.Name)
			cancel()
		}
	}
	if want := []string{"wanted", "canceled"}; !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}
