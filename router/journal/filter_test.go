package journal_test

import (
	"strings"
	"testing"
	"time"

	"imbrouter/router/journal"
)

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
