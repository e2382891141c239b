package config_test

import (
	_ "embed"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/filter"
)

// kinds are parts that do nothing, with configurations such as real ones have.
var kinds = config.Kinds{
	Sources: map[string]func() config.Source{
		"dir": func() config.Source { return &dirSource{Recursive: true, Settle: 5e8} },
		"imb": func() config.Source { return &imbSource{Queue: 8 << 20} },
	},
	Sinks: map[string]func() config.Sink{
		"dir": func() config.Sink { return &dirSink{Filename: "stream", IfExists: "rename"} },
		"imb": func() config.Sink { return &imbSink{} },
		"log": func() config.Sink { return &logSink{Level: "info"} },
	},
}

//go:embed kinds_test.go
var goSource string

type noBuild struct{}

func (noBuild) GoSource() string { return goSource }

func (noBuild) Build(router.Env) (router.Source, error) { return nil, errors.ErrUnsupported }

type noSink struct{}

func (noSink) GoSource() string { return goSource }

func (noSink) Build(router.Env) (router.Sink, error) { return nil, errors.ErrUnsupported }

type dirSource struct {
	noBuild
	// Path is the folder.
	Path string `toml:"path"`
	// Include are patterns of what is sent.
	Include []string `toml:"include"`
	// Exclude are patterns of what is not.
	Exclude []string `toml:"exclude"`
	// Recursive says whether folders in it count.
	Recursive bool `toml:"recursive"`
	// Settle is how long a file is left alone.
	Settle config.Duration `toml:"settle"`
	// After is a table in a table.
	After secret `toml:"after"`
	// Removes says that files are removed.
	Removes bool `toml:"removes"`
}

// secret is a table in a table.
type secret struct {
	// Env names a variable.
	Env string `toml:"env"`
	// File names a file.
	File string `toml:"file"`
}

func (d *dirSource) Check(c *config.Check) {
	for i, pattern := range d.Include {
		if strings.Contains(pattern, "[") {
			c.ItemErrorf("include", i, "%q is no pattern", pattern)
		}
	}
	if d.Settle < 0 {
		c.Errorf("settle", "must not be negative")
	}
	d.Path = c.Path("path", d.Path)
}

func (d *dirSource) Traffic() config.Traffic {
	return config.Traffic{
		Folder: d.Path, Removes: d.Removes, Moved: []string{filepath.Join(d.Path, "sent"), filepath.Join(d.Path, "failed")},
		Reads: func(below string) bool {
			first, _, _ := strings.Cut(below, "/")
			return d.Recursive && first != "sent" && first != "failed" && !slices.Contains(d.Exclude, first)
		},
	}
}

type imbSource struct {
	noBuild
	// Connection names a connection.
	Connection string `toml:"connection"`
	// Events are names of events.
	Events []string `toml:"events"`
	// IgnoreRelayed leaves out what was relayed.
	IgnoreRelayed bool `toml:"ignore_relayed"`
	// Queue is how much may wait.
	Queue config.Size `toml:"queue"`
	// MaxStreams is how many there may be.
	MaxStreams int32 `toml:"max_streams"`

	names []string
}

func (i *imbSource) Check(c *config.Check) {
	i.Connection = c.Connection(i.Connection)
	if len(i.Events) == 0 {
		c.Missing("events")
	}
	config.Range(c, "max_streams", i.MaxStreams, 0, 1000)
	for n, e := range i.Events {
		i.names = append(i.names, c.EventPattern("events", n, i.Connection, e))
	}
}

func (i *imbSource) Traffic() config.Traffic {
	return config.Traffic{Connection: i.Connection, Events: i.names, IgnoreRelayed: i.IgnoreRelayed}
}

type dirSink struct {
	noSink
	// Path is the folder.
	Path string `toml:"path"`
	// Filename is an expression.
	Filename string `toml:"filename"`
	// IfExists says what becomes of a second one.
	IfExists string `toml:"if_exists"`
	// MaxSize is the size of the largest.
	MaxSize config.Size `toml:"max_size"`
	// Removes says that files are removed.
	Removes bool `toml:"removes"`
}

func (d *dirSink) Check(c *config.Check) {
	_, err := filter.CompileName(d.Filename)
	c.Expression("filename", err)
	c.OneOf("if_exists", d.IfExists, "rename", "overwrite", "skip", "fail")
	d.Path = c.Path("path", d.Path)
}

func (d *dirSink) Traffic() config.Traffic {
	return config.Traffic{Folder: d.Path, Removes: d.Removes}
}

type imbSink struct {
	noSink
	// Connection names a connection.
	Connection string `toml:"connection"`
	// Event is the name of all.
	Event string `toml:"event"`

	events []string
}

func (i *imbSink) Check(c *config.Check) {
	i.Connection = c.Connection(i.Connection)
	if i.Event != "" {
		i.events = []string{c.EventName("event", i.Connection, i.Event)}
	}
}

func (i *imbSink) Traffic() config.Traffic {
	return config.Traffic{Connection: i.Connection, Events: i.events}
}

type logSink struct {
	noSink
	// Level is that of the lines.
	Level string `toml:"level"`
}

func (l *logSink) Check(c *config.Check)   { c.OneOf("level", l.Level, "debug", "info") }
func (l *logSink) Traffic() config.Traffic { return config.Traffic{} }
