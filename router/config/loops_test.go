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
		{"a folder that the source leaves out", folder("sources", "in", "data", `exclude = ["in"]`) + folder("sinks", "out", "data/in", "") + route("r", "in", "out", ""), false},
		{"one folder, from one hub to another", source("n", "north", `["f"]`, "") + folder("sinks", "out", "drop", "") + route("r", "n", "out", "") +
			folder("sources", "in", "drop", "") + sink("s", "away", `event = "f"`) + route("r2", "in", "s", ""), false},
		{"one hub by two names", source("n", "first", `["a"]`, "") + sink("s", "second", "") + route("r", "n", "s", "") + `
			[connections.first]
			address = "localhost:4009"
			[connections.second]
			address = "127.0.0.1:4009"
			`, true},
		{"one hub by its name and as another machine", source("n", "first", `["a"]`, "") + sink("s", "second", "") + route("r", "n", "s", "") + `
			[connections.first]
			address = "LOCALHOST:4009"
			[connections.second]
			address = "elsewhere:4009"
			`, false},
		{"the hub of this file by its address", source("n", "inside", `["a"]`, "") + sink("s", "outside", "") + route("r", "n", "s", "") + `
			[hub]
			listen = "0.0.0.0:4000"
			[connections.inside]
			[connections.outside]
			address = "localhost"
			`, true},
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

// TestSharedFolders tells folders that parts may share from those they may not.
// The messages are in testdata/errors/folders.golden.
func TestSharedFolders(t *testing.T) {
	source := func(path, more string) string { return "type = \"dir\"\npath = \"" + path + "\"\n" + more }
	for _, test := range []struct {
		name, a, b string // sources
		shared     bool
	}{
		{"two folders", source("a", ""), source("b", ""), false},
		{"folders that begin alike", source("a", ""), source("ab", ""), false},
		{"one folder", source("a", ""), source("b/../a/", ""), true},
		{"one flat folder", source("a", "recursive = false"), source("a", "recursive = false"), true},
		{"nested", source("a", ""), source("a/b/c", ""), true},
		{"nested, the inner first", source("a/b/c", ""), source("a", ""), true},
		{"nested in a flat one", source("a", "recursive = false"), source("a/b", ""), false},
		{"nested and excluded", source("a", `exclude = ["b"]`), source("a/b/c", ""), false},
		{"what another has sent", source("a", "recursive = false"), source("a/sent", ""), true},
		{"part of what failed, the inner first", source("a/failed/b", ""), source("a", ""), true},
		{"the parent", source("a/b", ""), source(".", "recursive = false"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(t, "[sources.a]\n"+test.a+"\n[sources.b]\n"+test.b+`
				[sinks.print]
				type = "log"
				[routes.r]
				from = ["a", "b"]
				to = ["print"]`)
			if shared := err != nil && strings.Contains(err.Error(), "[sources.a]") && strings.Contains(err.Error(), "use another folder") &&
				strings.Count(err.Error(), "dir/x.toml:") == 1; shared != test.shared || err != nil && !shared {
				t.Error(err)
			}
		})
	}
}

// TestRemovedFiles tells folders in which one part would remove what another has
// yet to deal with.
func TestRemovedFiles(t *testing.T) {
	for _, test := range []struct {
		name, source, sink string
		fault              string // "" for none
	}{
		{"apart", `path = "drop"` + "\nremoves = true", `path = "received"` + "\nremoves = true", ""},
		{"one folder", `path = "d"`, `path = "d"` + "\nremoves = true", "received_max_age"},
		{"one folder, in which the source removes", `path = "d"` + "\nremoves = true", `path = "d"`, ""},
		{"the sink's in the source's", `path = "d"`, `path = "d/in"` + "\nremoves = true", "received_max_age"},
		{"the sink's in that of a flat source", `path = "d"` + "\nrecursive = false", `path = "d/in"` + "\nremoves = true", ""},
		{"the sink's in what the source leaves out", `path = "d"` + "\nexclude = [\"in\"]", `path = "d/in"` + "\nremoves = true", ""},
		{"the source's in the sink's", `path = "d/out"`, `path = "d"` + "\nremoves = true", "received_max_age"},
		{"the source's in a sink's that keeps", `path = "d/out"` + "\nremoves = true", `path = "d"`, ""},
		{"received among what was sent", `path = "d"` + "\nremoves = true", `path = "d/sent/in"`, "received ones as well"},
		{"received among what failed", `path = "d"` + "\nremoves = true", `path = "d/failed"`, "received ones as well"},
		{"received among what is kept", `path = "d"`, `path = "d/sent"`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(t, `
				[connections.local]
				[sources.outbox]
				type = "dir"
				`+test.source+`
				[sources.incoming]
				type = "imb"
				events = ["files"]
				[sinks.print]
				type = "log"
				[sinks.inbox]
				type = "dir"
				`+test.sink+`
				[routes.send]
				from = ["outbox"]
				to = ["print"]
				[routes.receive]
				from = ["incoming"]
				to = ["inbox"]`)
			fault := ""
			if err != nil {
				fault = err.Error()
			}
			if (fault == "") != (test.fault == "") || !strings.Contains(fault, test.fault) ||
				fault != "" && (!strings.Contains(fault, "[sources.outbox]") || !strings.Contains(fault, "use another folder")) {
				t.Error(err)
			}
		})
	}
}

// TestRelaysThatComeBack tells the relays of which a message comes back to
// where it came from, and is heard there twice. The message is in
// testdata/valid/relays.golden.
func TestRelaysThatComeBack(t *testing.T) {
	const ignore = "\nignore_relayed = true"
	relay := func(name, from, events, to, more string) string {
		return "[sources." + name + "]\ntype = \"imb\"\nconnection = \"" + from + "\"\nevents = " + events + more + "\n" +
			"[sinks.to-" + to + name + "]\ntype = \"imb\"\nconnection = \"" + to + "\"\n"
	}
	route := func(name, to, more string) string {
		return "[routes." + name + "]\nfrom = [\"" + name + "\"]\nto = [\"to-" + to + name + "\"]\n" + more + "\n"
	}
	for _, test := range []struct {
		name, text string
		twice      bool
	}{
		{"both ignore", relay("n", "north", `["*"]`, "south", ignore) + route("n", "south", "") +
			relay("s", "south", `["*"]`, "north", ignore) + route("s", "north", ""), false},
		{"one ignores", relay("n", "north", `["*"]`, "south", ignore) + route("n", "south", "") +
			relay("s", "south", `["*"]`, "north", "") + route("s", "north", ""), true},
		{"one way", relay("n", "north", `["*"]`, "south", ignore) + route("n", "south", ""), false},
		{"different events", relay("n", "north", `["a"]`, "south", ignore) + route("n", "south", "") +
			relay("s", "south", `["b"]`, "north", "") + route("s", "north", ""), false},
		{"comes back under another name", relay("n", "north", `["*"]`, "south", ignore) + route("n", "south", `set.event = '"all"'`) +
			relay("s", "south", `["all"]`, "north", "") + route("s", "north", `set.event = '"archive"'`), false},
		{"renamed there and back", relay("n", "north", `["a"]`, "south", ignore) + route("n", "south", `set.event = '"b"'`) +
			relay("s", "south", `["b"]`, "north", "") + route("s", "north", `set.event = '"a"'`), true},
		{"published again where it was", relay("n", "north", `["*"]`, "north", ignore) + route("n", "north", `set.event = '"log"'`), false},
		{"on to a third", relay("n", "north", `["*"]`, "south", ignore) + route("n", "south", "") +
			relay("s", "south", `["*"]`, "away", "") + route("s", "away", ""), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, err := parse(t, `
				[connections.north]
				federation = "north"
				[connections.south]
				federation = "south"
				[connections.away]
				address = "away.example"
				`+test.text)
			if err != nil {
				t.Fatal(err)
			}
			twice := 0
			for _, w := range cfg.Warnings {
				if strings.Contains(w.Message, `set ignore_relayed = true on source "s" too`) {
					twice++
				}
			}
			if (twice == 1) != test.twice || twice > 1 {
				t.Error(cfg.Warnings)
			}
		})
	}
}

// A hub that is looked for may be the one of the file, if that can be found.
func TestLoopOverALocatedHub(t *testing.T) {
	for locator, loop := range map[string]bool{"": false, `locator = "0.0.0.0:4000"`: true} {
		_, err := parse(t, `
			[hub]
			`+locator+`
			[connections.own]
			[connections.found]
			address = "locate"
			[sources.in]
			type = "imb"
			connection = "own"
			events = ["a"]
			[sinks.out]
			type = "imb"
			connection = "found"
			[routes.r]
			from = ["in"]
			to = ["out"]
		`)
		if found := err != nil && strings.Contains(err.Error(), "round for ever"); found != loop {
			t.Errorf("with %q: %v", locator, err)
		}
	}
}
