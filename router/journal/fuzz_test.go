package journal_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"imbrouter/router/journal"
)

// Whatever a journal holds, what can be read of it stays, in order, and what is
// appended comes after it.
func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"time":"2026-05-04T03:02:01.123Z","outcome":"sent","name":"a","size":1,"run":"r","id":1}` + "\n"))
	f.Add([]byte(`{"time":"2026-05-04T03:02:01Z","outcome":"unconfirmed","duration":"1s","run":"r","id":1}` + "\n{}\n\x00"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := pathIn(t)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		before, _ := read(t, path, journal.Filter{})
		j := open(t, path, journal.Options{})
		appendNamed(t, j, "appended")
		after, damaged := read(t, path, journal.Filter{})
		if len(damaged) > 0 {
			t.Errorf("still damaged: %q", damaged)
		}
		if n := len(after); n == 0 || after[n-1].Name != "appended" {
			t.Fatalf("after: %+v", after)
		}
		if !slices.Equal(names(before), names(after[:min(len(before), len(after))])) {
			t.Errorf("before: %+v, after: %+v", before, after)
		}
	})
}

// A record that was read is written so that it is read as the same.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"time":"2026-05-04T03:02:01.123Z","outcome":"sent","name":"a","size":1,"duration":"1h2m","run":"r","id":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var first, second journal.Record
		if first.UnmarshalJSON(text) != nil {
			return
		}
		text, err := first.MarshalJSON()
		if err == nil {
			err = second.UnmarshalJSON(text)
		}
		if err != nil {
			t.Fatalf("%+v: %s: %v", first, text, err)
		}
		first.Time = first.Time.Truncate(time.Millisecond).UTC()
		for _, text := range []*string{(*string)(&first.Outcome), &first.Run, &first.Route, &first.Source, &first.Sink, &first.Event, &first.Name, &first.Path, &first.SHA256, &first.Reason} {
			if len(*text) > 4<<10 {
				return // cut
			}
		}
		if second.Time = second.Time.UTC(); first != second {
			t.Errorf("%+v becomes %+v", first, second)
		}
	})
}
