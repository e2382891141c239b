package deadletter_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"imbrouter/imb/wire"
	"imbrouter/router/deadletter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dirIn(t testing.TB) string { return deadletter.Dir(t.TempDir(), "conf/router.toml") }

func open(t testing.TB, dir string, o deadletter.Options) *deadletter.Store {
	t.Helper()
	s, err := deadletter.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// add adds a letter to a route for each event.
func add(t testing.TB, s *deadletter.Store, route string, events ...string) {
	t.Helper()
	for _, event := range events {
		if err := s.Add(deadletter.Letter{Route: route, Event: event, Error: "away"}); err != nil {
			t.Fatal(err)
		}
	}
}

// list returns the letters, and the errors about lines.
func list(t testing.TB, dir, route string) (letters []deadletter.Letter, damaged []string) {
	t.Helper()
	for l, err := range deadletter.List(dir, route) {
		var line *deadletter.LineError
		switch {
		case errors.As(err, &line):
			damaged = append(damaged, err.Error())
		case err != nil:
			t.Fatal(err)
		default:
			letters = append(letters, l)
		}
	}
	return letters, damaged
}

func events(letters []deadletter.Letter) (events []string) {
	for _, l := range letters {
		events = append(events, l.Event)
	}
	return events
}

func wantEvents(t testing.TB, dir, route string, want ...string) {
	t.Helper()
	letters, damaged := list(t, dir, route)
	if got := events(letters); !slices.Equal(got, want) || len(damaged) > 0 {
		t.Errorf("letters of %q: %q, damage %q; want %q", route, got, damaged, want)
	}
}

func TestDir(t *testing.T) {
	if got, want := deadletter.Dir("state", "conf/quick.start.toml"), filepath.Join("state", "quick.start.dead"); got != want {
		t.Errorf("Dir is %q, want %q", got, want)
	}
}

func TestLetterComesBack(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 123e6, time.UTC)
	for name, l := range map[string]deadletter.Letter{
		"everything": {
			ID: "0001", Time: at, Route: "alarms", Sinks: []string{"a", "b"}, Error: "disk <full>", Source: "in", Federation: "demo",
			Event: "fire", Redirected: true, Relayed: true, Kind: wire.NormalEvent, Flags: wire.Priority | 0xABCD0000,
			Tick: math.MinInt32, Data: wire.AppendString(nil, "hello"),
		},
		"nothing":            {ID: "0002", Time: at},
		"event of no UTF-8":  {ID: "0003", Time: at, Event: "caf\xe9", Kind: wire.ChangeObject, Data: []byte{0, 255}},
		"kind of no name":    {ID: "0004", Time: at, Kind: 200},
		"data in binary":     {ID: "0005", Time: at, Data: []byte(strings.Repeat("é\x00", 1000))},
		"as large as can be": {ID: "0006", Time: at, Data: []byte(strings.Repeat("<é", wire.MaxEventData/3))},
		"route of any name":  {ID: "0007", Time: at, Route: "../a b/ü"},
		"route of no name":   {ID: "0008", Time: at, Route: ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := dirIn(t)
			s := open(t, dir, deadletter.Options{})
			if err := s.Add(l); err != nil {
				t.Fatal(err)
			}
			got, err := deadletter.Get(dir, l.ID)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(l.Data, got.Data) {
				t.Errorf("data of %d bytes, want %d", len(got.Data), len(l.Data))
			}
			if diff := cmp.Diff(l, got, cmpopts.IgnoreFields(l, "Data")); diff != "" {
				t.Error(diff)
			}
			if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) != 1 {
				t.Errorf("outside of the folder: %v, %v", entries, err)
			}
		})
	}
}

func TestLine(t *testing.T) {
	dir := dirIn(t)
	s := open(t, dir, deadletter.Options{})
	at := time.Date(2026, 5, 4, 3, 2, 1, 123e6, time.UTC)
	l := deadletter.Letter{
		ID: "0001", Time: at, Route: "alarms", Sinks: []string{"print"}, Error: "away", Source: "in", Federation: "demo", Event: "fire",
		Kind: wire.NormalEvent, Tick: 7, Data: wire.AppendString(nil, "he<llo"),
	}
	if err := s.Add(l); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "alarms.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"0001","time":"2026-05-04T03:02:01.123Z","route":"alarms","sinks":["print"],"error":"away","source":"in",` +
		`"federation":"demo","event":"fire","kind":"normal","tick":7,"size":10,"text":"he<llo","data":"BgAAAGhlPGxsbw=="}` + "\n"
	if string(text) != want {
		t.Errorf("line:\n%swant:\n%s", text, want)
	}
}

func TestText(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		text string
		ok   bool
	}{
		"IMB string": {"\x02\x00\x00\x00hi", "hi", true},
		"UTF-8":      {"hé\n", "hé\n", true},
		"escapes":    {"\x1b[2J", "", false},
		"binary":     {"\xff\x00", "", false},
	} {
		text, ok := deadletter.Letter{Data: []byte(c.data)}.Text()
		if ok != c.ok || ok && text != c.text {
			t.Errorf("%s: %q, %v", name, text, ok)
		}
	}
}

func TestIDsSortAndDiffer(t *testing.T) {
	dir := dirIn(t)
	s := open(t, dir, deadletter.Options{})
	var adding sync.WaitGroup
	for range 4 {
		adding.Go(func() { add(t, s, "r", make([]string, 50)...) })
	}
	adding.Wait()
	letters, _ := list(t, dir, "")
	for i := 1; i < len(letters); i++ {
		if letters[i-1].ID >= letters[i].ID {
			t.Errorf("%q is not before %q", letters[i-1].ID, letters[i].ID)
		}
	}
	if len(letters) != 200 {
		t.Errorf("%d letters", len(letters))
	}
}

func TestListGetRemove(t *testing.T) {
	dir := dirIn(t)
	if letters, damaged := list(t, dir, ""); len(letters)+len(damaged) > 0 {
		t.Errorf("of no folder: %v, %v", letters, damaged)
	}
	if n, err := deadletter.Remove(dir, "x"); n != 0 || err != nil {
		t.Errorf("Remove of no folder: %d, %v", n, err)
	}
	s := open(t, dir, deadletter.Options{})
	add(t, s, "b", "b1", "b2", "b3")
	add(t, s, "a", "a1", "a2")
	wantEvents(t, dir, "", "a1", "a2", "b1", "b2", "b3")
	wantEvents(t, dir, "b", "b1", "b2", "b3")
	letters, _ := list(t, dir, "")
	if n, err := deadletter.Remove(dir, letters[0].ID, letters[1].ID, letters[3].ID, "no such"); n != 3 || err != nil {
		t.Errorf("Remove: %d, %v", n, err)
	}
	wantEvents(t, dir, "", "b1", "b3")
	if l, err := deadletter.Get(dir, letters[4].ID); err != nil || l.Event != "b3" {
		t.Errorf("Get: %v, %v", l, err)
	}
	if _, err := deadletter.Get(dir, letters[0].ID); !errors.Is(err, deadletter.ErrNotFound) || !strings.Contains(err.Error(), letters[0].ID) {
		t.Errorf("Get of what was removed: %v", err)
	}
	add(t, s, "a", "a3") // whose file is gone
	add(t, s, "b", "b4") // whose file is another
	wantEvents(t, dir, "", "a3", "b1", "b3", "b4")
}

// What is added while others are removed is not lost.
func TestUpdate(t *testing.T) {
	dir := dirIn(t)
	if err := deadletter.Update(dir, deadletter.Letter{ID: "x"}); err != nil {
		t.Errorf("no folder: %v", err)
	}
	s := open(t, dir, deadletter.Options{})
	for _, id := range []string{"1", "2", "3", "4"} {
		if err := s.Add(deadletter.Letter{ID: id, Route: "r", Sinks: []string{"a", "b"}, Event: "e"}); err != nil {
			t.Fatal(err)
		}
	}
	letter := func(id string) deadletter.Letter {
		l, err := deadletter.Get(dir, id)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	second, gone := letter("2"), letter("3")
	second.Sinks, second.Error = []string{"b"}, "only b"
	if n, err := deadletter.Remove(dir, gone.ID); n != 1 || err != nil {
		t.Fatalf("removed %d: %v", n, err)
	}
	if err := deadletter.Update(dir, second, gone); err != nil {
		t.Fatal(err)
	}
	var got []string
	for l, err := range deadletter.List(dir, "r") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(l.ID, l.Sinks, l.Error))
	}
	if diff := cmp.Diff([]string{"1[a b]", "2[b]only b", "4[a b]"}, got); diff != "" {
		t.Errorf("letters (-want +got):\n%s", diff)
	}
}

func TestAddAndRemoveAtOnce(t *testing.T) {
	dir := dirIn(t)
	s := open(t, dir, deadletter.Options{})
	const n = 300
	var adding sync.WaitGroup
	adding.Go(func() {
		for i := range n {
			add(t, s, "r", fmt.Sprint(i))
		}
	})
	removed := 0
	for removed < n {
		var ids []string
		for l, err := range deadletter.List(dir, "r") {
			if err != nil {
				t.Fatal(err)
			}
			if l.Event != fmt.Sprint(removed+len(ids)) {
				t.Fatalf("letter %q, want %d", l.Event, removed+len(ids))
			}
			ids = append(ids, l.ID)
		}
		got, err := deadletter.Remove(dir, ids...)
		if err != nil || got != len(ids) {
			t.Fatalf("removed %d of %d: %v", got, len(ids), err)
		}
		removed += got
	}
	adding.Wait()
}

func TestSizeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := dirIn(t)
		var log strings.Builder
		s := open(t, dir, deadletter.Options{MaxSize: 10_000, Log: slog.New(slog.NewTextHandler(&log, nil))})
		add(t, s, "other", "stays")
		for i := range 1000 {
			add(t, s, "r", fmt.Sprint(i))
			if info, err := os.Stat(filepath.Join(dir, "r.jsonl")); err != nil || info.Size() > 10_000 {
				t.Fatalf("after %d: %v, %v", i, info.Size(), err)
			}
		}
		letters, damaged := list(t, dir, "r")
		got := events(letters)
		if len(got) < 10 || len(damaged) > 0 || got[len(got)-1] != "999" || got[0] != fmt.Sprint(1000-len(got)) {
			t.Errorf("letters: %q, damage: %q", got, damaged)
		}
		wantEvents(t, dir, "other", "stays")
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("log of %d lines:\n%s", n, &log)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		first, rest := 0, 0
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		for i, into := range []*int{&first, &rest} {
			_, count, _ := strings.Cut(lines[min(i, len(lines)-1)], "count=")
			if _, err := fmt.Sscan(count, into); err != nil || !strings.Contains(lines[i], "route=r") {
				t.Errorf("log:\n%s", &log)
			}
		}
		if first+rest+len(got) != 1000 {
			t.Errorf("told of %d and %d letters that are gone, and %d are there", first, rest, len(got))
		}
	})
}

func TestLetterThatIsTooLarge(t *testing.T) {
	dir := dirIn(t)
	s := open(t, dir, deadletter.Options{MaxSize: 10_000})
	add(t, s, "r", "a", "b")
	if err := s.Add(deadletter.Letter{Route: "r", Data: make([]byte, 9000)}); !errors.Is(err, deadletter.ErrTooLarge) || !strings.Contains(err.Error(), `"r"`) {
		t.Errorf("Add gives %v", err)
	}
	wantEvents(t, dir, "r", "a", "b")
	// More than half of what there is room for.
	if err := s.Add(deadletter.Letter{Route: "r", Event: "large", Data: make([]byte, 7250)}); err != nil {
		t.Error(err)
	}
	wantEvents(t, dir, "r", "b", "large")
}

func TestAgeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := dirIn(t)
		var log strings.Builder
		o := deadletter.Options{MaxAge: 24 * time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))}
		s := open(t, dir, o)
		add(t, s, "r", "a", "b")
		time.Sleep(20 * time.Hour)
		add(t, s, "r", "c")
		wantEvents(t, dir, "r", "a", "b", "c")
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		wantEvents(t, dir, "r", "c")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "count=2"); n != 1 {
			t.Errorf("log:\n%s", &log)
		}
		time.Sleep(24 * time.Hour)
		open(t, dir, o)
		wantEvents(t, dir, "")
	})
}

func TestUnfinishedLine(t *testing.T) {
	dir := dirIn(t)
	s := open(t, dir, deadletter.Options{})
	add(t, s, "r", "a")
	f, err := os.OpenFile(filepath.Join(dir, "r.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(`{"id":"00`)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	add(t, s, "r", "b")
	letters, damaged := list(t, dir, "r")
	if got := events(letters); !slices.Equal(got, []string{"a", "b"}) || len(damaged) != 1 || !strings.Contains(damaged[0], "r.jsonl:2: ") {
		t.Errorf("letters %q, damage %q", got, damaged)
	}
	if n, err := deadletter.Remove(dir, letters[0].ID); n != 1 || err != nil {
		t.Errorf("Remove: %d, %v", n, err)
	}
	if l, err := deadletter.Get(dir, letters[1].ID); err != nil || l.Event != "b" {
		t.Errorf("Get behind a damaged line: %v, %v", l, err)
	}
}

// Another program that has the lock and does not go on holds nobody up for long.
func TestLockThatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := dirIn(t)
		s := open(t, dir, deadletter.Options{})
		add(t, s, "r", "before")
		synctest.Wait() // what was added is synced
		other := flock.New(filepath.Join(dir, ".lock"))
		if err := other.Lock(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 100 {
			if err := s.Add(deadletter.Letter{Route: "r"}); !errors.Is(err, deadletter.ErrLocked) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("Add gives %v", err)
			}
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("100 letters took %v", took)
		}
		for _, err := range deadletter.List(dir, "") {
			if !errors.Is(err, deadletter.ErrLocked) {
				t.Errorf("List gives %v", err)
			}
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		add(t, s, "r", "after")
		wantEvents(t, dir, "r", "before", "after")

		synctest.Wait()
		if err := other.Lock(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { _ = other.Close() })
		add(t, s, "r", "waited for")
		wantEvents(t, dir, "r", "before", "after", "waited for")
	})
}

// What could not be made durable is not forgotten.
func TestSyncIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := dirIn(t)
		var log strings.Builder
		s, err := deadletter.Open(dir, deadletter.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		add(t, s, "r", "a")
		synctest.Wait()
		add(t, s, "r", "b") // to be synced in a second
		path := filepath.Join(dir, "r.jsonl")
		if err := errors.Join(os.Rename(path, path+".away"), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "not safe from a power cut"); n != 1 {
			t.Errorf("told %d times:\n%s", n, &log)
		}
		if err := s.Close(); err == nil {
			t.Error("Close knows of nothing that is not durable")
		}
	})
}

func TestClosed(t *testing.T) {
	s := open(t, dirIn(t), deadletter.Options{})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Add(deadletter.Letter{}); !errors.Is(err, deadletter.ErrClosed) {
		t.Errorf("Add gives %v", err)
	}
}

// Whatever lies in the folder: what can be read is listed, and adding and
// removing goes on.
func FuzzList(f *testing.F) {
	f.Add([]byte(`{"id":"1","time":"2026-05-04T03:02:01.123Z","route":"r","error":"","event":"a","kind":"normal","size":0,"data":null}` + "\n"))
	f.Add([]byte("{\"id\":\"1\",\"time\":\"2026-05-04T03:02:01Z\",\"kind\":\"200\",\"raw_event\":\"6Q==\"}\n\n\x00"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "r.jsonl")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		before, _ := list(t, dir, "")
		s := open(t, dir, deadletter.Options{MaxAge: math.MaxInt64})
		if err := s.Add(deadletter.Letter{ID: "added", Route: "r"}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		after, _ := list(t, dir, "")
		if len(after) == 0 || after[len(after)-1].ID != "added" {
			t.Fatalf("before: %+v, after: %+v", before, after)
		}
		for _, l := range after {
			if _, err := deadletter.Remove(dir, l.ID); err != nil {
				t.Fatal(err)
			}
		}
		if left, _ := list(t, dir, ""); len(left) > 0 {
			t.Errorf("left: %+v", left)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	s := open(b, dirIn(b), deadletter.Options{})
	l := deadletter.Letter{
		Route: "alarms", Error: `sink "print": hub of connection "local": not connected`, Source: "in", Federation: "demo",
		Event: "fire", Kind: wire.NormalEvent, Data: wire.AppendString(nil, `{"level": 4, "text": "smoke in hall 3"}`),
	}
	for b.Loop() {
		if err := s.Add(l); err != nil {
			b.Fatal(err)
		}
	}
}
