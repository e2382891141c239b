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
	"slices"
	"sync"
	"time"
)

// maxWrite bounds one Write call, so that a receiver's progress shows in Len
// while a large frame is written.
const maxWrite = 256 << 10

// Queue is the buffer of one connection. It is safe for concurrent use.
type Queue struct {
	limit int
	wake  chan struct{} // has room for one: there is something to write, or the queue was closed

	mu       sync.Mutex
	pending  []*block      // what comes after writing; senders append to the last
	writing  *block        // what Run writes now; nil when there is nothing to write
	written  int           // of writing
	size     int           // bytes in pending and writing that are not written
	total    int64         // bytes handed to connections since New
	busy     bool          // what is queued lately does not fit into a small block
	spare    *block        // a small one for when that is not so
	room     chan struct{} // closed when there is room again; nil when senders need not wait
	halfFull time.Time     // since when Len is above half of the limit; zero when it is not
	closed   error
	direct   DirectWriter // what Run writes to; nil when it is none
	waiting  bool         // Run waits for something to write
	flushing bool         // Flush writes the block writing
}

// DirectWriter is implemented by a writer that need not wait.
type DirectWriter interface {
	io.Writer
	// TryWrite writes what can be written at once, which may be nothing. An
	// error shows with the next Write. It is not called beside Write, nor twice
	// at a time.
	TryWrite(p []byte) (n int)
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
		if q.room == nil && q.size < q.limit {
			return q.tail(), nil
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
	return q.tail(), nil
}

// TryLock is Lock if that need not wait.
func (q *Queue) TryLock() (buf []byte, ok bool) {
	q.mu.Lock()
	if q.closed == nil && q.room == nil && q.size < q.limit {
		return q.tail(), true
	}
	q.mu.Unlock()
	return nil, false
}

// Unlock takes back the buffer that Lock returned, with what was appended.
func (q *Queue) Unlock(buf []byte) {
	q.UnlockUnflushed(buf)
	q.wakeUp()
}

// UnlockUnflushed is Unlock for a caller that calls Flush soon, and waits for
// nothing before.
func (q *Queue) UnlockUnflushed(buf []byte) {
	last := q.pending[len(q.pending)-1]
	q.size += len(buf) - len(last.bytes)
	last.bytes = buf
	q.busy = q.busy || len(buf) > smallBlock
	q.grown()
	q.mu.Unlock()
}

// Flush has what is queued written. If Run waits, and writes to a DirectWriter,
// Flush writes as much as goes: to wake another goroutine for it takes longer.
func (q *Queue) Flush() {
	q.mu.Lock()
	if !q.waiting || q.writing != nil || q.direct == nil || len(q.pending) != 1 || len(q.pending[0].bytes) > maxWrite {
		q.mu.Unlock()
		q.wakeUp()
		return
	}
	q.flushing = true
	q.takeBlock()
	rest := q.writing.bytes
	q.mu.Unlock()
	n := q.direct.TryWrite(rest)
	q.mu.Lock()
	q.flushing = false
	q.wrote(n)
	more := q.size > 0 || q.closed != nil
	q.mu.Unlock()
	if more {
		q.wakeUp()
	}
}

func (q *Queue) wakeUp() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Len returns how many bytes wait to be written.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.size
}

// Progress returns how many bytes have been handed to connections so far, and
// how many will have been when all that is queued now is. So the frame that
// was appended last is out when written has reached the queued of that moment.
func (q *Queue) Progress() (written, queued int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total, q.total + int64(q.size)
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
	q.mu.Lock()
	q.direct, _ = w.(DirectWriter)
	q.mu.Unlock()
	for {
		for q.next() {
			if err := q.writeOut(w); err != nil {
				return err
			}
		}
		q.mu.Lock()
		done := q.closed != nil && q.size == 0
		q.waiting = !done
		q.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-q.wake:
		case <-stop:
			return nil
		}
	}
}

// next takes the next block to write. It returns false when there is none.
func (q *Queue) next() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.flushing:
		return false
	case q.writing != nil: // left over from a Run that failed, or from Flush
	case len(q.pending) == 0:
		return false
	default:
		q.takeBlock()
	}
	q.waiting = false
	return true
}

// takeBlock begins with the next block.
func (q *Queue) takeBlock() {
	q.writing = q.pending[0]
	q.pending = slices.Delete(q.pending, 0, 1)
}

// writeOut writes the block that next took.
func (q *Queue) writeOut(w io.Writer) error {
	for {
		q.mu.Lock()
		rest := q.writing.bytes[q.written:]
		q.mu.Unlock()
		n, err := 0, error(nil)
		if len(rest) > 0 {
			n, err = w.Write(rest[:min(len(rest), maxWrite)])
		}
		q.mu.Lock()
		done := q.wrote(n)
		q.mu.Unlock()
		if done || err != nil {
			return err
		}
	}
}

// wrote notes that so many bytes more of the block are written, and lets go of it
// when that is all.
func (q *Queue) wrote(n int) (done bool) {
	q.written += n
	q.size -= n
	q.total += int64(n)
	q.shrunk()
	if q.written < len(q.writing.bytes) {
		return false
	}
	q.recycle(q.writing)
	q.writing, q.written = nil, 0
	return true
}

// grown is called when size may have become more than half of the limit.
func (q *Queue) grown() {
	if q.halfFull.IsZero() && q.size > q.limit/2 {
		q.halfFull = time.Now()
	}
}

// shrunk is called when size may have become no more than that.
func (q *Queue) shrunk() {
	if q.size <= q.limit/2 {
		q.halfFull = time.Time{}
		q.freeRoom()
	}
}

// Edit replaces what is queued while no Run is at work. edit gets the buffer
// whose write failed, how many of its bytes were handed to the connection, and
// what comes after it; it returns what shall be written by the next Run. Both
// begin and end with a whole append.
func (q *Queue) Edit(edit func(writing []byte, written int, pending []byte) []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var writing, pending []byte
	if q.writing != nil {
		writing = q.writing.bytes
	}
	for _, b := range q.pending {
		pending = append(pending, b.bytes...)
	}
	rest := edit(writing, q.written, pending)
	q.writing, q.written, q.pending, q.size = nil, 0, nil, len(rest)
	if len(rest) > 0 {
		q.pending = []*block{{rest}}
	}
	q.shrunk()
	q.grown()
}
