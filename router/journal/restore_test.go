package journal_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"imbrouter/router/journal"
)

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
