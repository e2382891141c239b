// Package outbox is the bounded buffer between those who send frames on a
// connection and the one goroutine that writes them. Whatever has gathered
// while a write was under way goes out with the next one, so that many small
// frames take few system calls, and a single one leaves at once.
//
// A sender appends under the lock, without a copy or an allocation of its own:
//
//	buf, err := queue.Lock(ctx) // waits while the queue is full
//	if err != nil {
//		return err
//	}
//	queue.Unlock(wire.AppendEvent(buf, event))
package outbox

import (
	"context"
	"io"
	"sync"
	"time"
)

// maxWrite bounds one Write call, so that a receiver's progress shows in Len
// while a long queue is written.
const maxWrite = 256 << 10

// Queue is the buffer of one connection. It is safe for concurrent use.
type Queue struct {
	limit int
	wake  chan struct{} // has room for one: there is something to write, or the queue was closed

	mu       sync.Mutex
	pending  []byte
	writing  []byte // what Run writes now; Run alone changes its bytes
	written  int    // of writing
	total    int64  // bytes handed to connections since New
	trim     Trimmer
	room     chan struct{} // closed when there is room again; nil when senders need not wait
	halfFull time.Time     // since when Len is above half of the limit; zero when it is not
	closed   error
}

// New returns a queue that makes senders wait once it holds limit bytes or
// more, until no more than half of that is left. Without this gap a receiver
// that keeps up with its senders, but no more, would have its queue at the
// limit for ever and look like one that is stuck. A queue holds at most the
// limit and one more append, beside what LockNow adds.
func New(limit int) *Queue {
	return &Queue{limit: limit, wake: make(chan struct{}, 1)}
}

// Lock waits until there is room, locks the queue and returns the buffer to
// append to. The caller must hand the longer buffer to Unlock soon, and must
// not block before. It returns ctx's error, or the one given to Close.
func (q *Queue) Lock(ctx context.Context) ([]byte, error) {
	for {
		q.mu.Lock()
		if q.closed != nil {
			q.mu.Unlock()
			return nil, q.closed
		}
		if q.room == nil && q.lenLocked() < q.limit {
			return q.pending, nil
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// LockNow is Lock for what must not wait, such as a control frame sent under
// another lock. It goes beyond the limit; its callers bound what they append.
func (q *Queue) LockNow() ([]byte, error) {
	q.mu.Lock()
	if q.closed != nil {
		q.mu.Unlock()
		return nil, q.closed
	}
	return q.pending, nil
}

// Unlock takes back the buffer that Lock returned, with what was appended.
func (q *Queue) Unlock(buf []byte) {
	q.pending = buf
	if q.halfFull.IsZero() && q.lenLocked() > q.limit/2 {
		q.halfFull = time.Now()
	}
	q.mu.Unlock()
	q.wakeUp()
}

func (q *Queue) wakeUp() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Queue) lenLocked() int { return len(q.pending) + len(q.writing) - q.written }

// Len returns how many bytes wait to be written.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lenLocked()
}

// Progress returns how many bytes have been handed to connections so far, and
// how many will have been when all that is queued now is. So the frame that
// was appended last is out when written has reached the queued of that moment.
func (q *Queue) Progress() (written, queued int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total, q.total + int64(q.lenLocked())
}

// MoreThanHalfFull returns since when the queue has been more than half full
// without a break, and false when it is not.
func (q *Queue) MoreThanHalfFull() (since time.Time, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.halfFull, !q.halfFull.IsZero()
}

// Close ends sending: every Lock, waiting or to come, returns err, which is
// not nil. Run returns when it has written what is queued. Only the first
// Close counts.
func (q *Queue) Close(err error) {
	q.mu.Lock()
	if q.closed == nil {
		q.closed = err
		q.freeRoom()
	}
	q.mu.Unlock()
	q.wakeUp()
}

func (q *Queue) freeRoom() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// Run writes what is queued to w until the queue is closed and empty, and
// then returns nil; or until stop is closed or a write fails. After a failure
// the queue still holds what was not written; see Edit. One Run at a time.
func (q *Queue) Run(w io.Writer, stop <-chan struct{}) error {
	idle := time.NewTimer(trimAfter)
	defer idle.Stop()
	for {
		for q.next() {
			if err := q.writeOut(w); err != nil {
				return err
			}
		}
		q.mu.Lock()
		done := q.closed != nil && q.lenLocked() == 0
		q.mu.Unlock()
		if done {
			return nil
		}
		if !q.await(stop, idle) {
			return nil
		}
	}
}

// await returns true when there may be something to write, and false when stop
// is closed. Meanwhile it gives back memory that is not needed for long.
func (q *Queue) await(stop <-chan struct{}, idle *time.Timer) bool {
	idle.Reset(trimAfter)
	for {
		select {
		case <-q.wake:
			return true
		case <-stop:
			return false
		case <-idle.C:
			q.release()
		}
	}
}

// release gives the memory of an empty queue back.
func (q *Queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lenLocked() == 0 {
		q.pending, q.writing, q.written = nil, nil, 0
	}
}

// next makes the pending buffer the one to write, and the one just written
// the pending one. It returns false when there is nothing to write.
func (q *Queue) next() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.writing) > q.written { // left over from a Run that failed
		return true
	}
	spare := q.writing[:0]
	if q.trim.Excess(len(q.writing), cap(spare)) {
		spare = nil
	}
	q.writing, q.written, q.pending = q.pending, 0, spare
	return len(q.writing) > 0
}

func (q *Queue) writeOut(w io.Writer) error {
	for {
		q.mu.Lock()
		rest := q.writing[q.written:]
		q.mu.Unlock()
		if len(rest) == 0 {
			return nil
		}
		n, err := w.Write(rest[:min(len(rest), maxWrite)])
		q.mu.Lock()
		q.written += n
		q.total += int64(n)
		q.madeRoom()
		q.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (q *Queue) madeRoom() {
	n := q.lenLocked()
	if n <= q.limit/2 {
		q.halfFull = time.Time{}
		q.freeRoom()
	}
}

// Edit replaces what is queued while no Run is at work. edit gets the buffer
// whose write failed, how many of its bytes were handed to the connection, and
// what has been appended since; it returns what shall be written by the next Run.
func (q *Queue) Edit(edit func(writing []byte, written int, pending []byte) []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = edit(q.writing, q.written, q.pending)
	q.writing, q.written = nil, 0
	q.madeRoom()
	if q.halfFull.IsZero() && q.lenLocked() > q.limit/2 {
		q.halfFull = time.Now()
	}
}
