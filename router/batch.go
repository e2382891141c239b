package router

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Pass implements Passer.
func (e *entry) Pass(batch []Signal, progress func()) {
	for len(batch) > 0 {
		n := e.pass(batch, progress)
		progress()
		batch = batch[n:]
	}
}

// pass is Pass for those at the front, and returns how many. A route that alone may
// take signals gets them together; several get each as it comes.
func (e *entry) pass(batch []Signal, progress func()) (n int) {
	t := e.enter()
	defer t.leave()
	only, n := t.next.only(batch)
	if only == nil || !only.takesBatches() {
		_ = e.signal(t, batch[0]) // fails with ErrNotTaken only, or when the router stops
		return 1
	}
	batch = batch[:n]
	for i := range batch {
		batch[i].Source = e.source
	}
	began := e.counter.beginSignals(n, bytesOf(batch))
	notTaken := only.signals(e.hard, batch, progress)
	e.counter.leftOut(notTaken)
	if notTaken < n {
		e.counter.endSignal(began, nil)
	}
	return n
}

// only returns the route that alone may take the first signal, or nil, and for
// how many signals from there on that is so.
func (i *interests) only(batch []Signal) (only *route, n int) {
	routes := i.all
	n = len(batch)
	if len(routes.branches) > 1 {
		name := eventName{batch[0].Federation, batch[0].Event}
		routes = i.of(name)
		for n = 1; n < len(batch) && name == (eventName{batch[n].Federation, batch[n].Event}); {
			n++
		}
	}
	if len(routes.branches) == 1 {
		only, _ = routes.branches[0].sink.(*route)
	}
	return only, n
}

// takesBatches tells whether the route's signals method can be used.
func (r *route) takesBatches() bool {
	return len(r.sinks.branches) == 1 && r.sinks.branches[0].batcher != nil
}

// passed is signals that a route carries.
type passed struct {
	signals  []Signal  // as the filter made them
	came     []*Signal // as they came, in the same order
	began    time.Duration
	progress func()
}

var passedPool = sync.Pool{New: func() any { return new(passed) }}

// signals is Signal for many. It returns how many are not taken.
func (r *route) signals(ctx context.Context, batch []Signal, progress func()) (notTaken int) {
	p := passedPool.Get().(*passed)
	defer passedPool.Put(p)
	p.began, p.progress = r.counter.beginSignals(len(batch), bytesOf(batch)), progress
	leftOut := 0
	for i := range batch {
		s := &batch[i]
		switch out, err := r.admit(s); {
		case err == nil:
			p.signals, p.came = append(p.signals, out), append(p.came, s)
		case errors.Is(err, ErrNotTaken):
			leftOut++
		default:
			notTaken += r.send(ctx, p) // keeps the order
			_ = r.settle(s, 0, err)
			progress()
		}
	}
	notTaken += r.send(ctx, p)
	r.counter.leftOut(leftOut)
	return notTaken + leftOut
}

// send hands signals to the route's only sink, and leaves none. It returns how
// many the sink does not take.
func (r *route) send(ctx context.Context, p *passed) (notTaken int) {
	if len(p.signals) == 0 {
		return 0
	}
	defer func() { p.signals, p.came = p.signals[:0], p.came[:0] }()
	to := &r.sinks.branches[0]
	toBegan := to.counter.beginSignals(len(p.signals), bytesOf(p.signals))
	for at := 0; at < len(p.signals); {
		n, err := to.batcher.Signals(ctx, p.signals[at:])
		if n > 0 {
			to.counter.endSignal(toBegan, nil)
			_ = r.settle(p.came[at], p.began, nil)
			at += n
		}
		toBegan, p.began = 0, 0 // the others wait for these
		p.progress()
		if err == nil {
			continue
		}
		to.counter.endSignal(0, err)
		if !errors.Is(err, ErrNotTaken) {
			err = r.retry(ctx, &p.signals[at], to.wrap(err))
		}
		if r.settle(p.came[at], 0, err) != nil {
			notTaken++
		}
		p.progress()
		at++
	}
	return notTaken
}

func bytesOf(batch []Signal) (size int) {
	for i := range batch {
		size += len(batch[i].Data)
	}
	return size
}
