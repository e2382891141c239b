// Package trial tells what the routes of a configuration would do with a
// message. It needs no hub and touches no file.
//
//	text := `{"level": 4}`
//	event := "alarms.fire"
//	for _, o := range trial.Run(cfg, config.Given{Fields: config.Fields{Event: &event, Text: &text}}) {
//		fmt.Println(o.Route.Name, o.Source, o.Refusal, o.Landings)
//	}
//
// [Test] runs an item of a configuration's [[tests]].
//
// Filters, names of files and names of events are those that a running router
// uses; what only running shows is left out: whether a hub is there, a file's
// name is taken, or a disk is full.
package trial

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/filter"
)

// ErrWhen says that a route's `when` is false.
var ErrWhen = errors.New("its `when` is false")

// IsFailure tells whether a Refusal is no decision, but an expression that fails
// on the message: a signal becomes a dead letter by it, a file goes to failed/,
// and a stream from a hub is lost.
func IsFailure(refusal error) bool {
	var failure *filter.Error
	return errors.As(refusal, &failure)
}

// Outcome is what becomes of a message from one source in one route.
type Outcome struct {
	Route  router.Route
	Source string // "" when the source that was given is not in the route
	// In is the message as the source brings it, and Out as the route's `set`
	// makes it. They are there as far as the message came.
	In, Out Message
	// Refusal is why the route does not take it, nil when it does.
	Refusal  error
	Landings []Landing // one for each sink of the route that takes it
}

// Landing is what a sink would do with a message.
type Landing struct {
	Sink    string
	Target  config.Target
	Known   bool  // Target is: the sink can tell
	Refusal error // why the sink does not take it, nil when it does
}

// LooksOn tells whether the sink only looks on.
func (l Landing) LooksOn() bool { return l.Known && l.Refusal == nil && l.Target == config.Target{} }

// Run leads a message, which has no Fault, through every route.
func Run(cfg *config.Config, given config.Given) (all []Outcome) {
	for _, route := range cfg.Routes {
		if given.Source != "" && !slices.Contains(route.From, given.Source) {
			all = append(all, Outcome{Route: route, Refusal: fmt.Errorf("source %q is not in its `from`", given.Source)})
			continue
		}
		for _, source := range route.From {
			if given.Source == "" || given.Source == source {
				all = append(all, pass(cfg, route, source, given))
			}
		}
	}
	return all
}

// pass leads a message from one source through one route.
func pass(cfg *config.Config, route router.Route, source string, given config.Given) Outcome {
	o := Outcome{Route: route, Source: source}
	if o.In, o.Refusal = bring(cfg, source, given); o.Refusal != nil {
		return o
	}
	if o.Out, o.Refusal = o.In.through(route.Filter); o.Refusal != nil {
		return o
	}
	for _, name := range route.To {
		l := Landing{Sink: name}
		if sink, ok := cfg.Sinks[name].(config.Targeter); ok {
			l.Known = true
			if o.Out.Stream != nil {
				l.Target, l.Refusal = sink.StreamTarget(*o.Out.Stream)
			} else {
				l.Target, l.Refusal = sink.SignalTarget(o.Out.Signal)
			}
		}
		o.Landings = append(o.Landings, l)
	}
	return o
}

// bring makes the message that a source would bring, or tells why it does not.
func bring(cfg *config.Config, name string, given config.Given) (Message, error) {
	source := cfg.Sources[name]
	traffic := source.Traffic()
	given.Source = name
	if given.File != nil {
		if traffic.Folder == "" {
			return Message{}, fmt.Errorf("source %q reads no folder", name)
		}
		if s, ok := source.(config.Selector); ok {
			if err := s.Select(*given.File); err != nil {
				return Message{}, fmt.Errorf("source %q does not read it: %w", name, err)
			}
		}
		return NewMessage(given, ""), nil
	}
	connection, ok := cfg.Connections[traffic.Connection]
	if !ok {
		return Message{}, fmt.Errorf("source %q brings files only", name)
	}
	m := NewMessage(given, connection.Federation)
	full := m.fullName()
	if !slices.ContainsFunc(traffic.Events, func(pattern string) bool { return wire.MatchName(pattern, full) }) {
		return Message{}, fmt.Errorf("source %q does not subscribe to %q, but to %s", name, full, quoted(traffic.Events))
	}
	return m, nil
}

func quoted(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(all, ", ")
}

// Message is a signal, or a file or stream.
type Message struct {
	Signal router.Signal
	Stream *router.StreamInfo // nil for a signal
	Body   []byte             // of a file or stream, as far as it was given
}

// NewMessage makes a message that has no Fault. The federation is that of the
// connection that it comes by; a file comes by none.
func NewMessage(given config.Given, federation string) Message {
	var event string
	switch {
	case given.FullEvent != nil:
		federation, event = router.SplitName(federation, *given.FullEvent)
	case given.Event != nil:
		event = *given.Event
		if given.Federation != nil {
			// As a source names it, to whose connection it may be foreign.
			federation, event = router.SplitName(federation, router.FullName(*given.Federation, event))
		}
	}
	var flags wire.Flags
	if given.Priority != nil && *given.Priority {
		flags = wire.Priority
	}
	tick := or(given.Tick)
	if !given.IsStream() {
		return Message{Signal: router.Signal{
			Source: given.Source, Federation: federation, Event: event, Relayed: true,
			Kind: given.SignalKind(), Flags: flags, Tick: tick, Data: signalData(given),
		}}
	}
	m := Message{Body: []byte(or(given.Text) + or(given.Data))}
	m.Stream = &router.StreamInfo{
		Source: given.Source, Federation: federation, Event: event, Relayed: true,
		Name: or(given.Stream), Flags: flags, Tick: tick, Size: -1,
	}
	if given.File != nil {
		m.Stream.Name, m.Stream.Path, m.Stream.Relayed = *given.File, *given.File, false
		m.Stream.Size, m.Stream.ModTime = cmp.Or(given.Size, int64(len(m.Body))), given.ModTime
	}
	return m
}

func or[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// signalData makes the data of a signal.
func signalData(given config.Given) []byte {
	data := []byte(or(given.Data))
	switch kind := given.SignalKind(); {
	case given.Text != nil:
		return wire.AppendString(nil, *given.Text)
	case kind == wire.ChangeObject || kind == wire.ChangeObjectWithData:
		action, _ := wire.ParseAction(or(given.Action))
		object := wire.ChangeObjectData{Action: action, ObjectID: or(given.ObjectID), Attribute: or(given.Attribute)}
		return append(wire.AppendChangeObject(nil, object), data...)
	}
	return data
}

// Arrived tells whether the source brought it; the zero value is no message.
func (m Message) Arrived() bool { return m.Stream != nil || m.Signal.Source != "" }

func (m Message) fullName() string {
	if m.Stream != nil {
		return m.Stream.FullName()
	}
	return m.Signal.FullName()
}

// Eval evaluates an expression on the message.
func (m Message) Eval(e *filter.Expression) (any, error) {
	if m.Stream != nil {
		return e.Stream(*m.Stream)
	}
	return e.Signal(m.Signal)
}

// Field returns the value of a field that expressions have.
func (m Message) Field(name string) any {
	e, err := filter.CompileExpression(name)
	if err != nil {
		return nil
	}
	v, _ := m.Eval(e) // of a name alone, which cannot fail
	return v
}

// through leads the message through a route's filter.
func (m Message) through(f router.Filter) (out Message, err error) {
	if f == nil {
		return m, nil
	}
	out = m
	var pass bool
	if m.Stream != nil {
		var info router.StreamInfo
		info, pass, err = f.Stream(*m.Stream)
		out.Stream = &info
	} else {
		out.Signal, pass, err = f.Signal(m.Signal)
	}
	if err == nil && !pass {
		err = ErrWhen
	}
	return out, err
}
