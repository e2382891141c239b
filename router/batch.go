package router

import (
	"context"
	"errors"
	"slices"
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

// carried is signals on their way through a route.
type carried struct {
	signals []Signal  // as they go to the sink
	came    []*Signal // as they came to the route; nil when that is the same
}

func (c carried) asCame(i int) *Signal {
	if c.came == nil {
		return &c.signals[i]
	}
	return c.came[i]
}

func (c carried) slice(from, to int) carried {
	part := carried{signals: c.signals[from:to]}
	if c.came != nil {
		part.came = c.came[from:to]
	}
	return part
}

// carrying is a call of a route's signals method.
type carrying struct {
	carried  // room for what the filter makes
	began    time.Duration
	progress func()
}

var carryings = sync.Pool{New: func() any { return new(carrying) }}

// signals is Signal for many. It returns how many are not taken.
func (r *route) signals(ctx context.Context, batch []Signal, progress func()) (notTaken int) {
	c := carryings.Get().(*carrying)
	defer carryings.Put(c)
	c.began, c.progress = r.counter.beginSignals(len(batch), bytesOf(batch)), progress
	if r.filter == nil {
		return r.guarded(ctx, c, carried{signals: batch})
	}
	leftOut := 0
	for len(batch) > 0 {
		n, err := c.sift(r.filter, batch)
		leftOut += n - len(c.signals)
		notTaken += r.guarded(ctx, c, c.carried)
		if err != nil {
			_ = r.settle(&batch[n], 0, expressionError{err})
			progress()
			n++
		}
		batch = batch[n:]
	}
	r.counter.leftOut(leftOut)
	return notTaken + leftOut
}

// sift makes c carry those of a batch that pass a filter, up to the first one on
// which that fails. It returns how many are before that, and the error.
func (c *carrying) sift(f Filter, batch []Signal) (n int, err error) {
	c.signals, c.came = slices.Grow(c.signals[:0], len(batch)), c.came[:0]
	sieve := begin(f)
	defer sieve.End()
	for ; n < len(batch); n++ {
		s, next := &batch[n], len(c.signals)
		c.signals = c.signals[:next+1]
		pass, err := sieve.Signal(s, &c.signals[next])
		if err == nil && pass {
			c.came = append(c.came, s)
			continue
		}
		c.signals = c.signals[:next]
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// begin begins any filter.
func begin(f Filter) SignalFilter {
	if f, ok := f.(BatchFilter); ok {
		return f.Begin()
	}
	return oneByOne{f}
}

// oneByOne is a filter that takes no batches.
type oneByOne struct{ Filter }

func (f oneByOne) Signal(s, out *Signal) (pass bool, err error) {
	*out, pass, err = f.Filter.Signal(*s)
	return pass, err
}

func (oneByOne) End() {}

// guarded hands those to the sink that the loop guard lets through. It returns
// how many the sink does not take.
func (r *route) guarded(ctx context.Context, c *carrying, all carried) (notTaken int) {
	for len(all.signals) > 0 {
		n, err := r.guard.signals(all)
		notTaken += r.send(ctx, c, all.slice(0, n))
		if err != nil {
			_ = r.settle(all.asCame(n), 0, err)
			c.progress()
			n++
		}
		all = all.slice(n, len(all.signals))
	}
	return notTaken
}

// send hands signals to the route's only sink. It returns how many that does not
// take.
func (r *route) send(ctx context.Context, c *carrying, all carried) (notTaken int) {
	if len(all.signals) == 0 {
		return 0
	}
	to := &r.sinks.branches[0]
	toBegan := to.counter.beginSignals(len(all.signals), bytesOf(all.signals))
	for at := 0; at < len(all.signals); {
		n, err := to.batcher.Signals(ctx, all.signals[at:])
		if n > 0 {
			to.counter.endSignal(toBegan, nil)
			_ = r.settle(all.asCame(at), c.began, nil)
			at += n
		}
		toBegan, c.began = 0, 0 // the others wait for these
		c.progress()
		if err == nil {
			continue
		}
		to.counter.endSignal(0, err)
		if !errors.Is(err, ErrNotTaken) {
			err = r.retry(ctx, &all.signals[at], to.wrap(err))
		}
		if r.settle(all.asCame(at), 0, err) != nil {
			notTaken++
		}
		c.progress()
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
