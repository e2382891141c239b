package filter

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/failpoint"
)

// evaluation is what it takes to run expressions on one message. It is used
// again for later messages, so that running costs no allocation beside expr's.
type evaluation struct {
	env   env
	have  needs // what is filled in of env
	meter meter
	work  int
	vm    vm.VM

	passage *router.Passage
	turn    uint32  // of passage
	filter  *Filter // that signals are for

	// What becomes of a message that comes alone.
	outSignal router.Signal
	outStream router.StreamInfo
}

var evaluations = sync.Pool{New: func() any { return new(evaluation) }}

func begin(p *router.Passage, l Limits) *evaluation {
	ev := evaluations.Get().(*evaluation)
	ev.passage, ev.turn = p, p.Enter()
	ev.work = l.Work
	ev.vm.MemoryBudget = uint(l.Work)
	return ev
}

// End gives ev back, and implements router.SignalFilter. What it refers to of the message is kept until it is used
// again or the collector empties the pool.
func (ev *evaluation) End() {
	ev.passage.Leave(ev.turn)
	evaluations.Put(ev)
}

// fail makes the error of a message that e fails on.
func (e *expression) fail(err error) error {
	failure := newError(e.field, e.text, err)
	var at *file.Error
	if errors.As(err, &at) && isAboutNil(at.Message) {
		failure.hintAbsent(e.remedies[at.From])
	}
	return router.Permanent(failure)
}

// value is what an expression gave: the field that its want names is set.
type value struct {
	flag   bool
	text   string // may live in the message's buffer
	data   []byte // may live in the message's buffer
	number int64
	any    any // may live in the message's buffer
}

// value runs an expression on the message that is filled in, and checks the
// type and the size of what it gives.
func (ev *evaluation) value(e *expression) (value, error) {
	failpoint.Reach("filter", e.field)
	ev.meter.left = ev.work
	out, err := ev.vm.Run(e.program, &ev.env)
	if err != nil {
		var at *file.Error
		if errors.As(err, &at) && at.Message == "memory budget exceeded" {
			at.Message = errWork.Error()
		}
		return value{}, e.fail(err)
	}
	v, ok := e.want.convert(out)
	switch {
	case !ok:
		failure := newError(e.field, e.text, fmt.Errorf("must give %s, gives %s", e.want, describe(reflect.TypeOf(out))))
		if out == nil {
			failure.hintAbsent(e.ifNil)
		}
		return value{}, router.Permanent(failure)
	case len(v.text) > wire.MaxEventData || len(v.data) > wire.MaxEventData:
		return value{}, e.fail(wire.ErrTooLarge)
	}
	return v, nil
}

// holds is value for an expression that must give true or false.
func (ev *evaluation) holds(e *expression) (bool, error) {
	if e.direct == nil {
		v, err := ev.value(e)
		return v.flag, err
	}
	failpoint.Reach("filter", e.field)
	return e.direct(&ev.env), nil
}

// convert makes a value of what an expression gave.
func (w want) convert(out any) (v value, ok bool) {
	switch w {
	case wantAny:
		return value{any: out}, true
	case wantBool:
		v.flag, ok = out.(bool)
	case wantString:
		v.text, ok = out.(string)
	case wantBytes:
		if text, isText := out.(string); isText {
			return value{data: []byte(text)}, true
		}
		v.data, ok = out.([]byte)
	case wantInt:
		switch n := out.(type) {
		case int:
			return value{number: int64(n)}, true
		case float64: // of JSON, such as 1e3
			return value{number: int64(n)}, n == math.Trunc(n) && math.Abs(n) < 1<<53
		}
		if rv := reflect.ValueOf(out); rv.CanInt() {
			return value{number: rv.Int()}, w.takes(rv.Type())
		} else if rv.CanUint() {
			return value{number: int64(min(rv.Uint(), math.MaxInt64))}, true
		}
	}
	return v, ok
}
