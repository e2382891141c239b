// Package filter compiles the expressions of a route: `when`, which decides
// whether the route takes a message, and `set`, which rewrites it; and the
// `filename` of a folder. The language is that of expr-lang.org.
//
//	f, err := filter.Compile(`kind == "normal" && (json?.level ?? 0) >= 3`,
//		map[string]string{"event": `"tno." + event`}, filter.Limits{})
//	if err != nil { … } // Errors: each with its field and column
//	out, pass, err := f.Signal(signal)
//
// # Fields
//
// An expression sees the message under these names. A field that the message
// does not have reads as the zero value of its type. Of a stream it sees the
// start, not the body.
//
//	name        type     signals                                streams
//	event       string   name without the federation            the same
//	federation  string   "" for a name outside of it            the same
//	full_event  string   federation, dot and event              the same
//	kind        string   "normal", "change_object", "buffer",   "stream"
//	                     "log", "timer_tick", …; the number of
//	                     a kind without a name
//	text        string   of a normal one: the IMB string that   ""
//	                     its data is, else its data if UTF-8
//	json        any      text decoded; nil when it is not JSON. nil
//	                     Whole numbers are int, others float64
//	data        bytes    the data as it is                      nil
//	size        int      of the data, in bytes                  of the file, -1 unknown
//	tick        int      the sender's clock                     the same
//	priority    bool     the priority flag                      the same
//	action      string   of a changeObject: "new", "delete",    ""
//	                     "change" or a number
//	object_id   int      of a changeObject                      0
//	attribute   string   of a changeObject                      ""
//	stream      string   ""                                     name of the stream
//	path        string   ""                                     of a file, with "/", relative to its folder
//	mtime       time     zero                                   of a file, else zero
//	source      string   name of the source that brought it     the same
//	now         time     when the expression is evaluated       the same
//
// `set` has one expression for each field that it sets. All of them see the
// incoming message. Those for a field that the message's kind does not have are
// skipped, so that one route can carry several kinds:
//
//	name        must give          what it sets
//	event       string, not empty  the event, without the federation
//	federation  string             the federation, in place of the sink's own
//	tick        int                the sender's clock
//	priority    bool               the priority flag
//	stream      string             of streams: the name
//	data        bytes or string    of signals: the data, before the fields below change it
//	text        string             of normal signals: the data, as an IMB string
//	action      string             of changeObjects: "new", "delete", "change" or a number
//	object_id   int                of changeObjects
//	attribute   string             of changeObjects
//
// # Functions
//
// Expressions have expr's operators and `let`, and of its functions: all, none,
// any, one, filter, map, count, find, findIndex, findLast, findLastIndex; len,
// first, last, take, keys, values, reverse, concat, join, min, max; trim,
// trimPrefix, trimSuffix, upper, lower, split, splitAfter, replace, indexOf,
// lastIndexOf, hasPrefix, hasSuffix; int, float, string, type, toJSON (without
// white space), fromJSON, toBase64, fromBase64; abs, ceil, floor, round, the
// bit functions, date and duration.
//
// # Limits
//
// A message comes from anywhere and may be 10 MiB, so evaluation is bounded in
// time and memory whatever the expression is. What takes more than a step
// costs work: each element that a loop goes over costs 1, and each 64 bytes of
// text that a function, a `+` between two computed texts, `matches`, or an operator inside a loop
// handles, cost 1. An evaluation that needs more than Limits.Work fails, and
// so does one that makes more than as many array elements. What is not counted
// is linear in the message: at most MaxNodes times. A pattern of `matches` is
// a constant, and functions whose cost can be more than their arguments and
// their result together do not exist here. Results are at most
// wire.MaxEventData bytes.
package filter

import (
	"maps"
	"slices"

	"imbrouter/router"
)

// Limits bound the evaluation of one expression on one message. The zero value
// stands for the defaults.
type Limits struct {
	// Work is what an evaluation may cost, see the package comment; a million
	// takes a fraction of a second. 0 means DefaultWork.
	Work int
}

const (
	// DefaultWork is the default of Limits.Work.
	DefaultWork = 1_000_000
	// MaxLength is the longest expression, in bytes.
	MaxLength = 16 << 10
	// MaxNodes is how many names, constants and operators it may hold.
	MaxNodes = 1000
)

// Filter is the compiled `when` and `set` of a route. It implements
// router.Filter and router.NameFilter, and is safe for concurrent use.
//
// An error of Signal or Stream is permanent, see router.Permanent, and wraps an
// *Error.
type Filter struct {
	when     *expression // nil takes everything
	byName   *expression // the part of it that MayTake evaluates, or nil
	set      []assignment
	limits   Limits
	setNeeds needs // of all expressions in set
	passage  router.Passage
}

type assignment struct {
	*expression
	target *target
}

// Compile compiles the expressions of a route. An empty when takes everything.
// The error is of type Errors and tells all that is wrong.
func Compile(when string, set map[string]string, l Limits) (*Filter, error) {
	f := &Filter{limits: l}
	if l.Work == 0 {
		f.limits.Work = DefaultWork
	}
	var errs Errors
	if when != "" {
		e, err := compile("when", when, wantBool)
		if err != nil {
			errs = append(errs, err)
		}
		f.when, f.byName = e, byName(when)
	}
	for i := range targets { // in the order in which they are applied
		t := &targets[i]
		text, ok := set[t.name]
		if !ok {
			continue
		}
		e, err := compile("set."+t.name, text, t.want)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := t.checkConstant(e); err != nil {
			errs = append(errs, newError(e.field, text, err))
			continue
		}
		f.set = append(f.set, assignment{e, t})
		f.setNeeds |= e.needs
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if !slices.Contains(Settable(), name) {
			errs = append(errs, &Error{Field: "set." + name, Column: 1, Msg: "there is no such field to set"})
		}
	}
	if errs != nil {
		return nil, errs
	}
	return f, nil
}

// Sets tells whether `set` has the field of that name, and to which text it
// sets it if that is the same for every message.
func (f *Filter) Sets(name string) (constant string, isConstant, sets bool) {
	for _, a := range f.set {
		if a.target.name == name {
			return a.constant.text, a.isConstant, true
		}
	}
	return "", false, false
}

// Passage implements router.Watched.
func (f *Filter) Passage() *router.Passage { return &f.passage }

// Signal implements router.Filter.
func (f *Filter) Signal(s router.Signal) (out router.Signal, pass bool, err error) {
	ev := f.begin()
	defer ev.End()
	if pass, err = ev.Signal(&s, &ev.outSignal); !pass {
		return s, false, err
	}
	return ev.outSignal, true, nil
}

// Begin implements router.BatchFilter.
func (f *Filter) Begin() router.SignalFilter { return f.begin() }

func (f *Filter) begin() *evaluation {
	ev := begin(&f.passage, f.limits)
	ev.filter = f
	return ev
}

// Signal implements router.SignalFilter.
func (ev *evaluation) Signal(s, out *router.Signal) (pass bool, err error) {
	f := ev.filter
	ev.signal(s)
	if f.when != nil {
		ev.signalNeeds(s, f.when.needs)
		if holds, err := ev.holds(f.when); err != nil || !holds {
			return false, err
		}
	}
	*out = *s
	if len(f.set) == 0 {
		return true, nil
	}
	ev.signalNeeds(s, f.setNeeds)
	for _, a := range f.set {
		if !a.target.ofSignal(s.Kind) {
			continue
		}
		v, err := ev.value(a.expression)
		if err != nil {
			return false, err
		}
		if err := a.target.setSignal(out, v); err != nil {
			return false, a.fail(err)
		}
	}
	return true, nil
}

// Stream implements router.Filter.
func (f *Filter) Stream(info router.StreamInfo) (out router.StreamInfo, pass bool, err error) {
	ev := begin(&f.passage, f.limits)
	defer ev.End()
	ev.stream(&info)
	if f.when != nil {
		ev.streamNeeds(f.when.needs)
		if holds, err := ev.holds(f.when); err != nil || !holds {
			return info, false, err
		}
	}
	ev.streamNeeds(f.setNeeds)
	ev.outStream = info
	for _, a := range f.set {
		if a.target.setStream == nil {
			continue
		}
		v, err := ev.value(a.expression)
		if err != nil {
			return info, false, err
		}
		if err := a.target.setStream(&ev.outStream, v); err != nil {
			return info, false, a.fail(err)
		}
	}
	return ev.outStream, true, nil
}

// Name is a compiled `filename`: an expression that gives a text for a stream.
// It is safe for concurrent use.
type Name struct {
	expression *expression
	limits     Limits
	passage    router.Passage
}

// CompileName compiles the expression of a file's name. The error is of type
// Errors, its Field is "filename".
func CompileName(text string) (*Name, error) {
	e, err := compile("filename", text, wantString)
	if err != nil {
		return nil, Errors{err}
	}
	return &Name{expression: e, limits: Limits{Work: DefaultWork}}, nil
}

// Passage tells whether an evaluation does not return, see router.Watched.
func (n *Name) Passage() *router.Passage { return &n.passage }

// Of returns the name for a stream. It is as hostile as the stream's own. An
// error is permanent and wraps an *Error.
func (n *Name) Of(info router.StreamInfo) (string, error) {
	ev := begin(&n.passage, n.limits)
	defer ev.End()
	ev.stream(&info)
	ev.streamNeeds(n.expression.needs)
	v, err := ev.value(n.expression)
	return v.text, err
}
