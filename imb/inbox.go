package imb

import (
	"math"
	"sync"
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
	hubEventGone      // the hub's event id will mean something else from now on
	drained           // everything before has been handled: tell done
)

// delivery is one entry of the inbox, without its data.
type delivery struct {
	what  what
	kind  wire.Kind
	flags wire.Flags
	tick  int32
	hub   int32         // the hub's id of the event
	event *Event        // what it is subscribed as
	name  string        // full name of the event
	at    time.Duration // when it arrived, on the inbox's clock
	err   error
	done  func()
	start int // of its data in the batch
	end   int
}

func (d *delivery) isFrame() bool { return d.what == eventFrame || d.what == variable }

// cost is what a delivery counts for in the queue.
func cost(data int) int { return data + int(unsafe.Sizeof(delivery{})) }

// batch is a run of deliveries with their data in one piece.
type batch struct {
	items []delivery
	data  []byte
}

func (b *batch) add(d delivery, data []byte) {
	d.start = len(b.data)
	b.data = append(b.data, data...)
	d.end = len(b.data)
	b.items = append(b.items, d)
}

func (b *batch) bytes(d delivery) []byte { return b.data[d.start:d.end:d.end] }

// inbox is the bounded queue between the read loop, which puts, and the
// dispatcher, which takes. Two batches take turns, so that in the steady state
// nothing is allocated.
//
// It has a clock by which streams are silent or not. The clock stands still
// while the read loop waits for room: what the hub sends then is not seen.
type inbox struct {
	limit int
	begin time.Time
	wake  chan struct{} // there is something to take for a dispatcher that waits
	room  chan struct{} // there is more room than before for a read loop that waits

	mu       sync.Mutex
	pending  batch
	current  batch
	next     int // the first of current that is not taken
	taken    int // cost of the delivery in the dispatcher's hands
	size     int // cost of everything, taken included
	trim     trimmer
	sleeping bool
	closed   bool
	stopped  time.Time     // since when the clock stands still; zero while it runs
	held     time.Duration // for how long it has stood still, all in all
}

func newInbox(limit int) *inbox {
	return &inbox{limit: limit, begin: time.Now(), wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
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
func (q *inbox) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size
}

// put appends a delivery with a copy of its data. It returns false when there
// is no room. One that is larger than the whole queue goes in when it is empty.
func (q *inbox) put(d delivery, data []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size > 0 && q.size+cost(len(data)) > q.limit {
		return false
	}
	q.addLocked(d, data)
	return true
}

// note appends a delivery that is no frame, whether there is room or not.
func (q *inbox) note(d delivery, data []byte) {
	q.mu.Lock()
	q.addLocked(d, data)
	q.mu.Unlock()
}

func (q *inbox) addLocked(d delivery, data []byte) {
	q.pending.add(d, data)
	q.size += cost(len(data))
	if q.sleeping {
		q.sleeping = false
		signal(q.wake)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// putWait is put that waits for room. It returns false when no handler
// returned for the time-out, or when one of the two channels is closed.
func (q *inbox) putWait(d delivery, data []byte, timeout time.Duration, stop, closing <-chan struct{}) bool {
	q.stopClock()
	defer q.startClock()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for !q.put(d, data) {
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

// take returns the next delivery, whose data is valid until the next call. It
// returns false when there is none at the moment; wake then tells when to ask
// again.
func (q *inbox) take() (d delivery, data []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.taken > 0 {
		q.size -= q.taken
		q.taken = 0
		signal(q.room)
	}
	if q.next == len(q.current.items) {
		q.current, q.pending, q.next = q.pending, q.emptied(), 0
	}
	if q.next == len(q.current.items) {
		q.sleeping = true
		return delivery{}, nil, false
	}
	d = q.current.items[q.next]
	data = q.current.bytes(d)
	q.next++
	q.taken = cost(len(data))
	return d, data, true
}

// emptied returns the current batch for the next use.
func (q *inbox) emptied() batch {
	b := &q.current
	if q.trim.excess(len(b.data), cap(b.data)) {
		return batch{}
	}
	return batch{items: b.items[:0], data: b.data[:0]}
}

// untilRelease returns for how long the queue is empty when release is due.
func (q *inbox) untilRelease() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if cap(q.current.data)+cap(q.pending.data) == 0 {
		return math.MaxInt64
	}
	return time.Second
}

// release gives the memory of an empty queue back.
func (q *inbox) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size == 0 {
		q.current, q.pending, q.next = batch{}, batch{}, 0
	}
}

// discard empties the queue, except for the delivery in the dispatcher's hands
// and for notes. It returns what was in it, frames and notes, which are the
// caller's then. It is called in place of put, never beside it.
func (q *inbox) discard() []batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	lost := []batch{{items: q.current.items[q.next:], data: q.current.data}, q.pending}
	// The dispatcher may still read from the old current, so that nothing of
	// it is used again.
	q.current, q.pending, q.next = batch{}, batch{}, 0
	q.size = q.taken
	for _, b := range lost {
		for _, d := range b.items {
			if !d.isFrame() {
				q.addLocked(d, b.bytes(d))
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
