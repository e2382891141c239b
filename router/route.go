package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"imbrouter/router/deadletter"
	"imbrouter/router/journal"
)

// signalRetries are the pauses before a signal that failed is tried again. A
// signal from a hub holds its source up meanwhile, so they are few and short.
var signalRetries = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second}

// errNotWanted says that a route leaves a message out, whatever its sinks are.
var errNotWanted = fmt.Errorf("%w: its `when` is false", ErrNotTaken)

// route filters and rewrites messages and hands them to its sinks. A signal
// that fails for good ends here: the route has then taken responsibility and
// told so. A stream's failure goes back to its source, which may have a file
// to keep.
type route struct {
	name     string
	filter   Filter
	sinks    *fanout
	guard    *loopGuard
	ledger   *ledger           // nil without a journal
	letters  *deadletter.Store // nil keeps none
	failures *FailureLog
	unkept   *FailureLog // letters that cannot be kept
	counter  *counter
}

// newRoute makes a route that takes the place of another of its name; nil for none.
func (r *Router) newRoute(definition Route, sinks []branch, before *route, c *counter) *route {
	var did *fanout
	if before != nil {
		did = before.sinks
	}
	log := r.log.With("route", definition.Name)
	lost := "signal lost"
	if r.options.DeadLetters != nil {
		lost = "signal failed; it is kept as a dead letter"
	}
	return &route{
		name: definition.Name, filter: definition.Filter, sinks: newFanout(sinks, did),
		guard: newLoopGuard(definition.LoopGuard, log), ledger: r.ledger, letters: r.options.DeadLetters, counter: c,
		failures: NewFailureLog(log, lost, "signals get through again"),
		unkept:   NewFailureLog(log, "a dead letter cannot be kept; the signal is lost", "dead letters are kept again"),
	}
}

// close is called when nothing leads to the route any more.
func (r *route) close() {
	r.failures.Close()
	r.unkept.Close()
	r.guard.close()
}

func (r *route) Signal(ctx context.Context, s Signal) error {
	began := r.counter.beginSignals(1, len(s.Data))
	return r.settle(&s, began, r.carry(ctx, &s))
}

// settle notes how a signal has ended. Without an error it may stand for several
// that began together. It keeps one that has failed, and returns then, too, nil:
// an error is ErrNotTaken.
func (r *route) settle(s *Signal, began time.Duration, err error) error {
	r.counter.endSignal(began, err)
	switch {
	case err == nil:
		r.failures.Success()
	case errors.Is(err, ErrNotTaken):
		return err
	default:
		r.lost(*s, err)
	}
	return nil
}

// carry brings a signal to the route's sinks, and tries a few times.
func (r *route) carry(ctx context.Context, s *Signal) error {
	out, err := r.filtered(s)
	if err == nil {
		err = r.guard.signal(s)
	}
	if err != nil {
		return err
	}
	return r.retry(ctx, &out, r.sinks.Signal(ctx, out))
}

// filtered returns what the filter makes of a signal. The error says why the route
// does not carry it.
func (r *route) filtered(s *Signal) (out Signal, err error) {
	if r.filter == nil {
		return *s, nil
	}
	out, pass, err := r.filter.Signal(*s)
	switch {
	case err != nil:
		return out, expressionError{err}
	case !pass:
		return out, errNotWanted
	}
	return out, nil
}

// retry tries a signal a few times more if it has failed, and returns the last
// error.
func (r *route) retry(ctx context.Context, out *Signal, err error) error {
	for _, pause := range signalRetries {
		if !passing(err) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			err = r.sinks.Signal(ctx, *out)
		}
	}
	if err != nil {
		r.sinks.memory.forget(out.ID)
	}
	return err
}

// Again sends a signal that failed along a route once more: through its filter
// as it is now, to those of its sinks that are named, or to all for none. When it
// fails again the caller still has it: the route does not keep it. That sinks only
// look on is no failure, and that none takes it is ErrNotTaken.
func (r *Router) Again(ctx context.Context, name string, s Signal, sinks []string) error {
	r.mu.Lock()
	route := r.routes[name]
	r.mu.Unlock()
	if route == nil {
		return fmt.Errorf("there is no route %q any more", name)
	}
	some := *route
	if len(sinks) > 0 {
		some.sinks = newFanout(slices.DeleteFunc(slices.Clone(route.sinks.branches), func(b branch) bool {
			return !slices.Contains(sinks, b.name)
		}), nil)
		if len(some.sinks.branches) == 0 {
			return fmt.Errorf("route %q leads to none of the sinks %q any more", name, sinks)
		}
	}
	began := route.counter.beginSignals(1, len(s.Data))
	err := some.carry(ctx, &s)
	route.counter.endSignal(began, err)
	if errors.Is(err, ErrShown) {
		return nil
	}
	return err
}

// drop is for a signal that the source could not hand on.
func (r *route) drop(s Signal, cause error) {
	if r.filter != nil {
		if _, pass, err := r.filter.Signal(s); err == nil && !pass {
			return
		}
	}
	r.counter.drop(len(s.Data), cause)
	r.lost(s, cause)
}

// passing tells whether a failure may pass soon. A destination that is away
// will not be back so quickly, and other sinks wait meanwhile.
func passing(err error) bool {
	if several, ok := err.(branchErrors); ok {
		return slices.ContainsFunc(several, passing)
	}
	return err != nil && !errors.Is(err, ErrNotTaken) && !errors.Is(err, ErrPermanent) && !errors.Is(err, ErrUnavailable)
}

// lost tells of a signal, as it came to the route, that no sink will get, or
// not all of them, and keeps it for the sinks that have not got it.
func (r *route) lost(s Signal, err error) {
	r.failures.Failure("", err, "source", s.Source, "event", s.FullName(), "kind", s.Kind.String(), "size", len(s.Data))
	if r.letters == nil {
		return
	}
	err = r.letters.Add(deadletter.Letter{
		Route: r.name, Sinks: FailedSinks(err), Error: err.Error(),
		Source: s.Source, Federation: s.Federation, Event: s.Event, Redirected: s.Redirected, Relayed: s.Relayed,
		Kind: s.Kind, Flags: s.Flags, Tick: s.Tick, Data: s.Data,
	})
	if err != nil {
		r.unkept.Failure("", err)
	} else {
		r.unkept.Success()
	}
}

// FailedSinks returns the sinks that failed with an error of Again; none for an
// error with which the signal did not come to them.
func FailedSinks(err error) (names []string) {
	switch e := err.(type) {
	case branchErrors:
		for _, err := range e {
			names = append(names, FailedSinks(err)...)
		}
	case *partError:
		names = append(names, e.name)
	}
	return names
}

func (r *route) Stream(ctx context.Context, info StreamInfo) (StreamWriter, error) {
	return r.counter.stream(r.open(ctx, info))
}

// open begins a stream to the route's sinks.
func (r *route) open(ctx context.Context, info StreamInfo) (StreamWriter, error) {
	came := info
	if r.filter != nil {
		out, pass, err := r.filter.Stream(info)
		if err != nil {
			err = fmt.Errorf("its expressions fail on stream %q: %w", info.Name, expressionError{err})
			r.refused(ctx, info, err)
			return nil, Permanent(err)
		}
		if !pass {
			return nil, errNotWanted
		}
		info = out
	}
	if err := r.guard.stream(&came); err != nil {
		r.refused(ctx, came, err)
		return nil, err
	}
	return r.sinks.Stream(ctx, info)
}

// refused records the bad end of a stream that no sink gets to see, and that
// cannot be had again.
func (r *route) refused(ctx context.Context, info StreamInfo, err error) {
	if r.ledger == nil || info.Replay != nil {
		return
	}
	record := newRecord(info)
	record.Route = r.name
	r.ledger.recordLoss(record, accountOf(ctx), journal.Failed, err)
}
