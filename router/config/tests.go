package config

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"imbrouter/imb/wire"
)

// Test is an item of [[tests]]: a message, and where the routes are to lead it.
//
// Package trial runs it.
type Test struct {
	// Name says what is shown, for people. Required.
	Name string `toml:"name"`
	// Route is the only route that counts. Default: all of them.
	Route string `toml:"route"`
	// Given is the message. Required.
	Given Given `toml:"given"`
	// Expect is what comes out, in any order and nothing else; an empty list
	// stands for nothing. A sink that only looks on may be left out. Required.
	Expect []Expected `toml:"expect"`
	// Fails says that an expression is to fail on the message, by which a signal
	// becomes a dead letter. Default false: a failure fails the test.
	Fails bool `toml:"fails"`

	// Place is where the test stands, "file:line:column".
	Place string
}

// Given is a message as it comes to a source: a file that is dropped into a
// folder, a stream from a hub when Stream is there, or else a signal.
type Given struct {
	// Source is the name of the source that brings it. Default: each that does.
	Source string `toml:"source"`
	// File is the path, with "/", of a file in the folder of a source.
	File *string `toml:"file"`
	// Size is that of a file in bytes. Default that of its Text or Data.
	Size int64 `toml:"size"`
	// ModTime is when a file changed last, such as 2026-05-04T03:02:01Z.
	ModTime time.Time `toml:"mtime"`
	Fields
}

// Expected is what a sink gets.
type Expected struct {
	// Sink is its name. Required.
	Sink string `toml:"sink"`
	// File is the path, with "/", in the folder of a sink.
	File *string `toml:"file"`
	Fields
}

// Fields are those of a message, as expressions name them. What is nil was not
// said: it has its zero value in what is given, and may be anything in what is
// expected.
type Fields struct {
	// Event is the name of the event, without the federation.
	Event *string `toml:"event"`
	// Federation is that of the event. Default that of the source's or sink's
	// connection.
	Federation *string `toml:"federation"`
	// FullEvent is the name of the event with its federation, in place of the
	// two.
	FullEvent *string `toml:"full_event"`
	// Kind is "normal" unless other fields tell that it is another.
	Kind *string `toml:"kind"`
	// Text is the data as an IMB string, or the text in a file or stream.
	Text *string `toml:"text"`
	// Data is the data of a signal as it is, given as text.
	Data *string `toml:"data"`
	// Tick is the clock of the sender.
	Tick *int32 `toml:"tick"`
	// Priority is the priority flag.
	Priority *bool `toml:"priority"`
	// Action is that of a changeObject: "new", "delete", "change" or a number.
	Action *string `toml:"action"`
	// ObjectID is the id of the object of a changeObject.
	ObjectID *int32 `toml:"object_id"`
	// Attribute is the name of the attribute of a changeObject.
	Attribute *string `toml:"attribute"`
	// Stream is the name of a stream; a message that has it is one.
	Stream *string `toml:"stream"`
}

// IsStream tells whether it is a file or a stream, and not a signal.
func (g *Given) IsStream() bool { return g.File != nil || g.Stream != nil }

// SignalKind returns the kind of a signal, which Fault has found to be one.
func (g *Given) SignalKind() wire.Kind {
	switch {
	case g.Kind != nil:
		kind, _ := wire.ParseKind(*g.Kind)
		return kind
	case g.objectFields():
		return wire.ChangeObject
	}
	return wire.NormalEvent
}

// objectFields tells whether fields are there that only a changeObject has.
func (f *Fields) objectFields() bool {
	return f.Action != nil || f.ObjectID != nil || f.Attribute != nil
}

// Fault tells what makes no sense: of which key, and why; "" for nothing.
func (g *Given) Fault() (key, fault string) {
	key, fault = g.Fields.fault()
	switch {
	case fault != "":
		return key, fault
	case g.File != nil && g.Stream != nil:
		return "file", "is dropped, or a stream comes from a hub: give one of the two"
	case g.File == nil && (g.Size != 0 || !g.ModTime.IsZero()):
		return "file", "size and mtime are of a file; give its path"
	case g.Size < 0:
		return "size", "must not be negative"
	case g.IsStream() && g.Kind != nil && g.SignalKind() != wire.StreamHeader:
		return "kind", fmt.Sprintf("a file or stream is of the kind %q; leave it out", wire.StreamHeader)
	case g.IsStream() && g.objectFields():
		return "action", "action, object_id and attribute are of a changeObject, not of a file or stream"
	case g.IsStream():
		return "", ""
	}
	switch kind := g.SignalKind(); {
	case kind.IsStream():
		return "stream", "a stream needs its name"
	case g.objectFields() && kind != wire.ChangeObject && kind != wire.ChangeObjectWithData:
		return "kind", fmt.Sprintf("action, object_id and attribute are of the kind %q", wire.ChangeObject)
	case g.Text != nil && kind != wire.NormalEvent:
		return "text", fmt.Sprintf("is of the kind %q only; give data", wire.NormalEvent)
	case g.Data != nil && kind == wire.ChangeObject:
		return "data", fmt.Sprintf("goes with the other fields in the kind %q only", wire.ChangeObjectWithData)
	}
	return "", ""
}

// FaultAtSource is Fault for a message that is to come to a source.
func (g *Given) FaultAtSource() (key, fault string) {
	hasEvent := g.Event != nil || g.FullEvent != nil
	switch {
	case g.File == nil && !hasEvent:
		return "event", "is missing; a message needs an event, or a file"
	case g.File != nil && (hasEvent || g.Federation != nil):
		return "file", "a file that is dropped has no event yet; leave the event out, or give a stream in place of the file"
	}
	return g.Fault()
}

func (f *Fields) fault() (key, fault string) {
	switch {
	case f.FullEvent != nil && (f.Event != nil || f.Federation != nil):
		return "full_event", "has the federation and the event in it; leave those out"
	case f.Event != nil && *f.Event == "":
		return "event", "must not be empty"
	case f.FullEvent != nil && *f.FullEvent == "":
		return "full_event", "must not be empty"
	case f.Text != nil && f.Data != nil:
		return "text", "text and data are two ways to say the same; leave one out"
	}
	if f.Kind != nil {
		if _, err := wire.ParseKind(*f.Kind); err != nil {
			return "kind", err.Error()
		}
	}
	if f.Action != nil {
		if _, err := wire.ParseAction(*f.Action); err != nil {
			return "action", err.Error()
		}
	}
	return "", ""
}

// tests reads the tests. None is run: whether they pass is no matter here.
func (l *loader) tests() {
	v, ok := l.root["tests"]
	if !ok {
		return
	}
	place := l.placeOf("tests")
	if _, isTable := v.(map[string]any); isTable {
		l.problem(place.start, "each test is a table of its own with two brackets: write [[tests]]")
		return
	}
	l.decodeValue(v, []string{"tests"}, place.value, reflect.ValueOf(&l.config.Tests).Elem())
	for i := range l.config.Tests {
		path := item([]string{"tests"}, i)
		if table, isTable := l.valueAt(path).(map[string]any); isTable {
			l.config.Tests[i].Place = l.problemAt(l.placeOf(path...).start, "").Position()
			l.test(&l.config.Tests[i], &Check{l.document, l.config, path, table})
		}
	}
}

// test reports what makes no sense in one of them.
func (l *loader) test(t *Test, c *Check) {
	if t.Name == "" {
		c.Missing("name")
	}
	from, to, of := sortedKeys(l.config.Sources), sortedKeys(l.config.Sinks), ""
	if t.Route != "" {
		var routes []string
		for _, r := range l.config.Routes {
			routes = append(routes, r.Name)
			if r.Name == t.Route {
				from, to, of = r.From, r.To, fmt.Sprintf(" in route %q", t.Route)
			}
		}
		c.named("route", t.Route, routes, "")
	}
	if given, ok := l.valueAt(c.at("given")).(map[string]any); ok {
		g := &Check{l.document, l.config, c.at("given"), given}
		if key, fault := t.Given.FaultAtSource(); fault != "" {
			g.Errorf(key, "%s", fault)
		}
		if t.Given.Source != "" {
			g.named("source", t.Given.Source, from, of)
		}
	}
	c.Required("given")
	c.Required("expect")
	for i := range t.Expect {
		path := item(c.at("expect"), i)
		table, isTable := l.valueAt(path).(map[string]any)
		if !isTable {
			continue
		}
		e := &Check{l.document, l.config, path, table}
		if t.Expect[i].Sink == "" {
			e.Missing("sink")
		} else {
			e.named("sink", t.Expect[i].Sink, to, of)
		}
		if key, fault := t.Expect[i].fault(); fault != "" {
			e.Errorf(key, "%s", fault)
		}
	}
}

// named reports a name of a route, source or sink that is none of those there
// are in some place.
func (c *Check) named(what, name string, known []string, where string) {
	if slices.Contains(known, name) {
		return
	}
	suggestion := ""
	if len(known) > 0 {
		suggestion = suggest(name, known, what+"s")
	}
	c.Errorf(what, "there is no %s %q%s%s", what, name, where, suggestion)
}
