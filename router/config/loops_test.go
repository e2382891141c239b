package config_test

import (
	"strings"
	"testing"
)

// TestLoops tells loops from what is none. A loop's message is in the golden
// files of testdata/loops.
func TestLoops(t *testing.T) {
	const hubs = `
		[connections.north]
		federation = "north"
		[connections.south]
		federation = "south"
		[connections.away]
		address = "away.example"
		federation = "north"
		`
	source := func(name, connection, events, more string) string {
		return "[sources." + name + "]\ntype = \"imb\"\nconnection = \"" + connection + "\"\nevents = " + events + "\n" + more + "\n"
	}
	sink := func(name, connection, more string) string {
		return "[sinks." + name + "]\ntype = \"imb\"\nconnection = \"" + connection + "\"\n" + more + "\n"
	}
	folder := func(kind, name, path, more string) string {
		return "[" + kind + "." + name + "]\ntype = \"dir\"\npath = \"" + path + "\"\n" + more + "\n"
	}
	route := func(name, from, to, more string) string {
		return "[routes." + name + "]\nfrom = [\"" + from + "\"]\nto = [\"" + to + "\"]\n" + more + "\n"
	}
	const ignore = "ignore_relayed = true"

	for _, test := range []struct {
		name string
		text string
		loop bool
	}{
		{"federation to federation", source("n", "north", `["a.*"]`, "") + sink("s", "south", "") + route("r", "n", "s", ""), false},
		{"the same event", source("n", "north", `["a"]`, "") + sink("s", "north", "") + route("r", "n", "s", ""), true},
		{"the same event, ignored", source("n", "north", `["a"]`, ignore) + sink("s", "north", "") + route("r", "n", "s", ""), false},
		{"in other letters", source("n", "north", `["a"]`, "") + sink("s", "north", `event = "A"`) + route("r", "n", "s", ""), true},
		{"another event", source("n", "north", `["a"]`, "") + sink("s", "north", `event = "ab"`) + route("r", "n", "s", ""), false},
		{"another event, set", source("n", "north", `["a"]`, "") + sink("s", "north", "") + route("r", "n", "s", `set.event = '"b"'`), false},
		{"another federation, set", source("n", "north", `["a"]`, "") + sink("s", "north", "") + route("r", "n", "s", `set.federation = '"x"'`), false},
		{"the same federation, set", source("n", "south", `["a"]`, "") + sink("s", "north", "") + route("r", "n", "s", `set.federation = '"SOUTH"'`), true},
		{"another federation, set beside the sink's event", source("n", "north", `["a"]`, "") + sink("s", "north", `event = "a"`) + route("r", "n", "s", `set.federation = '"x"'`), false},
		{"the same federation, set beside the sink's event", source("n", "north", `["a"]`, "") + sink("s", "south", `event = "a"`) + route("r", "n", "s", `set.federation = '"north"'`), true},
		{"computed federation beside the sink's event", source("n", "north", `["a"]`, "") + sink("s", "south", `event = "b"`) + route("r", "n", "s", `set.federation = 'text'`), true},
		{"another hub", source("n", "north", `["a"]`, "") + sink("s", "away", "") + route("r", "n", "s", ""), false},
		{"another hub and back", source("n", "north", `["a"]`, "") + sink("s", "away", "") + route("r", "n", "s", "") +
			source("n2", "away", `["*"]`, "") + sink("s2", "north", "") + route("r2", "n2", "s2", ""), true},
		{"a wildcard within another", source("n", "north", `["a.*"]`, "") + sink("s", "north", `event = "a.b.c"`) + route("r", "n", "s", ""), true},
		{"a wildcard beside", source("n", "north", `["a.*"]`, "") + sink("s", "north", `event = "a"`) + route("r", "n", "s", ""), false},
		{"computed, in another federation", source("n", "north", `["a"]`, "") + sink("s", "south", "") + route("r", "n", "s", `set.event = 'text'`), false},
		{"everything on the hub", source("n", "north", `["=*"]`, "") + sink("s", "south", "") + route("r", "n", "s", ""), true},
		{"a prefix of the federation", source("n", "north", `["=no*"]`, "") + sink("s", "south", "") + source("n2", "south", `["x"]`, "") +
			sink("s2", "north", "") + route("r", "n", "s", "") + route("r2", "n2", "s2", ""), true},
		{"a name outside of the federation", source("n", "north", `["=bare"]`, "") + sink("s", "south", "") + route("r", "n", "s", "") +
			source("n2", "south", `["bare"]`, "") + sink("s2", "north", "") + route("r2", "n2", "s2", ""), false},
		{"both ways", source("n", "north", `["a"]`, "") + sink("s", "north", "") + source("n2", "south", `["a"]`, "") + sink("s2", "south", "") +
			route("r", "n", "s2", "") + route("r2", "n2", "s", ""), true},
		{"both ways, one ignores", source("n", "north", `["a"]`, ignore) + sink("s", "north", "") + source("n2", "south", `["a"]`, "") + sink("s2", "south", "") +
			route("r", "n", "s2", "") + route("r2", "n2", "s", ""), false},
		{"two routes of one source", source("n", "north", `["a"]`, "") + sink("s", "south", "") + sink("s2", "north", `event = "b"`) +
			route("r", "n", "s", "") + route("r2", "n", "s2", ""), false},
		{"three routes", source("a", "north", `["a"]`, "") + source("b", "north", `["b"]`, "") + source("c", "north", `["c"]`, "") +
			sink("a", "north", `event = "a"`) + sink("b", "north", `event = "b"`) + sink("c", "north", `event = "c"`) +
			route("1", "a", "b", "") + route("2", "b", "c", "") + route("3", "c", "a", ""), true},

		{"folders", folder("sources", "in", "drop", "") + folder("sinks", "out", "received", "") + route("r", "in", "out", ""), false},
		{"one folder", folder("sources", "in", "drop", "") + folder("sinks", "out", "./drop/", "") + route("r", "in", "out", ""), true},
		{"folders that begin alike", folder("sources", "in", "drop", "") + folder("sinks", "out", "drop2", "") + route("r", "in", "out", ""), false},
		{"a folder in the source's", folder("sources", "in", "data", "") + folder("sinks", "out", "data/in", "") + route("r", "in", "out", ""), true},
		{"a folder in the source's, which is flat", folder("sources", "in", "data", "recursive = false") + folder("sinks", "out", "data/in", "") + route("r", "in", "out", ""), false},
		{"the source's folder in the sink's", folder("sources", "in", "data/in", "recursive = false") + folder("sinks", "out", "data", "") + route("r", "in", "out", ""), true},
		{"a folder through a hub", folder("sources", "in", "drop", "") + sink("s", "north", `event = "f"`) + route("r", "in", "s", "") +
			source("n", "north", `["f"]`, ignore) + folder("sinks", "out", "drop", "") + route("r2", "n", "out", ""), true},
		{"the quickstart", folder("sources", "in", "drop", "") + sink("s", "north", `event = "f"`) + route("r", "in", "s", "") +
			source("n", "north", `["f"]`, "") + folder("sinks", "out", "received", "") + route("r2", "n", "out", ""), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(t, hubs+test.text)
			isLoop := err != nil && strings.Contains(err.Error(), "a message would go round for ever") &&
				strings.Count(err.Error(), "dir/x.toml:") == 1
			if isLoop != test.loop || err != nil && !isLoop {
				t.Errorf("%v", err)
			}
		})
	}
}
