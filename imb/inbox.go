package imb

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"imbrouter/imb/wire"
)

// what a delivery is: a frame, or a note to the dispatcher in its place
// between the frames.
type what uint8

const (
	eventFrame   what = iota
	variable          // a setVariable frame; the data is its payload
	allLost           // the connection was lost, for the reason err
	streamLost        // a part of the stream was dropped; the data is its wire.StreamChunk
	hubEventGone      // the hub's event id will mean something else from now on, for the reason err
	drained           // everything before has been handled: tell done
)

// delivery is one entry of the inbox, without its data. It is kept small: it goes
// from one processor to another.
type delivery struct {
	what       what
	kind       wire.Kind
	flags      wire.Flags
	tick       int32
	start, end int32         // of its data in the batch
	at         time.Duration // when it arrived, on the inbox's clock
	*origin                  // of frames, and of what concerns an event
	*reason                  // of others
}

// origin is the event that a frame came on.
type origin struct {
	hub   int32  // the hub's id of the event
	event *Event // what it is subscribed as
	name  string // full name of the event
}

// reason is what belongs to a note.
type reason struct {
	err  error
	done func()
}

func (d *delivery) isSignal() bool { return d.what == eventFrame && !d.kind.IsStream() }

func (d *delivery) isFrame() bool { return d.what == eventFrame || d.what == variable }

const deliverySize = int(unsafe.Sizeof(delivery{}))

// cost is what a delivery counts for in the queue.
func cost(data int) int { return data + deliverySize }

// delivered is a delivery with its data.
type delivered struct {
	delivery
	data []byte
}

// inbox is the bounded queue between the read loop, which puts, and the
// dispatcher, which takes. What is queued stands in a chain of batches, and the
// dispatcher takes a whole one at a time, so that the two seldom meet.
//
// It has a clock by which streams are silent or not. The clock stands still
// while the read loop waits for room: what the hub sends then is not seen.
type inbox struct {
	limit   int
	begin   time.Time
	wake    chan struct{} // there is something to take for a dispatcher that waits
	room    chan struct{} // there may be more room than before for a read loop that waits
	size    atomic.Int64  // cost of everything, that in the dispatcher's hands included
	waiting atomic.Bool   // the read loop waits for room

	current *batch // the dispatcher's; changed under mu
	none    batch  // the current one when there is none
	taken   int    // the dispatcher's own: cost of what is in its hands

	mu       sync.Mutex
	pending  []*batch // read loop and others append to the last
	busy     bool     // what came lately does not fit into a small batch
	spare    *batch   // a small one for when that is not so
	sleeping bool
	closed   bool
	stopped  time.Time     // since when the clock stands still; zero while it runs
	held     time.Duration // for how long it has stood still, all in all
}

func newInbox(limit int) *inbox {
	q := &inbox{limit: limit, begin: time.Now(), wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	q.current = &q.none
	return q
}

// clock returns the time by which deliveries are stamped.
func (q *inbox) clock() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.stopped
	if now.IsZero() {
		now = time.Now()
	}
	return now.Sub(q.begin) - q.held
}

func (q *inbox) stopClock() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = time.Now()
}

func (q *inbox) startClock() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held += time.Since(q.stopped)
	q.stopped = time.Time{}
}

// len returns the cost of everything that is queued or being handled.
func (q *inbox) len() int { return int(q.size.Load()) }

// put appends deliveries with copies of their data, and returns how many: those
// for which there is room. One that is larger than the whole queue goes in when it
// is empty.
func (q *inbox) put(all []delivered) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := int(q.size.Load())
	added := 0
	var to *batch
	for ; n < len(all); n++ {
		d := &all[n]
		c := cost(len(d.data))
		if size+added > 0 && size+added+c > q.limit {
			break
		}
		if to == nil || to.full() {
			to = q.last(len(d.data))
		}
		to.add(&d.delivery, d.data)
		added += c
	}
	if n > 0 {
		q.size.Add(int64(added))
		q.wakeLocked()
	}
	return n
}

// note appends a delivery, whether there is room or not.
func (q *inbox) note(d delivery, data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(d, data)
}

func (q *inbox) addLocked(d delivery, data []byte) {
	q.last(len(data)).add(&d, data)
	q.size.Add(int64(cost(len(data))))
	q.wakeLocked()
}

// wakeLocked wakes a dispatcher that waits.
func (q *inbox) wakeLocked() {
	if q.sleeping {
		q.sleeping = false
		signal(q.wake)
	}
}

// last returns the batch to append so many bytes to.
func (q *inbox) last(size int) *batch {
	n := len(q.pending)
	if n > 0 && !q.pending[n-1].full() {
		return q.pending[n-1]
	}
	var b *batch
	switch {
	case n > 0 || q.busy || size > smallBatch:
		b = batches.Get().(*batch)
	case q.spare != nil:
		b, q.spare = q.spare, nil
	default:
		b = new(batch)
	}
	q.pending = append(q.pending, b)
	return b
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// putWait is put that waits for room for one. It returns false when there was no
// progress for the time-out, or when one of the two channels is closed.
func (q *inbox) putWait(d []delivered, timeout time.Duration, stop, closing <-chan struct{}) bool {
	q.waiting.Store(true)
	defer q.waiting.Store(false)
	q.stopClock()
	defer q.startClock()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for q.put(d) == 0 {
		select {
		case <-q.room:
			timer.Reset(timeout)
		case <-timer.C:
			return false
		case <-stop:
			return false
		case <-closing:
			return false
		}
	}
	return true
}

// take returns the next run of deliveries, see batch.take, which is valid, as their
// data is, until the next call. It returns nil when there is none at the moment;
// wake then tells when to ask again.
func (q *inbox) take() (run []delivery) {
	if q.taken > 0 {
		q.size.Add(-int64(q.taken))
		q.taken = 0
		q.progress()
	}
	for run = q.current.take(); run == nil; run = q.current.take() {
		if !q.advance() {
			return nil
		}
	}
	for i := range run {
		q.taken += cost(int(run[i].end - run[i].start))
	}
	return run
}

// progress lets a read loop that waits for room look again, and wait anew.
func (q *inbox) progress() {
	if q.waiting.Load() {
		signal(q.room)
	}
}

// bytes returns the data of a delivery of the run.
func (q *inbox) bytes(d *delivery) []byte { return q.current.bytes(d) }

// advance makes the next batch the current one. It returns false when there is
// none.
func (q *inbox) advance() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.recycle(q.current)
	if len(q.pending) == 0 {
		q.current = &q.none
		q.sleeping = true
		return false
	}
	q.current = q.pending[0]
	q.pending = slices.Delete(q.pending, 0, 1)
	return true
}

// recycle takes back a batch of which all has been handled.
func (q *inbox) recycle(b *batch) {
	if b.lost || b == &q.none {
		return
	}
	q.busy = len(b.data) > smallBatch || len(q.pending) > 0 && q.busy
	switch {
	case cap(b.data) <= 2*smallBatch && cap(b.items) <= 2*smallItems:
		b.clear()
		q.spare = b
	case cap(b.data) >= batchSize && cap(b.data) <= maxBatch:
		b.clear()
		batches.Put(b)
	}
}

// untilRelease returns for how long the queue is empty when release is due.
func (q *inbox) untilRelease() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.spare == nil {
		return math.MaxInt64
	}
	return time.Second
}

// release gives the memory of an empty queue back.
func (q *inbox) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spare = nil
}

// discard empties the queue, except for what is in the dispatcher's hands and for
// notes. It returns what was in it, frames and notes, which are the
// caller's then. It is called in place of put, never beside it.
func (q *inbox) discard() (lost []delivered) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.current.lost = true // the dispatcher may still read from it, so that nothing of it is used again
	pending := append([]*batch{q.current}, q.pending...)
	q.pending = nil
	for _, b := range pending {
		for _, d := range b.takeAll() {
			data := b.bytes(&d)
			lost = append(lost, delivered{d, data})
			q.size.Add(-int64(cost(len(data))))
			if !d.isFrame() {
				q.addLocked(d, data)
			}
		}
	}
	return lost
}

// close lets the dispatcher end when it has taken everything.
func (q *inbox) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	signal(q.wake)
}

func (q *inbox) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
