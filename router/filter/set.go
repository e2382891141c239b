package filter

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"imbrouter/imb/wire"
	"imbrouter/router"
)

// target is a field that `set` can set.
type target struct {
	name     string
	want     want
	ofSignal func(wire.Kind) bool // which kinds have it

	setSignal func(*router.Signal, value) error     // of those kinds
	setStream func(*router.StreamInfo, value) error // nil for a field that streams do not have
}

// targets are in the order in which they are applied: data first, because
// others change a part of it.
var targets = []target{
	{
		name: "event", want: wantString, ofSignal: always,
		setSignal: func(s *router.Signal, v value) error { return setEvent(&s.Event, v.text) },
		setStream: func(s *router.StreamInfo, v value) error { return setEvent(&s.Event, v.text) },
	},
	{
		name: "federation", want: wantString, ofSignal: always,
		setSignal: func(s *router.Signal, v value) error {
			s.Federation, s.Redirected = strings.Clone(v.text), true
			return nil
		},
		setStream: func(s *router.StreamInfo, v value) error {
			s.Federation, s.Redirected = strings.Clone(v.text), true
			return nil
		},
	},
	{
		name: "tick", want: wantInt, ofSignal: always,
		setSignal: func(s *router.Signal, v value) error { return setInt32(&s.Tick, v.number) },
		setStream: func(s *router.StreamInfo, v value) error { return setInt32(&s.Tick, v.number) },
	},
	{
		name: "priority", want: wantBool, ofSignal: always,
		setSignal: func(s *router.Signal, v value) error { setPriority(&s.Flags, v.flag); return nil },
		setStream: func(s *router.StreamInfo, v value) error { setPriority(&s.Flags, v.flag); return nil },
	},
	{
		name: "stream", want: wantString, ofSignal: func(wire.Kind) bool { return false },
		setStream: func(s *router.StreamInfo, v value) error { s.Name = strings.Clone(v.text); return nil },
	},
	{
		name: "data", want: wantBytes, ofSignal: always,
		setSignal: func(s *router.Signal, v value) error { s.Data = v.data; return nil },
	},
	{
		name: "text", want: wantString, ofSignal: hasText,
		setSignal: func(s *router.Signal, v value) error {
			return setData(s, wire.AppendString(make([]byte, 0, 4+len(v.text)), v.text))
		},
	},
	{
		name: "action", want: wantString, ofSignal: isChangeObject,
		setSignal: func(s *router.Signal, v value) error {
			action, err := wire.ParseAction(v.text)
			if err != nil {
				return fmt.Errorf(`gives %q, which is none of "new", "delete", "change" or a number`, v.text)
			}
			return changeObject(s, func(c *wire.ChangeObjectData) error { c.Action = action; return nil })
		},
	},
	{
		name: "object_id", want: wantInt, ofSignal: isChangeObject,
		setSignal: func(s *router.Signal, v value) error {
			return changeObject(s, func(c *wire.ChangeObjectData) error { return setInt32(&c.ObjectID, v.number) })
		},
	},
	{
		name: "attribute", want: wantString, ofSignal: isChangeObject,
		setSignal: func(s *router.Signal, v value) error {
			return changeObject(s, func(c *wire.ChangeObjectData) error { c.Attribute = v.text; return nil })
		},
	},
}

// checkConstant tells what is wrong with a value that is the same for every
// message.
func (t *target) checkConstant(e *expression) error {
	switch {
	case !e.isConstant:
		return nil
	case t.setStream != nil:
		return t.setStream(&router.StreamInfo{}, e.constant)
	default:
		return t.setSignal(&router.Signal{Data: wire.AppendChangeObject(nil, wire.ChangeObjectData{})}, e.constant)
	}
}

// Settable returns the names that `set` may have.
func Settable() []string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.name
	}
	return names
}

func always(wire.Kind) bool { return true }

func hasText(k wire.Kind) bool { return k == wire.NormalEvent }

func isChangeObject(k wire.Kind) bool {
	return k == wire.ChangeObject || k == wire.ChangeObjectWithData
}

func setEvent(event *string, name string) error {
	if name == "" {
		return errors.New("gives an empty name")
	}
	*event = strings.Clone(name)
	return nil
}

func setInt32(n *int32, v int64) error {
	if v < math.MinInt32 || v > math.MaxInt32 {
		return fmt.Errorf("gives %d, which does not fit 32 bits", v)
	}
	*n = int32(v)
	return nil
}

func setPriority(flags *wire.Flags, on bool) {
	*flags &^= wire.Priority
	if on {
		*flags |= wire.Priority
	}
}

func setData(s *router.Signal, data []byte) error {
	if len(data) > wire.MaxEventData {
		return wire.ErrTooLarge
	}
	s.Data = data
	return nil
}

// changeObject changes a part of a changeObject's data and keeps the rest.
func changeObject(s *router.Signal, change func(*wire.ChangeObjectData) error) error {
	c, rest, err := wire.ParseChangeObject(s.Data)
	if err != nil {
		return err
	}
	if err := change(&c); err != nil {
		return err
	}
	return setData(s, append(wire.AppendChangeObject(nil, c), rest...))
}

// SetFields names the fields that the filter sets, with texts that it sets always.
func (f *Filter) SetFields() (fields []string) {
	for _, field := range Settable() {
		switch constant, isConstant, sets := f.Sets(field); {
		case isConstant && constant != "":
			fields = append(fields, fmt.Sprintf("%s = %q", field, constant))
		case sets:
			fields = append(fields, field)
		}
	}
	return fields
}
