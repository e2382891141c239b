package trial_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/router/config"
	"imbrouter/router/daemon/daemontest"
	"imbrouter/router/filter"
	"imbrouter/router/trial"
)

const routes = `
[connections.plant]
federation = "plant"
[connections.city]
federation = "city"

[sources.outbox]
type = "dir"
path = "drop"
include = ["**/*.csv"]
exclude = ["old"]
[sources.alarms]
type = "imb"
connection = "plant"
events = ["alarms.*", "objects", "=bare"]
[sources.files]
type = "imb"
connection = "plant"
events = ["files"]

[sinks.city]
type = "imb"
connection = "city"
[sinks.tables]
type = "imb"
connection = "city"
event = "tables"
[sinks.inbox]
type = "dir"
path = "received"
filename = 'event + "/" + stream'
max_size = "1KiB"
[sinks.print]
type = "log"

[routes.alarms]
from = ["alarms"]
when = 'kind != "normal" || json.level >= 3'
to = ["city", "print"]
[routes.alarms.set]
event = '"plant." + event'
text = 'upper(text)'
object_id = 'object_id + 1'

[routes.send]
from = ["outbox"]
to = ["tables", "inbox"]
set.event = '"x"'

[routes.collect]
from = ["files", "alarms"]
when = 'event != "objects"'
to = ["inbox"]
[routes.collect.set]
federation = '"other"'
`

func load(t *testing.T, tests string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("x.toml", []byte(routes+tests), daemontest.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// run runs the tests that a text holds, without their names.
func run(t *testing.T, tests string) (diffs []string) {
	t.Helper()
	cfg := load(t, strings.ReplaceAll(tests, "[[tests]]", "[[tests]]\nname = \"x\""))
	for _, test := range cfg.Tests {
		diffs = append(diffs, trial.Test(cfg, test))
	}
	return diffs
}

func TestPasses(t *testing.T) {
	for name, test := range map[string]string{
		"a signal is rewritten, who looks on is left out": `
			given = { event = "alarms.fire", text = '{"level": 4}', tick = 7, priority = true }
			expect = [{ sink = "city", event = "plant.alarms.fire", federation = "city", text = '{"LEVEL": 4}', kind = "normal", tick = 7, priority = true }]`,
		"who looks on is named": `
			given = { event = "alarms.fire", text = '{"level": 4}' }
			expect = [{ sink = "print", event = "plant.alarms.fire" }, { sink = "city" }]`,
		"when is false": `
			given = { event = "alarms.fire", text = '{"level": 2}' }
			expect = []`,
		"when fails, as it is to": `
			given = { event = "alarms.fire", text = "no JSON" }
			fails = true
			expect = []`,
		"another route does not count": `
			given = { event = "alarms.fire", text = "no JSON" }
			route = "collect"
			expect = []`,
		"nobody subscribes to it": `
			given = { full_event = "plant.other" }
			expect = []`,
		"an event outside of the federation": `
			given = { full_event = "bare", text = '{"level": 4}' }
			expect = [{ sink = "city", full_event = "city.plant.bare" }]`,
		"an object": `
			given = { event = "objects", action = "new", object_id = 4, attribute = "a" }
			expect = [{ sink = "city", kind = "change_object", action = "new", object_id = 5, attribute = "a" }]`,
		"an object with data": `
			given = { event = "objects", kind = "change_object_data", object_id = 4, data = "rest" }
			expect = [{ sink = "city", action = "new", object_id = 5, data = "\u0000\u0000\u0000\u0000\u0005\u0000\u0000\u0000\u0000\u0000\u0000\u0000rest" }]`,
		"data of another kind": `
			given = { event = "alarms.x", kind = "77", data = "x" }
			expect = [{ sink = "city", kind = "77", data = "x" }]`,
		"a file": `
			given = { file = "a/b.csv", data = "1;2" }
			expect = [
				{ sink = "inbox", file = "x/a/b.csv", data = "1;2" },
				{ sink = "tables", full_event = "city.tables", stream = "a/b.csv", text = "1;2", kind = "stream" },
			]`,
		"a file that a sink refuses": `
			given = { file = "b.csv", size = 2000 }
			expect = [{ sink = "tables" }]`,
		"files that are left alone": `
			given = { file = "b.txt" }
			expect = []
			[[tests]]
			given = { file = "old/b.csv" }
			expect = []`,
		"a stream": `
			given = { event = "files", stream = "../x" }
			expect = [{ sink = "inbox", file = "files/%2E%2E/x", event = "files", federation = "other" }]`,
		"one route of two": `
			given = { event = "alarms.x", stream = "s" }
			route = "collect"
			expect = [{ sink = "inbox" }]`,
		"both": `
			given = { event = "alarms.x", stream = "s" }
			expect = [{ sink = "inbox" }, { sink = "city" }]`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, diff := range run(t, "[[tests]]"+test) {
				if diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestFailures(t *testing.T) {
	long := strings.Repeat("a", 500)
	for test, want := range map[string]string{
		`given = { event = "alarms.fire", text = '{"level": 4}' }
		expect = [{ sink = "city", event = "alarms.fire", text = '{"level": 4}' }]`: `sink "city" gets something else by route "alarms":
  event      want "alarms.fire"
             got  "plant.alarms.fire"
  text       want "{\"level\": 4}"
             got  "{\"LEVEL\": 4}"
`,
		`given = { event = "alarms.fire", text = '{"level": 1}' }
		expect = [{ sink = "city", event = "alarms.fire", tick = 3 }, { sink = "print" }]`: `sink "city" gets nothing with event "alarms.fire", tick 3
  route "alarms": its ` + "`when`" + ` is false
sink "print" gets nothing
  route "alarms": its ` + "`when`" + ` is false
`,
		`given = { event = "alarms.fire", text = 'no JSON' }
		expect = [{ sink = "city" }]`: `route "alarms" fails on it: when: cannot take "level" from nil; where it may be absent, write (json?.level ?? 0) (at column 26 of the expression)
sink "city" gets nothing
`,
		`given = { event = "alarms.fire", text = 'no JSON' }
		expect = []`: `route "alarms" fails on it: when: cannot take "level" from nil; where it may be absent, write (json?.level ?? 0) (at column 26 of the expression)
`,
		`given = { event = "objects", object_id = 2147483647 }
		expect = []`: `route "alarms" fails on it: set.object_id: gives 2147483648, which does not fit 32 bits (at column 1 of the expression)
`,
		`given = { event = "alarms.fire", text = '{"level": 1}' }
		fails = true
		expect = []`: "no expression fails on it, as `fails` says\n",
		`given = { file = "b.csv", size = 2000, source = "outbox" }
		expect = [{ sink = "inbox" }]`: `sink "inbox" gets nothing
  route "send": the stream is larger than max_size, 1KiB
  route "collect": source "outbox" is not in its ` + "`from`" + `
sink "tables" gets what is not expected, by route "send":
  event      "tables"
  federation "city"
  kind       "stream"
  stream     "b.csv"
`,
		`given = { event = "files", text = "x" }
		expect = [{ sink = "inbox" }]`: `sink "inbox" gets nothing
  route "send": source "outbox" brings files only
  route "collect": a folder takes files and streams only
  route "collect": source "alarms" does not subscribe to "plant.files", but to "plant.alarms.*", "plant.objects", "bare"
`,
		`given = { file = "b.csv", text = "` + long + `b` + long + `" }
		route = "send"
		expect = [{ sink = "inbox" }, { sink = "tables", text = "` + long + `c` + long + `" }]`: `sink "tables" gets something else by route "send":
  text       want …` + long[:25] + `c` + long[:74] + `…
             got  …` + long[:25] + `b` + long[:74] + `…
`,
	} {
		if diff := cmp.Diff(want, run(t, "[[tests]]\n"+test)[0]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test, diff)
		}
	}
}

// Each expectation needs a message of its own, and one that two messages meet
// leaves the other one to the second.
func TestExpectationsShareNothing(t *testing.T) {
	diffs := run(t, `
[[tests]]
given = { event = "alarms.x", stream = "s" }
route = "collect"
expect = [{ sink = "inbox" }, { sink = "inbox" }]
[[tests]]
given = { file = "b.csv" }
expect = [{ sink = "tables" }, { sink = "tables", event = "tables" }, { sink = "inbox" }]
`)
	for i, want := range []string{`sink "inbox" gets nothing`, `sink "tables" gets nothing`} {
		if !strings.HasPrefix(diffs[i], want) {
			t.Errorf("%q, want %s", diffs[i], want)
		}
	}
}

func TestShow(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{nil, "nil"},
		{true, "true"},
		{-3, "-3"},
		{2.5, "2.5"},
		{"a\x1b\"", `"a\x1b\""`},
		{[]byte("a\xff"), `"a\xff"`},
		{time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), "2026-05-04T03:02:01Z"},
		{3 * time.Second, "3s"},
		{map[string]any{"a": []any{1, "<\u009b\\>"}}, `{"a":[1,"<\u009b\\>"]}`},
	} {
		if got := trial.Show(test.value); got != test.want {
			t.Errorf("%v is shown as %s, want %s", test.value, got, test.want)
		}
	}
}

// Eval is of the message that came, and Field of that which goes.
func TestMessages(t *testing.T) {
	cfg := load(t, "")
	event, text := "alarms.x", `{"level": 3}`
	outcomes := trial.Run(cfg, config.Given{Source: "alarms", Fields: config.Fields{Event: &event, Text: &text}})
	var ways []string
	for _, o := range outcomes {
		ways = append(ways, o.Route.Name+"/"+o.Source)
	}
	if diff := cmp.Diff([]string{"alarms/alarms", "send/", "collect/alarms"}, ways); diff != "" {
		t.Fatal(diff)
	}
	e, err := filter.CompileExpression(`[event, source, json.level]`)
	if err != nil {
		t.Fatal(err)
	}
	o := outcomes[0]
	v, err := o.In.Eval(e)
	if got := trial.Show(v); got != `["alarms.x","alarms",3]` || err != nil || o.Out.Field("event") != "plant.alarms.x" || !o.In.Arrived() {
		t.Errorf("%s, %v; %v", got, err, o.Out.Field("event"))
	}
	if outcomes[1].In.Arrived() {
		t.Error("a message has arrived at a route that does not have its source")
	}
}
