package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// branch is one of the Sinks that a fan-out calls.
type branch struct {
	kind, name string // "sink", "inbox"
	sink       Sink
	batcher    Batcher  // for its signals, if it has such
	counter    *counter // nil for a route, which counts by itself
}

// is tells whether two branches lead to the same part.
func (b branch) is(other branch) bool { return b.stands(other) && same(b.sink, other.sink) }

// stands tells whether two branches stand for the same, by kind and name: a part,
// or what took its place.
func (b branch) stands(other branch) bool { return b.kind == other.kind && b.name == other.name }

func (b *branch) signal(ctx context.Context, s *Signal) error {
	if b.counter == nil {
		return b.sink.Signal(ctx, *s)
	}
	began := b.counter.beginSignals(1, len(s.Data))
	err := b.sink.Signal(ctx, *s)
	b.counter.endSignal(began, err)
	return err
}

func (b *branch) stream(ctx context.Context, info StreamInfo) (StreamWriter, error) {
	w, err := b.sink.Stream(ctx, info)
	if b.counter == nil {
		return w, err
	}
	return b.counter.stream(w, err)
}

func (b branch) wrap(err error) error { return &partError{b.kind, b.name, err} }

// partError is what a sink or a route failed with.
type partError struct {
	kind, name string
	err        error
}

func (e *partError) part() string  { return fmt.Sprintf("%s %q", e.kind, e.name) }
func (e *partError) Error() string { return e.part() + ": " + e.err.Error() }
func (e *partError) Unwrap() error { return e.err }

// Away names the destination in err that is out of reach, such as
//
//	route "send": sink "broadcast"
//
// or several, with commas. It is the same text as long as they are, whatever
// else the error tells. Without any in err it is "".
func Away(err error) string {
	switch e := err.(type) {
	case branchErrors:
		var away []string
		for _, err := range e {
			if errors.Is(err, ErrUnavailable) {
				away = append(away, Away(err))
			}
		}
		return strings.Join(away, ", ")
	case *partError:
		if inner := Away(e.err); inner != "" {
			return e.part() + ": " + inner
		}
		return e.part()
	}
	// A sink of its own, which may name what it cannot reach.
	name, _, found := strings.Cut(err.Error(), ErrUnavailable.Error())
	if !found {
		return ""
	}
	return strings.TrimSuffix(name, ": ")
}

// fanout calls several Sinks with each message. Each succeeds or fails by
// itself, and when a message with the same ID comes again, only those that
// failed, and might not fail again, are called.
type fanout struct {
	branches []branch
	memory   *memory
}

// newFanout returns a fan-out, which remembers what the one before it did, in
// whose place it is put; nil for none.
func newFanout(branches []branch, before *fanout) *fanout {
	if before == nil {
		return &fanout{branches, &memory{partial: map[uint64]partial{}}}
	}
	return &fanout{branches, before.memory}
}

func (f *fanout) Signal(ctx context.Context, s Signal) error {
	if len(f.branches) == 1 { // then there is nothing to remember for a retry
		b := &f.branches[0]
		err := b.signal(ctx, &s)
		if err == nil || errors.Is(err, ErrNotTaken) {
			return err
		}
		return b.wrap(err)
	}
	var few [8]error // keeps the common case off the heap
	o := f.memory.recall(few[:0], s.ID, f)
	for i := range f.branches {
		if o.open(i) {
			o[i] = f.branches[i].signal(ctx, &s)
		}
	}
	return f.settle(s.ID, o, true)
}

func (f *fanout) Stream(ctx context.Context, info StreamInfo) (StreamWriter, error) {
	w := &fanWriter{fanout: f, id: info.ID, again: info.Replay != nil, outcome: f.memory.recall(nil, info.ID, f)}
	for i := range f.branches {
		if !w.outcome.open(i) {
			continue
		}
		sw, err := f.branches[i].stream(ctx, info)
		if err != nil {
			w.outcome[i] = err
			continue
		}
		w.outcome[i] = errPending
		w.active = append(w.active, activeBranch{i, sw})
	}
	if len(w.active) == 0 {
		if err := w.settle(); err != nil {
			return nil, err
		}
		// Every branch has it from an earlier try: the body goes nowhere.
	}
	return w, nil
}

// settle returns the error that an outcome amounts to, and remembers it for a
// retry if there may be one.
func (f *fanout) settle(id uint64, o outcome, again bool) error {
	taken, retry, none := 0, false, ErrNotTaken
	var failed branchErrors
	for i, err := range o {
		switch {
		case err == nil:
			taken++
		case errors.Is(err, ErrShown):
			none = ErrShown
		case errors.Is(err, ErrNotTaken):
		default:
			failed = append(failed, f.branches[i].wrap(err))
			retry = retry || o.open(i)
		}
	}
	if again && retry && taken+len(failed) > 1 {
		f.memory.remember(id, f, o)
	} else {
		f.memory.forget(id)
	}
	switch {
	case len(failed) == 1:
		return failed[0]
	case len(failed) > 1:
		return failed
	case taken == 0:
		return none
	}
	return nil
}

// fanWriter writes one body to every branch that took the stream. A branch
// that fails is aborted, and the others go on.
type fanWriter struct {
	fanout  *fanout
	id      uint64
	again   bool // the body may come once more
	outcome outcome
	active  []activeBranch
}

type activeBranch struct {
	index  int
	writer StreamWriter
}

func (w *fanWriter) settle() error { return w.fanout.settle(w.id, w.outcome, w.again) }

func (w *fanWriter) Write(p []byte) (int, error) {
	if len(w.active) == 0 {
		return len(p), nil
	}
	err := w.each(func(b StreamWriter) error {
		_, err := b.Write(p)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// each does something with every branch that goes on, and drops those where it
// fails. It fails when none is left.
func (w *fanWriter) each(do func(StreamWriter) error) error {
	alive := w.active[:0]
	for _, a := range w.active {
		if err := do(a.writer); err != nil {
			a.writer.Abort(err)
			w.outcome[a.index] = err
			continue
		}
		alive = append(alive, a)
	}
	w.active = alive
	if len(alive) == 0 {
		return w.settle()
	}
	return nil
}

// End implements Ender for the branches that do.
func (w *fanWriter) End(ctx context.Context) error {
	if len(w.active) == 0 {
		return nil
	}
	return w.each(func(b StreamWriter) error { return end(ctx, b) })
}

// ReadFrom copies through the branch's own buffers when there is one only.
func (w *fanWriter) ReadFrom(r io.Reader) (int64, error) {
	if len(w.active) != 1 {
		return copyBody(struct{ io.Writer }{w}, r)
	}
	src := &noteReadError{r: r}
	n, err := copyBody(w.active[0].writer, src)
	if err != nil && src.err == nil { // the branch failed, not the reader
		a := w.active[0]
		a.writer.Abort(err)
		w.outcome[a.index] = err
		w.active = nil
		return n, w.settle()
	}
	return n, err
}

// noteReadError tells a reader's failure from that of what it is copied to.
type noteReadError struct {
	r   io.Reader
	err error
}

func (n *noteReadError) Read(p []byte) (int, error) {
	c, err := n.r.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return c, err
}

func (w *fanWriter) Commit(ctx context.Context) error {
	for _, a := range w.active {
		w.outcome[a.index] = a.writer.Commit(ctx)
	}
	w.active = nil
	return w.settle()
}

func (w *fanWriter) Abort(cause error) {
	for _, a := range w.active {
		a.writer.Abort(cause)
	}
	w.active = nil
}

// branchErrors are the failures of several branches. It is permanent when all
// of them are; and says that a destination is unavailable when one is, because
// then waiting is what its caller should do.
type branchErrors []error

func (e branchErrors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Is decides alone, without the Unwrap of errors.Join, which would call an
// error permanent when one branch's is.
func (e branchErrors) Is(target error) bool {
	if target == ErrPermanent {
		for _, err := range e {
			if !errors.Is(err, target) {
				return false
			}
		}
		return true
	}
	for _, err := range e {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func (e branchErrors) As(target any) bool {
	for _, err := range e {
		if errors.As(err, target) {
			return true
		}
	}
	return false
}
