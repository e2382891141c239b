package filter

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"imbrouter/imb/wire"
	"imbrouter/router"
)

// env is what an expression sees of a message. expr gets its value to compile
// with and a pointer to run with, which is three times as fast as a pointer in
// both places, because names then become field indexes.
type env struct {
	Event      string    `expr:"event"`
	Federation string    `expr:"federation"`
	FullEvent  string    `expr:"full_event"`
	Kind       string    `expr:"kind"`
	Text       string    `expr:"text"`
	JSON       any       `expr:"json"`
	Data       []byte    `expr:"data"`
	Size       int       `expr:"size"`
	Tick       int       `expr:"tick"`
	Priority   bool      `expr:"priority"`
	Action     string    `expr:"action"`
	ObjectID   int       `expr:"object_id"`
	Attribute  string    `expr:"attribute"`
	Stream     string    `expr:"stream"`
	Path       string    `expr:"path"`
	ModTime    time.Time `expr:"mtime"`
	Source     string    `expr:"source"`
	Now        time.Time `expr:"now"`

	Meter *meter `expr:" meter"` // a name that no expression can spell
}

const meterName = " meter"

// Fields returns the names that expressions can use.
func Fields() []string {
	var names []string
	for f := range reflect.TypeFor[env]().Fields() {
		if name := f.Tag.Get("expr"); name != meterName {
			names = append(names, name)
		}
	}
	return names
}

// needs are the fields that cost something to make, and are made for
// expressions that name them.
type needs uint8

const (
	needFullEvent needs = 1 << iota
	needKind
	needText
	needJSON
	needObject
	needNow
	needStream // the fields of streams only; no expression has them filled in later
)

var fieldNeeds = map[string]needs{
	"full_event": needFullEvent,
	"kind":       needKind,
	"text":       needText,
	"json":       needText | needJSON,
	"action":     needObject,
	"object_id":  needObject,
	"attribute":  needObject,
	"now":        needNow,
}

// signal fills in what costs nothing. Of the message before it takes only that back
// which it does not fill in itself: to write all of env anew would take as long as
// many an expression.
func (ev *evaluation) signal(s *router.Signal) {
	e := &ev.env
	if ev.have&^needText != 0 {
		*e = env{}
	}
	ev.have = 0
	e.Event, e.Federation, e.Source, e.Text = s.Event, s.Federation, s.Source, ""
	e.Data = s.Data[:len(s.Data):len(s.Data)] // without the room behind it, into which an expression might append
	e.Size, e.Tick, e.Priority = len(s.Data), int(s.Tick), s.Flags&wire.Priority != 0
	e.Meter = &ev.meter
}

// signalNeeds fills in what is needed and not there yet.
func (ev *evaluation) signalNeeds(s *router.Signal, n needs) {
	n &^= ev.have
	ev.have |= n
	ev.commonNeeds(n)
	if n&needKind != 0 {
		ev.env.Kind = s.Kind.String()
	}
	if n&needText != 0 && hasText(s.Kind) {
		// No copy: the text lives in the message's buffer, which is the
		// caller's again after the call. What outlives it is copied: see the
		// setters of targets, and newError.
		text, _ := wire.NormalText(s.Data)
		ev.env.Text = unsafe.String(unsafe.SliceData(text), len(text))
	}
	if n&needJSON != 0 && ev.env.Text != "" {
		ev.env.JSON, _ = decodeJSON(ev.env.Text)
	}
	if n&needObject != 0 && isChangeObject(s.Kind) {
		if c, _, err := wire.ParseChangeObject(s.Data); err == nil {
			ev.env.Action, ev.env.ObjectID, ev.env.Attribute = c.Action.String(), int(c.ObjectID), c.Attribute
		}
	}
}

// stream fills in what costs nothing.
func (ev *evaluation) stream(info *router.StreamInfo) {
	ev.have = needStream
	ev.env = env{
		Event: info.Event, Federation: info.Federation, Source: info.Source, Kind: wire.StreamHeader.String(),
		Size: int(info.Size), Tick: int(info.Tick), Priority: info.Flags&wire.Priority != 0,
		Stream: info.Name, Path: info.Path, ModTime: info.ModTime,
		Meter: &ev.meter,
	}
}

// streamNeeds fills in what is needed and not there yet.
func (ev *evaluation) streamNeeds(n needs) {
	n &^= ev.have
	ev.have |= n
	ev.commonNeeds(n)
}

func (ev *evaluation) commonNeeds(n needs) {
	if n&needFullEvent != 0 {
		ev.env.FullEvent = router.FullName(ev.env.Federation, ev.env.Event)
	}
	if n&needNow != 0 {
		ev.env.Now = time.Now()
	}
}

// decodeJSON returns the value that text holds. Whole numbers become int where
// they fit, so that identifiers keep all their digits; all others float64.
func decodeJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more after the JSON value")
	}
	return numbers(v), nil
}

// numbers replaces every json.Number in v, in place.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(string(v)); err == nil {
			return n
		}
		f, _ := v.Float64() // beyond its range: infinite
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}
