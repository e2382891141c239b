package filter_test

import (
	"strings"
	"testing"

	"imbrouter/router/filter"
)

func TestMayTake(t *testing.T) {
	for _, tt := range []struct {
		when string
		want bool // for the event alarms.fire of the federation demo
	}{
		{``, true},
		{`event == "alarms.fire"`, true},
		{`event == "other"`, false},
		{`federation == "city"`, false},
		{`full_event startsWith "demo."`, true},
		{`full_event startsWith "city."`, false},
		{`event == "other" && text contains "x"`, false},
		{`event == "other" and text contains "x" and size > 3`, false},
		{`(event startsWith "alarms." && federation == "city") && size > 3`, false},
		{`event startsWith "alarms." && size > 1000000`, true},
		{`event in ["a", "b"] && size > 3`, false},
		{`not (event matches "^alarms") && size > 3`, false},
		{`event == "other" || size > 1000000`, true},
		{`event == "other" ? true : size > 3`, true},
		{`size > 1000000 && event == "other"`, true}, // what comes first might fail
		{`json.level > 3 && event == "other"`, true},
		{`source == "elsewhere" && event == "other"`, true},
		{`now.Year() < 2000 && event == "other"`, true},
		{`let e = event; e == "other"`, true},
	} {
		f := compile(t, tt.when, nil)
		if got := f.MayTake("demo", "alarms.fire"); got != tt.want {
			t.Errorf("%s: MayTake is %v, want %v", tt.when, got, tt.want)
		}
	}
}

// What MayTake leaves out, Signal would not have passed, nor failed on.
func FuzzMayTake(f *testing.F) {
	for _, when := range []string{
		`event == "b" && text contains "x"`, `event[0:3] == "b" and json.level > 3`, `"x" in event && size > 3`,
		`(event == "b" || federation == "c") && text matches "[a-z]+"`, `event == "b" && size > 3 || tick == 0`,
	} {
		f.Add(when, "a", "alarms", "hello")
	}
	f.Fuzz(func(t *testing.T, when, federation, event, text string) {
		flt, err := filter.Compile(when, nil, noLimits)
		if err != nil || strings.TrimSpace(when) == "" || flt.MayTake(federation, event) {
			return
		}
		s := normal(text)
		s.Federation, s.Event = federation, event
		if _, pass, err := flt.Signal(s); pass || err != nil {
			t.Errorf("%s: MayTake(%q, %q) is false, Signal gives %v, %v", when, federation, event, pass, err)
		}
	})
}
