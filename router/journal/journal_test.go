package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
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

func TestFilter(t *testing.T) {
	path := pathIn(t)
	j := open(t, path, journal.Options{})
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, r := range []journal.Record{
		{Route: "send", Source: "outbox", Sink: "hub", Event: "demo.files", Name: "a.csv", Outcome: journal.Sent},
		{Route: "receive", Source: "in", Sink: "inbox", Event: "demo.files", Name: "sub/b.csv", Outcome: journal.Received},
		{Route: "receive", Source: "in", Sink: "inbox", Event: "demo.more", Name: "c.txt", Outcome: journal.Incomplete},
	} {
		r.Time = at.Add(time.Duration(i) * time.Hour)
		if err := j.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		filter journal.Filter
		want   string
	}{
		"all":              {journal.Filter{}, "a.csv sub/b.csv c.txt"},
		"route":            {journal.Filter{Route: "receive"}, "sub/b.csv c.txt"},
		"source":           {journal.Filter{Source: "outbox"}, "a.csv"},
		"sink":             {journal.Filter{Sink: "inbox"}, "sub/b.csv c.txt"},
		"event":            {journal.Filter{Event: "Demo.Files"}, "a.csv sub/b.csv"},
		"name in a folder": {journal.Filter{Name: "*.csv"}, "a.csv"},
		"name anywhere":    {journal.Filter{Name: "**/*.csv"}, "a.csv sub/b.csv"},
		"outcomes":         {journal.Filter{Outcomes: []journal.Outcome{journal.Sent, journal.Incomplete}}, "a.csv c.txt"},
		"since":            {journal.Filter{Since: at.Add(time.Hour)}, "sub/b.csv c.txt"},
		"until":            {journal.Filter{Until: at.Add(time.Hour)}, "a.csv"},
		"none":             {journal.Filter{Route: "receive", Source: "outbox"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			records, _ := read(t, path, c.filter)
			if got := strings.Join(names(records), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	for r, err := range journal.Read(t.Context(), path, journal.Filter{Name: "[a"}) {
		if err == nil || !strings.Contains(err.Error(), `"[a"`) {
			t.Errorf("a wrong pattern gives %v, %v", r, err)
		}
	}
}

func TestNoJournal(t *testing.T) { wantNames(t, pathIn(t)) }

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

// damage writes text behind what the journal holds.
func damage(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// rotated returns the path of a file that was rotated.
func rotated(path string, number int) string {
	return fmt.Sprintf("%s.%d.jsonl", strings.TrimSuffix(path, ".jsonl"), number)
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

func TestUnfinishedLineIsCutOff(t *testing.T) {
	for name, rest := range map[string]string{"half a record": `{"time":"2026-`, "zeros": strings.Repeat("\x00", 1<<20)} {
		t.Run(name, func(t *testing.T) {
			path := pathIn(t)
			written(t, path, "a", "b")
			damage(t, path, rest)
			if _, damaged := read(t, path, journal.Filter{}); !slices.Equal(damaged, []string{path + ":3: the line is cut off"}) {
				t.Errorf("damage: %q", damaged)
			}
			var log strings.Builder
			j := open(t, path, journal.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			appendNamed(t, j, "c")
			wantNames(t, path, "a", "b", "c")
			if strings.Count(log.String(), "level=INFO") != 1 || strings.Contains(log.String(), "WARN") {
				t.Errorf("log:\n%s", &log)
			}
		})
	}
}

func TestDamagedJournalIsSetAside(t *testing.T) {
	path := pathIn(t)
	want := []string{"a"}
	written(t, path, "a")
	for i := range 5 { // more than are kept
		damage(t, path, "\x00\x00\n{}\n"+strings.Repeat("x", 1<<20)+"\n")
		if _, damaged := read(t, path, journal.Filter{}); len(damaged) != 3 || !strings.HasPrefix(damaged[0], fmt.Sprintf("%s:%d: ", path, i+2)) {
			t.Errorf("damage: %.200q", damaged)
		}
		var log strings.Builder
		j := open(t, path, journal.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "damaged_lines=3") || !strings.Contains(log.String(), "set_aside_as=") {
			t.Errorf("log:\n%s", &log)
		}
		want = append(want, fmt.Sprint(i))
		appendNamed(t, j, fmt.Sprint(i))
		wantNames(t, path, want...)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		aside := 0
		for _, name := range filesBeside(t, path) {
			if strings.HasPrefix(name, "router.journal.corrupt-") {
				aside++
			}
		}
		if aside != min(i+1, 3) {
			t.Errorf("set aside: %q", filesBeside(t, path))
		}
	}
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

func TestStreamWithoutConfirmationIsPossiblySent(t *testing.T) {
	path := pathIn(t)
	crashed := open(t, path, journal.Options{MaxSize: 400, MaxFiles: 20})
	for _, r := range []journal.Record{
		{Outcome: journal.Unconfirmed, ID: 1, Sink: "a", Name: "confirmed"},
		{Outcome: journal.Unconfirmed, ID: 1, Sink: "b", Name: "at another sink", Reason: "x"},
		{Outcome: journal.Unconfirmed, ID: 2, Sink: "a", Name: "open"},
		{Outcome: journal.Unconfirmed, ID: 3, Sink: "a", Name: "tried again"},
		{Outcome: journal.Failed, ID: 3, Sink: "a", Name: "tried again"},
		{Outcome: journal.Unconfirmed, ID: 3, Sink: "a", Name: "tried again"},
		{Outcome: journal.Sent, ID: 1, Sink: "a", Name: "confirmed"},
		{Outcome: journal.Unconfirmed, ID: 4, Route: "q", Sink: "a", Name: "confirmed"},
		{Outcome: journal.Unconfirmed, ID: 4, Route: "r", Sink: "a", Name: "on another route"},
		{Outcome: journal.Sent, ID: 4, Route: "q", Sink: "a", Name: "confirmed"},
	} {
		if err := crashed.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	run := crashed.Run()
	if err := crashed.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and only once
		var log strings.Builder
		j := open(t, path, journal.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		records, _ := read(t, path, journal.Filter{Outcomes: []journal.Outcome{journal.PossiblySent}})
		if got := names(records); !slices.Equal(got, []string{"at another sink", "open", "tried again", "on another route"}) {
			t.Errorf("possibly sent: %q", got)
		}
		for _, r := range records {
			if r.Run != run || r.Reason == "" || r.Reason == "x" {
				t.Errorf("record %+v", r)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFollow(t *testing.T) {
	path := pathIn(t)
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan string)
	var following sync.WaitGroup
	following.Go(func() {
		for r, err := range journal.Follow(ctx, path, journal.Filter{Outcomes: []journal.Outcome{journal.Sent}}) {
			if err != nil {
				t.Error(err)
			}
			got <- r.Name
		}
		close(got)
	})
	j := open(t, path, journal.Options{MaxSize: 700, MaxFiles: 100})
	for round := range 3 {
		var want []string
		for i := range 20 { // several files
			want = append(want, fmt.Sprint(round, ".", i))
		}
		appendNamed(t, j, want...)
		if err := j.Append(t.Context(), journal.Record{Outcome: journal.Failed, Name: "not chosen"}); err != nil {
			t.Fatal(err)
		}
		for _, name := range want {
			if next := <-got; next != name {
				t.Fatalf("followed to %q, want %q", next, name)
			}
		}
	}
	stop()
	if next, ok := <-got; ok {
		t.Errorf("after the end: %q", next)
	}
	following.Wait()
}

func TestFollowWaitsForTheWholeLine(t *testing.T) {
	path := pathIn(t)
	written(t, path, "a")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, path, string(text[:20]))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	n := 0
	for r, err := range journal.Follow(ctx, path, journal.Filter{}) {
		if err != nil || r.Name != "a" {
			t.Errorf("got %q, %v", r.Name, err)
		}
		if n++; n == 2 {
			return
		}
		time.AfterFunc(time.Millisecond, func() { damage(t, path, string(text[20:])) })
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
