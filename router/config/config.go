// Package config reads the TOML file that says which sources a router binds to
// which sinks by which routes, and on which hubs.
//
//	cfg, err := config.Load("router.toml", config.Kinds{
//		Sources: map[string]func() config.Source{"dir": …},
//		Sinks:   map[string]func() config.Sink{"log": …},
//	})
//	if err != nil {
//		fmt.Fprintln(os.Stderr, err) // every problem, each with file:line:column
//		os.Exit(78)
//	}
//	for _, w := range cfg.Warnings {
//		fmt.Fprintln(os.Stderr, w)
//	}
//
// Nothing is guessed: an unknown key, a number where a text with a unit is
// needed, a name that stands for nothing, an expression that does not compile
// and routes that feed each other for ever are problems, and all of them are
// told at once. Reading touches nothing but the file. Schema tells editors about
// the same keys.
//
// # Tables
//
//	[hub]                        run a hub inside the process, see Hub
//	[connections.NAME]           an address with an identity, see Connection
//	[sources.NAME], [sinks.NAME] a part; its type says which keys it has
//	[routes.NAME]                from, to, when, set, max_work, loop_guard,
//	                             log_level, see below
//	[router]                     see RouterSettings
//	[admin]                      see Admin
//	[[tests]]                    what the routes are to do, see Test
//
// A route takes messages from the sources in `from` to the sinks in `to`, both
// lists of names. `when` is an expression that decides which messages it takes;
// without it, all. `set` is a table with an expression for each field to set.
// `max_work` bounds what they may cost on one message, see package filter.
// `loop_guard` says what to do when one message comes from a hub again and again,
// because other programs relay it back. `log_level` says which lines about the
// route the log shows.
//
// Paths are relative to the folder of the file. Durations and sizes are text
// with a unit: "500ms", "10GiB".
//
// # Folders
//
// A folder belongs to one source: two that send the same file, or one that
// sends what another has moved out of its way, are a problem. So are two sinks
// that write to one folder, which each takes for its own. A folder may be of a
// sink and of a source, when that makes no loop.
//
// # Loops
//
// A hub hands an event to everyone who subscribes, the sender included, and a
// folder that is written may be watched. So the routes form a graph: from a
// route and one of its sources there is an edge to another such pair when what
// the first gives out, the second may take in. A cycle is a problem, because
// one message would go round in it for ever. What an expression computes, and
// what a wildcard stands for, counts as any name; `when` is not looked at. A
// source with IgnoreRelayed breaks the edges from pairs whose source is a hub.
// Names and addresses of this machine are one hub where the port is the same.
package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"imbrouter/router"
)

// MaxFileSize is the largest file that Load reads, in bytes.
const MaxFileSize = 1 << 20

// Config is what a file says, valid as a whole.
type Config struct {
	Path        string // as given to Load or Parse
	Dir         string // absolute folder of the file
	Hub         *Hub   // nil for none
	Connections map[string]*Connection
	Sources     map[string]Source
	Sinks       map[string]Sink
	Routes      []router.Route // in the order of the file
	Router      RouterSettings
	Admin       Admin
	Tests       []Test    // in the order of the file
	Warnings    []Problem // what works but is hardly meant
	Text        string    // of the file

	root map[string]any // the file, for Compare
}

// Load reads and checks a file. The error is of type Errors.
func Load(path string, kinds Kinds) (*Config, error) {
	text, err := read(path)
	if err != nil {
		return nil, Errors{{Path: path, Message: err.Error()}}
	}
	return Parse(path, text, kinds)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if len(text) > MaxFileSize {
		return nil, fmt.Errorf("is longer than %v; is it a configuration?", Size(MaxFileSize))
	}
	return text, nil
}

// Parse checks the text of a file. Path is its name: relative paths in the text
// are relative to its folder. The error is of type Errors.
func Parse(path string, text []byte, kinds Kinds) (*Config, error) {
	l, err := newLoader(path, text)
	if err != nil {
		return nil, err
	}
	l.load(kinds)
	if len(l.problems) > 0 {
		sortProblems(l.problems)
		return nil, Errors(l.problems)
	}
	sortProblems(l.warnings)
	l.config.Warnings = l.warnings
	return l.config, nil
}

// loader builds a Config from a document, and gathers what is wrong with it.
type loader struct {
	*document
	config *Config
	// What each part lets through, by name; only of parts without a problem.
	sources, sinks map[string]Traffic
}

func newLoader(path string, text []byte) (*loader, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, Errors{{Path: path, Message: err.Error()}}
	}
	document, err := parseDocument(path, text)
	if err != nil {
		return nil, err
	}
	return &loader{document: document, config: &Config{
		Path: path, Dir: dir, Connections: map[string]*Connection{},
		Sources: map[string]Source{}, Sinks: map[string]Sink{}, root: document.root, Text: document.text,
	}}, nil
}

func (l *loader) load(kinds Kinds) {
	for _, name := range sortedKeys(l.root) {
		if !slices.Contains(tables, name) {
			l.unknownKey(l.root, nil, name, tables)
		}
	}
	l.hub()
	l.connections()
	l.router()
	l.admin()
	l.sources = parts(l, "sources", kinds.Sources, l.config.Sources)
	l.sinks = parts(l, "sinks", kinds.Sinks, l.config.Sinks)
	l.folders()
	routes := l.routes()
	l.tests()
	l.unused(routes)
	l.loops(routes)
}

var tables = []string{"hub", "connections", "sources", "sinks", "routes", "router", "admin", "tests"}
