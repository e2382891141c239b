package router

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Cause is why a message failed, as one of few.
type Cause int

// The causes.
const (
	CauseExpression  Cause = iota // an expression of the route failed on it
	CauseRefused                  // trying again would not help, see Permanent
	CauseUnavailable              // the destination is away, see ErrUnavailable
	CauseIncomplete               // a stream ended before its end
	CauseOverflow                 // the source's queue had no room for it
	CauseLoop                     // the route is stopped, see LoopGuard
	CauseStopped                  // it was cut off by the end of the router
	CauseOther
	causes
)

// String returns the cause as one lower-case word.
func (c Cause) String() string {
	return [causes]string{"expression", "refused", "unavailable", "incomplete", "overflow", "loop", "stopped", "other"}[c]
}

// causeOf tells a failure's cause. Incomplete streams and overflows are known by
// where they happen.
func causeOf(err error) Cause {
	var expression expressionError
	switch {
	case errors.As(err, &expression):
		return CauseExpression
	case errors.Is(err, errStopped), errors.Is(err, errLoop):
		return CauseLoop
	case errors.Is(err, ErrUnavailable):
		return CauseUnavailable
	case errors.Is(err, context.Canceled), errors.Is(err, ErrStopTimeout):
		return CauseStopped
	case errors.Is(err, ErrPermanent):
		return CauseRefused
	}
	return CauseOther
}

// expressionError marks what a route's filter failed with.
type expressionError struct{ error }

func (e expressionError) Unwrap() error { return e.error }

// DurationBounds are the upper bounds of the classes into which Durations counts;
// one more is for what took longer.
var DurationBounds = [...]time.Duration{
	20 * time.Microsecond, 100 * time.Microsecond, 500 * time.Microsecond, 2500 * time.Microsecond,
	10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond,
	time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute,
}

// Durations counts how long messages took.
type Durations struct {
	Counts [len(DurationBounds) + 1]uint64
	Sum    time.Duration
}

// durations is what becomes a Durations. It is safe for concurrent use.
type durations struct {
	counts [len(DurationBounds) + 1]atomic.Uint64
	sum    atomic.Int64
}

func (d *durations) add(took time.Duration) {
	class := 0
	for class < len(DurationBounds) && took > DurationBounds[class] {
		class++
	}
	d.counts[class].Add(1)
	d.sum.Add(int64(took))
}

func (d *durations) load() (all Durations) {
	for class := range d.counts {
		all.Counts[class] = d.counts[class].Load()
	}
	all.Sum = time.Duration(d.sum.Load())
	return all
}

// timedSignals is how many signals go by, of which one is timed: reading the clock
// costs as much as much of the rest of a signal's way. When there is less than
// one a second all are timed.
const timedSignals = 64

// counter counts what passes through a source, a route or a sink. It is safe for
// concurrent use.
type counter struct {
	clock            *clock
	signals, streams flow
	transfers        atomic.Int64
	restarts         atomic.Uint64 // of a source
	down             atomic.Bool   // a source waits to be started again
	succeeded        atomic.Int64  // last, by the clock
	failed           atomic.Pointer[Failure]
	failing          atomic.Bool // the last message to come so far has failed
}

// flow is the signals, or the streams, of a counter.
type flow struct {
	came     tally
	notTaken atomic.Uint64
	failures [causes]atomic.Uint64
	took     durations
}

// tally counts messages and their bytes in one step: of what a signal costs on its
// way, such steps are a good part. It is safe for concurrent use.
type tally struct {
	recent atomic.Uint64 // messages in its lower bits, bytes above them

	mu              sync.Mutex // held by who empties recent
	messages, bytes uint64     // what was in recent before
}

const (
	tallyBits = 20
	tallyMask = 1<<tallyBits - 1
	// recent is emptied when it has so many messages, or is above tallyFull: then
	// there is room for those who come meanwhile.
	tallyMany = 1 << 15
	tallyFull = 1 << 62
)

// add returns the number of recent messages.
func (t *tally) add(messages, bytes int) (recent uint64) {
	v := t.recent.Add(uint64(bytes)<<tallyBits | uint64(messages))
	if recent = v & tallyMask; recent >= tallyMany || v >= tallyFull {
		t.mu.Lock()
		t.empty(t.recent.Swap(0))
		t.mu.Unlock()
	}
	return recent
}

func (t *tally) empty(recent uint64) {
	t.messages += recent & tallyMask
	t.bytes += recent >> tallyBits
}

func (t *tally) load() (messages, bytes uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.empty(t.recent.Swap(0))
	return t.messages, t.bytes
}

// clock is the time to the second, which is enough for when something happened
// last. It is Unix seconds.
type clock struct {
	atomic.Int64
	begun time.Time
}

func (c *clock) tick() { c.Store(time.Now().Unix()) }

// since returns the time since the clock has begun, which nobody can set.
func (c *clock) since() time.Duration { return time.Since(c.begun) }

// run sets the clock until stop is called.
func (c *clock) run() (stop func()) {
	ended, end := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
				c.tick()
			}
		}
	}()
	return func() { close(end); <-ended }
}

// beginSignals counts signals, of so many bytes. What it returns is for endSignal:
// when they began, or 0 when they are not timed.
func (c *counter) beginSignals(count, bytes int) (began time.Duration) {
	if c.signals.came.add(count, bytes)%timedSignals < uint64(count) || c.succeeded.Load() != c.clock.Load() {
		began = c.clock.since()
	}
	return began
}

// endSignal counts how a signal has ended, or, without an error, several that
// began together.
func (c *counter) endSignal(began time.Duration, err error) {
	if err == nil && began == 0 && c.succeeded.Load() == c.clock.Load() && !c.failing.Load() {
		return // as almost all do
	}
	if c.end(&c.signals, err) && began != 0 {
		c.signals.took.add(c.clock.since() - began)
	}
}

// leftOut counts signals of which some began together with others, and that were
// not taken.
func (c *counter) leftOut(count int) {
	if count > 0 {
		c.signals.notTaken.Add(uint64(count))
	}
}

// drop counts a signal for which its source had no room.
func (c *counter) drop(size int, err error) {
	c.signals.came.add(1, size)
	c.fail(&c.signals, CauseOverflow, err)
}

// end counts how a message ended, and returns whether it was taken.
func (c *counter) end(f *flow, err error) (taken bool) {
	switch {
	case err == nil:
		c.succeeds()
		c.goesOn()
		return true
	case errors.Is(err, ErrNotTaken):
		f.notTaken.Add(1)
		if errors.Is(err, ErrShown) {
			c.succeeds()
		}
		if !errors.Is(err, errNotWanted) { // the sinks were asked
			c.goesOn()
		}
	default:
		c.fail(f, causeOf(err), err)
	}
	return false
}

func (c *counter) succeeds() {
	if now := c.clock.Load(); c.succeeded.Load() != now {
		c.succeeded.Store(now)
	}
}

// goesOn notes that a message has met no failure.
func (c *counter) goesOn() {
	if c.failing.Load() {
		c.failing.Store(false)
	}
}

func (c *counter) fail(f *flow, cause Cause, err error) {
	f.failures[cause].Add(1)
	c.failed.Store(&Failure{time.Now(), err})
	c.failing.Store(true)
}

// restart notes that a source has failed and is started again after a pause,
// and started that it is. What is down has failed, whenever one looks.
func (c *counter) restart(err error) {
	c.restarts.Add(1)
	c.failed.Store(&Failure{time.Now(), err})
	c.down.Store(true)
}

func (c *counter) started() { c.down.Store(false) }

// stream counts a stream that w was opened for, or was not, and what goes into w.
func (c *counter) stream(w StreamWriter, err error) (StreamWriter, error) {
	c.streams.came.add(1, 0)
	if err != nil {
		c.end(&c.streams, err)
		return nil, err
	}
	c.transfers.Add(1)
	return &countedStream{StreamWriter: w, counter: c, began: time.Now()}, nil
}

// countedStream is a stream through a source, a route or into a sink.
type countedStream struct {
	StreamWriter
	counter *counter
	began   time.Time
	failed  bool // by what it goes into, not by what comes before it
}

func (w *countedStream) Write(p []byte) (int, error) {
	n, err := w.StreamWriter.Write(p)
	w.counter.streams.came.add(0, n)
	w.failed = err != nil
	return n, err
}

func (w *countedStream) ReadFrom(r io.Reader) (int64, error) {
	src := &noteReadError{r: tallyReader{r, &w.counter.streams.came}}
	n, err := copyBody(w.StreamWriter, src)
	w.failed = err != nil && src.err == nil
	return n, err
}

type tallyReader struct {
	r     io.Reader
	tally *tally
}

func (t tallyReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.tally.add(0, n)
	return n, err
}

// End implements Ender.
func (w *countedStream) End(ctx context.Context) error {
	err := end(ctx, w.StreamWriter)
	w.failed = err != nil
	return err
}

func (w *countedStream) Commit(ctx context.Context) error {
	err := w.StreamWriter.Commit(ctx)
	if w.counter.end(&w.counter.streams, err) {
		w.counter.streams.took.add(time.Since(w.began))
	}
	w.counter.transfers.Add(-1)
	return err
}

func (w *countedStream) Abort(cause error) {
	w.StreamWriter.Abort(cause)
	if w.failed {
		w.counter.end(&w.counter.streams, cause)
	} else {
		w.counter.fail(&w.counter.streams, CauseIncomplete, cause)
	}
	w.counter.transfers.Add(-1)
}
