// Package tap shows what happens on events of a hub, a line each: signals with
// their text, and the beginnings and ends of streams, whose bytes are counted only.
//
//	client, err := imb.Connect(ctx, imb.Options{Address: "localhost:4000"})
//	if err != nil { … }
//	err = tap.Subscribe(client, func(l tap.Line) { fmt.Println(l.Event, l.Kind, l.Shown) }, "demo.*")
package tap

import (
	"fmt"
	"strings"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/config"
)

// Line is one thing that happened, as programs get it in JSON. What a line's kind
// does not have is left out; what it has, and is empty, is not.
type Line struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"`
	Kind  string    `json:"kind"`
	Text  *string   `json:"text,omitempty"` // of a normal event
	*Change
	Stream   *string `json:"stream,omitempty"` // name of a stream
	Size     int64   `json:"size"`             // bytes of the data, or of the stream so far
	Tick     int32   `json:"tick,omitempty"`
	Priority bool    `json:"priority,omitempty"`
	Error    string  `json:"error,omitempty"` // why a stream was cut off
	// Shown is the data for people, printable and not long.
	Shown string `json:"-"`
}

// Change is the data of a changeObject.
type Change struct {
	Action    string `json:"action"`
	ObjectID  int32  `json:"object_id"`
	Attribute string `json:"attribute"`
}

// Check tells what is wrong with a pattern, which is an event name in a federation,
// "" for a full name, or the beginning of one and "*".
func Check(federation, pattern string) error {
	switch prefix := strings.TrimSuffix(pattern, wire.Wildcard); {
	case pattern == "":
		return fmt.Errorf("PATTERN is empty; %q stands for every event", wire.Wildcard)
	case strings.Contains(prefix, wire.Wildcard):
		return fmt.Errorf("PATTERN %q: %q can only stand at the end", pattern, wire.Wildcard)
	}
	if fault := config.NameFault(router.FullName(federation, pattern)); fault != "" {
		return fmt.Errorf("PATTERN: %s", fault)
	}
	return nil
}

// Subscribe subscribes to events and calls show with each line, from a goroutine
// of the client, which waits meanwhile.
func Subscribe(c *imb.Client, show func(Line), patterns ...string) error {
	t := tap(func(l Line) {
		l.Time = time.Now()
		show(l)
	})
	for _, pattern := range patterns {
		event := c.Event(pattern)
		event.HandleAll(t.signal)
		event.HandleStreams(t.stream)
		if err := event.Subscribe(); err != nil {
			return err
		}
	}
	return nil
}

// tap takes lines without a time.
type tap func(Line)

func (t tap) signal(m imb.Message) {
	l := Line{
		Event: m.Name, Kind: m.Kind.String(), Size: int64(len(m.Data)), Tick: m.Tick,
		Priority: m.Flags&wire.Priority != 0, Shown: wire.Describe(m.Kind, m.Data),
	}
	switch m.Kind {
	case wire.NormalEvent:
		if text, ok := wire.NormalText(m.Data); ok {
			l.Text = new(string(text))
		}
	case wire.ChangeObject, wire.ChangeObjectWithData:
		if c, _, err := wire.ParseChangeObject(m.Data); err == nil {
			l.Change = &Change{Action: c.Action.String(), ObjectID: c.ObjectID, Attribute: c.Attribute}
		}
	}
	t(l)
}

func (t tap) stream(in imb.IncomingStream) imb.StreamReceiver {
	t(Line{
		Event: in.Name, Kind: "stream", Stream: &in.StreamName, Tick: in.Tick, Shown: fmt.Sprintf("%q begins", in.StreamName),
	})
	return &stream{tap: t, in: in}
}

type stream struct {
	tap  tap
	in   imb.IncomingStream
	size int64
}

func (s *stream) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	return len(p), nil
}

func (s *stream) End(err error) {
	l := Line{
		Event: s.in.Name, Kind: "stream_end", Stream: &s.in.StreamName, Tick: s.in.Tick, Size: s.size,
		Shown: fmt.Sprintf("%q, %d bytes", s.in.StreamName, s.size),
	}
	if err != nil {
		l.Error = err.Error()
		l.Shown += ", cut off: " + l.Error
	}
	s.tap(l)
}
