package filter_test

import (
	"testing"

	"imbrouter/router"
)

func BenchmarkFilter(b *testing.B) {
	type set = map[string]string
	alarm := normal("there is an alarm in hall 3, and a text of about one hundred and forty bytes is what most signals on a hub hold, so here is some more.")
	object := normal(`{"level": 4, "what": "pump 3 is down", "where": {"hall": 3, "row": "B"}, "tags": ["pump", "water"]}`)
	for _, bench := range []struct {
		name   string
		signal router.Signal
		when   string
		set    set
	}{
		{"Text", alarm, `text contains "alarm" && event startsWith "a"`, nil},
		{"Event", alarm, `event startsWith "b"`, nil},
		{"JSON", object, `(json?.level ?? 0) >= 3`, nil},
		{"Loop", object, `any(json.tags, # == "water")`, nil},
		{"Pattern", alarm, `text matches "hall [0-9]+"`, nil},
		{"SetEvent", alarm, ``, set{"event": `"tno." + event`}},
		{"SetText", alarm, ``, set{"text": `upper(text)`}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			f := compile(b, bench.when, bench.set)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := f.Signal(bench.signal); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
