package imb

import (
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// overflowLog tells of a receive queue that overflows, which it does once in
// every Options.BlockTimeout for as long as a handler is stuck: the first time at
// once, then at most once a minute with the sums since the first, and when it is
// over.
type overflowLog struct {
	log  *slog.Logger
	open atomic.Bool // it is not over: count is above 0

	mu                      sync.Mutex
	count, signals, streams int // overflows, and what they dropped
	untold                  int // overflows since the last line
	first, last, told       time.Time
}

// note takes down an overflow, after the read loop has waited so long.
func (o *overflowLog) note(waited time.Duration, signals, streams int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = time.Now()
	if o.count == 0 {
		o.first = o.last
		o.open.Store(true)
	}
	o.count++
	o.untold++
	o.signals += signals
	o.streams += streams
	if o.count == 1 || o.last.Sub(o.told) >= faultPause {
		o.tell(waited)
	}
}

func (o *overflowLog) tell(waited time.Duration) {
	o.log.Error("receive queue overflowed, because a handler did not return in time: dropped what was queued",
		"waited", waited, "count", o.count, "signals", o.signals, "streams", o.streams)
	o.told, o.untold = o.last, 0
}

// empty is called when all that was queued has been handled. That ends it after a
// minute without another one: a handler may be stuck again and again. It returns
// when to ask next if nothing comes.
func (o *overflowLog) empty() (next time.Duration) {
	if !o.open.Load() {
		return math.MaxInt64
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if next = faultPause - time.Since(o.last); next > 0 {
		return next
	}
	o.log.Info("the receive queue does not overflow any more", "lasted", o.last.Sub(o.first).Round(time.Millisecond),
		"count", o.count, "signals", o.signals, "streams", o.streams)
	o.count, o.untold, o.signals, o.streams = 0, 0, 0, 0
	o.open.Store(false)
	return math.MaxInt64
}

// close tells what has not been told.
func (o *overflowLog) close(waited time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.untold > 0 {
		o.tell(waited)
	}
}
