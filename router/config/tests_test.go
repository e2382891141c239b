package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/router/config"
)

// Tests are read whichever way TOML has to write them, and each knows its place.
func TestTests(t *testing.T) {
	const routes = `
[connections.local]
[sources.in]
type = "imb"
events = ["a"]
[sinks.print]
type = "log"
[routes.show]
from = ["in"]
to = ["print"]
`
	headers := `[[tests]]
name = "one"
route = "show"
[tests.given]
source = "in"
event = "a"
tick = 3
priority = false
[[tests.expect]]
sink = "print"
text = ""
[[tests.expect]]
sink = "print"
[[tests]]
name = "two"
given = { file = "f", size = 5, mtime = 2026-05-04T03:02:01Z }
expect = []
`
	inline := `tests = [
	{ name = "one", route = "show", given = { source = "in", event = "a", tick = 3, priority = false }, expect = [{ sink = "print", text = "" }, { sink = "print" }] },
	{ name = "two", given = { file = "f", size = 5, mtime = "2026-05-04T03:02:01Z" }, expect = [] },
]
`
	want := func(one, two string) []config.Test {
		return []config.Test{
			{
				Name: "one", Route: "show", Place: one,
				Given: config.Given{Source: "in", Fields: config.Fields{
					Event: new("a"), Tick: new(int32(3)), Priority: new(false),
				}},
				Expect: []config.Expected{{Sink: "print", Fields: config.Fields{Text: new("")}}, {Sink: "print"}},
			},
			{
				Name: "two", Place: two, Expect: []config.Expected{},
				Given: config.Given{File: new("f"), Size: 5, ModTime: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)},
			},
		}
	}
	for text, tests := range map[string][]config.Test{
		headers + routes: want("dir/x.toml:1:1", "dir/x.toml:14:1"),
		inline + routes:  want("dir/x.toml:2:2", "dir/x.toml:3:2"),
	} {
		cfg, err := parse(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tests, cfg.Tests); diff != "" {
			t.Errorf("%s (-want +got)\n%s", text, diff)
		}
	}
}

// Problems in tests that are written as one value have their places, too.
func TestPlacesInLists(t *testing.T) {
	_, err := parse(t, `tests = [
	{ name = "one", given = { event = "a" }, expect = [{ sink = "x", tick = "y" }] },
	{ name = "two", give = 3, given = { event = "a" }, expect = [] },
	{ given = { event = "a" }, expect = [] },
	4,
]
[hub]`)
	want := `dir/x.toml:2:62: sink: there is no sink "x"
    2 | 	{ name = "one", given = { event = "a" }, expect = [{ sink = "x", tick = "y" }] },
      | 	                                                            ^
dir/x.toml:2:74: tick must be a whole number, not the text "y"
    2 | 	{ name = "one", given = { event = "a" }, expect = [{ sink = "x", tick = "y" }] },
      | 	                                                                        ^
dir/x.toml:3:18: unknown key "give" in [[tests]]; did you mean "given"?
    3 | 	{ name = "two", give = 3, given = { event = "a" }, expect = [] },
      | 	                ^
dir/x.toml:4:2: [[tests]] needs the key "name"
    4 | 	{ given = { event = "a" }, expect = [] },
      | 	^
dir/x.toml:5:2: tests must be a table, not the number 4
    5 | 	4,
      | 	^
`
	got := err.Error() + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
