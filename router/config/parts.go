package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// parts reads the tables of all sources or all sinks into configured, and
// returns what those that have no problem let through.
func parts[P Part](l *loader, section string, kinds map[string]func() P, configured map[string]P) map[string]Traffic {
	traffic := map[string]Traffic{}
	table := l.table(l.root, section)
	for _, name := range sortedKeys(table) {
		own := l.table(table, section, name)
		if own == nil {
			continue
		}
		l.checkName(section, name)
		before := len(l.problems)
		c := &Check{l.document, l.config, []string{section, name}, own}
		part, ok := newPart(c, kinds)
		if !ok {
			continue
		}
		configured[name] = part
		l.decode(own, c.path, part, "type")
		part.Check(c)
		if len(l.problems) == before {
			traffic[name] = part.Traffic()
		}
	}
	return traffic
}

// newPart makes the configuration of the type that a table names.
func newPart[P any](c *Check, kinds map[string]func() P) (part P, ok bool) {
	types := sortedKeys(kinds)
	v, given := c.table["type"]
	name, isText := v.(string)
	keys := sortedKeys(c.table)
	misspelled := slices.IndexFunc(keys, func(key string) bool { return nearest(key, []string{"type"}) != "" })
	switch {
	case !given && misspelled >= 0:
		c.document.unknownKey(c.table, c.path, keys[misspelled], []string{"type"})
	case !given:
		c.document.problem(c.place("type").start, "%s needs the key \"type\": one of %s", header(c.path), quoteAll(types))
	case !isText:
		c.Errorf("type", "must be text in quotes, not %s: one of %s", describe(v), quoteAll(types))
	case kinds[name] == nil:
		c.Errorf("type", "there is no type %q%s", name, suggest(name, types, "types"))
	default:
		return kinds[name](), true
	}
	return part, false
}

// plainName is the name of a connection, source, sink or route: names become
// parts of file names and labels.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// checkName reports a name that TOML allows in quotes only, or that is too long.
func (l *loader) checkName(section, name string) {
	if !plainName.MatchString(name) {
		l.problem(l.placeOf(section, name).name,
			"%q cannot be a name; use 1 to 64 of the characters A-Z, a-z, 0-9, - and _", name)
	}
}

// RouterSettings is the table [router]: how the router stops, and what it keeps on
// disk.
type RouterSettings struct {
	// StateDir is the folder that the router keeps its own files in. Default
	// $STATE_DIRECTORY, which systemd sets, or else ".imbrouter".
	//
	// The path is absolute after loading.
	StateDir string `toml:"state_dir"`
	// StopTimeout is how long what is in flight may take when the router
	// stops. Default "20s".
	StopTimeout Duration `toml:"stop_timeout"`
	// Journal says whether it is recorded in state_dir what becomes of every
	// file and stream, for `imbrouter history`. Default true.
	Journal bool `toml:"journal"`
	// JournalSHA256 says whether the journal has the SHA-256 of every file and
	// stream, which costs about as much as all else that is done with it.
	// Default true.
	JournalSHA256 bool `toml:"journal_sha256"`
	// JournalMaxSize is how large a file of the journal may get before the next
	// is begun, at least "64KiB". Default "16MiB".
	JournalMaxSize Size `toml:"journal_max_size"`
	// JournalMaxFiles is how many files of the journal there may be; the oldest
	// goes first. From 1 to 1000, default 8.
	JournalMaxFiles int `toml:"journal_max_files"`
	// DeadLetterMaxSize is how much of state_dir the dead letters of one route
	// may take; the oldest go first. At least "64KiB", default "16MiB".
	DeadLetterMaxSize Size `toml:"dead_letter_max_size"`
	// DeadLetterMaxAge is how long dead letters are kept. Default "720h".
	DeadLetterMaxAge Duration `toml:"dead_letter_max_age"`
}

// minStateSize is the least that a limit of a file in state_dir may be.
const minStateSize Size = 64 << 10

func (l *loader) router() {
	settings := RouterSettings{
		StateDir: ".imbrouter", StopTimeout: Duration(20 * time.Second),
		Journal: true, JournalSHA256: true, JournalMaxSize: 16 << 20, JournalMaxFiles: 8,
		DeadLetterMaxSize: 16 << 20, DeadLetterMaxAge: Duration(30 * 24 * time.Hour),
	}
	table := l.table(l.root, "router")
	c := &Check{l.document, l.config, []string{"router"}, table}
	l.decode(table, c.path, &settings)
	if dirs := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(dirs) > 0 && !c.Defined("state_dir") {
		settings.StateDir = dirs[0]
	}
	c.Positive("stop_timeout", settings.StopTimeout)
	AtLeast(c, "journal_max_size", settings.JournalMaxSize, minStateSize)
	AtLeast(c, "dead_letter_max_size", settings.DeadLetterMaxSize, minStateSize)
	Range(c, "journal_max_files", settings.JournalMaxFiles, 1, 1000)
	c.Positive("dead_letter_max_age", settings.DeadLetterMaxAge)
	settings.StateDir = c.Path("state_dir", settings.StateDir)
	l.config.Router = settings
}

// unused warns of sources and sinks that are in no route, and of connections
// that no source or sink uses.
func (l *loader) unused(routes []route) {
	used := map[string]map[string]bool{"sources": {}, "sinks": {}, "connections": {}}
	for _, r := range routes {
		for _, source := range r.From {
			used["sources"][source] = true
		}
		for _, sink := range r.To {
			used["sinks"][sink] = true
		}
	}
	for _, parts := range []map[string]Traffic{l.sources, l.sinks} {
		for _, t := range parts {
			used["connections"][t.Connection] = true
		}
	}
	for section, what := range map[string]string{
		"sources": "is in no route", "sinks": "is in no route", "connections": "is used by no source and no sink",
	} {
		table, _ := l.root[section].(map[string]any)
		for name := range table {
			if !used[section][name] {
				l.warn(l.placeOf(section, name).start, "%s %s; remove it, or use it", header([]string{section, name}), what)
			}
		}
	}
}
