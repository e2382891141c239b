package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"imbrouter/imb/internal/outbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func appendTo(t testing.TB, q *outbox.Queue, s string) {
	t.Helper()
	buf, err := q.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q.Unlock(append(buf, s...))
}

// gate is a writer that takes a Write only when the test lets it.
type gate struct {
	let    chan result
	mu     sync.Mutex
	writes []string
}

type result struct {
	n   int // −1: all
	err error
}

func newGate() *gate { return &gate{let: make(chan result)} }

func (g *gate) Write(p []byte) (int, error) {
	r := <-g.let
	n := len(p)
	if r.n >= 0 {
		n = r.n
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes = append(g.writes, string(p[:n]))
	return n, r.err
}

func (g *gate) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.writes...)
}

// run starts Run and returns a function that waits for it to return.
func run(q *outbox.Queue, w io.Writer, stop <-chan struct{}) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- q.Run(w, stop) }()
	return func() error { return <-done }
}

func TestWhatGathersGoesOutTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, w := outbox.New(1000), newGate()
		wait := run(q, w, nil)
		appendTo(t, q, "a")
		synctest.Wait() // the write of a is under way
		for _, s := range []string{"b", "c", "d"} {
			appendTo(t, q, s)
		}
		if n := q.Len(); n != 4 {
			t.Errorf("%d bytes are queued, want 4", n)
		}
		w.let <- result{n: -1}
		w.let <- result{n: -1}
		synctest.Wait()
		if got := fmt.Sprint(w.all()); got != "[a bcd]" {
			t.Errorf("written: %v", got)
		}
		written, queued := q.Progress()
		if written != 4 || queued != 4 || q.Len() != 0 {
			t.Errorf("progress is %d of %d, %d queued", written, queued, q.Len())
		}
		q.Close(errors.New("over"))
		if err := wait(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestLargeQueuesAreWrittenInParts(t *testing.T) {
	q := outbox.New(10 << 20)
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	appendTo(t, q, string(data))
	q.Close(errors.New("over"))
	var w countingWriter
	if err := q.Run(&w, nil); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if !bytes.Equal(w.Bytes(), data) || w.largest > 256<<10 {
		t.Errorf("%d bytes were written, at most %d at once", w.Len(), w.largest)
	}
}

type countingWriter struct {
	bytes.Buffer
	largest int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.largest = max(w.largest, len(p))
	return w.Buffer.Write(p)
}

func TestSendersWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, w := outbox.New(10), newGate()
		wait := run(q, w, nil)
		appendTo(t, q, "0123456789ab") // goes beyond: the queue was below its limit
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("no room"))
		defer cancel()
		if _, err := q.Lock(ctx); err == nil || err.Error() != "no room" {
			t.Errorf("Lock of a full queue returned %v", err)
		}
		var senders sync.WaitGroup
		for range 3 {
			senders.Go(func() { appendTo(t, q, "xxxx") })
		}
		buf, err := q.LockNow() // does not wait
		if err != nil {
			t.Fatal(err)
		}
		q.Unlock(append(buf, "now"...))
		for i, step := range []struct {
			take int // of the write that is under way; −1: all
			left int
		}{
			{0, 15},
			{5, 10},       // below the limit of 10, but more than half of it
			{-1, 3 + 2*4}, // two senders found room, and took it from the third
			{-1, 2 * 4},
			{-1, 4},
			{-1, 0},
		} {
			if step.take != 0 {
				w.let <- result{n: step.take}
			}
			synctest.Wait()
			if n := q.Len(); n != step.left {
				t.Errorf("step %d: %d bytes are queued, want %d", i, n, step.left)
			}
		}
		senders.Wait()
		q.Close(errors.New("over"))
		if err := wait(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestMoreThanHalfFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, w := outbox.New(10), newGate()
		half := func() time.Duration {
			since, ok := q.MoreThanHalfFull()
			if !ok {
				return -1
			}
			return time.Since(since)
		}
		appendTo(t, q, "01234")
		if d := half(); d != -1 {
			t.Errorf("half full: more than half full for %v", d)
		}
		appendTo(t, q, "5")
		<-time.After(time.Second)
		appendTo(t, q, "6")
		<-time.After(time.Second)
		if d := half(); d != 2*time.Second {
			t.Errorf("more than half full for %v, want 2s", d)
		}
		wait := run(q, w, nil)
		w.let <- result{n: 1} // 6 left
		synctest.Wait()
		if d := half(); d != 2*time.Second {
			t.Errorf("a byte was written: more than half full for %v, want 2s", d)
		}
		w.let <- result{n: 1}
		synctest.Wait()
		if d := half(); d != -1 {
			t.Errorf("5 of 10 left: more than half full for %v", d)
		}
		q.Close(errors.New("over"))
		w.let <- result{n: -1}
		wait()
	})
}

func TestCloseEndsSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := errors.New("over")
		q, w := outbox.New(4), newGate()
		appendTo(t, q, "last")
		waiting := make(chan error, 1)
		go func() {
			_, err := q.Lock(t.Context())
			waiting <- err
		}()
		synctest.Wait()
		q.Close(over)
		q.Close(errors.New("again")) // does not count
		if err := <-waiting; err != over {
			t.Errorf("Lock that waited returned %v", err)
		}
		if _, err := q.Lock(t.Context()); err != over {
			t.Errorf("Lock returned %v", err)
		}
		if _, err := q.LockNow(); err != over {
			t.Errorf("LockNow returned %v", err)
		}
		wait := run(q, w, nil)
		w.let <- result{n: -1}
		if err := wait(); err != nil || fmt.Sprint(w.all()) != "[last]" {
			t.Errorf("Run returned %v, written: %v", err, w.all())
		}
	})
}

func TestStopEndsRun(t *testing.T) {
	q := outbox.New(10)
	stop := make(chan struct{})
	wait := run(q, io.Discard, stop)
	close(stop)
	if err := wait(); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// After a failed write the queue holds what was not written, for Edit and for
// the next Run.
func TestEditAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken pipe")
		q, w := outbox.New(10), newGate()
		appendTo(t, q, "abcdef")
		wait := run(q, w, nil)
		w.let <- result{n: 2, err: broken}
		if err := wait(); err != broken {
			t.Fatalf("Run returned %v", err)
		}
		appendTo(t, q, "ghijkl")
		if n := q.Len(); n != 10 {
			t.Errorf("%d bytes are queued, want 10", n)
		}
		waiting := make(chan error, 1)
		go func() {
			buf, err := q.Lock(t.Context())
			q.Unlock(append(buf, 'x'))
			waiting <- err
		}()
		synctest.Wait()
		q.Edit(func(writing []byte, written int, pending []byte) []byte {
			if string(writing) != "abcdef" || written != 2 || string(pending) != "ghijkl" {
				t.Errorf("Edit got %q, %d, %q", writing, written, pending)
			}
			return []byte("new")
		})
		if err := <-waiting; err != nil {
			t.Errorf("Lock returned %v although Edit made room", err)
		}
		q.Edit(func(writing []byte, written int, pending []byte) []byte {
			if len(writing) != 0 || written != 0 || string(pending) != "newx" {
				t.Errorf("the second Edit got %q, %d, %q", writing, written, pending)
			}
			return pending
		})
		q.Close(errors.New("over"))
		wait = run(q, w, nil)
		w.let <- result{n: -1}
		if err := wait(); err != nil || fmt.Sprint(w.all()) != "[ab newx]" {
			t.Errorf("Run returned %v, written: %v", err, w.all())
		}
	})
}

func TestRunGoesOnWhereItFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, w := outbox.New(10), newGate()
		appendTo(t, q, "abcdef")
		wait := run(q, w, nil)
		w.let <- result{n: 2, err: io.ErrClosedPipe}
		wait()
		appendTo(t, q, "gh")
		q.Close(errors.New("over"))
		wait = run(q, w, nil)
		w.let <- result{n: -1}
		w.let <- result{n: -1}
		if err := wait(); err != nil || fmt.Sprint(w.all()) != "[ab cdef gh]" {
			t.Errorf("Run returned %v, written: %v", err, w.all())
		}
	})
}

// In the steady state nothing is allocated, whatever the sizes of bursts.
func TestNoAllocationInTheSteadyState(t *testing.T) {
	q := outbox.New(10 << 20)
	w := make(chanWriter)
	stop := make(chan struct{})
	wait := run(q, w, stop)
	frame := make([]byte, 172)
	burst := func() {
		n := 0
		for _, frames := range []int{1, 1000, 3} {
			for range frames {
				buf, err := q.Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				q.Unlock(append(buf, frame...))
				n += len(frame)
			}
			for n > 0 {
				n -= <-w
			}
		}
	}
	for range 10 {
		burst()
	}
	most := 2.0
	if raceEnabled {
		most = 8 // under it a sync.Pool loses some of what it is given
	}
	if n := testing.AllocsPerRun(20, burst); n > most {
		t.Errorf("%v allocations for 1004 frames", n)
	}
	close(stop)
	if err := wait(); err != nil {
		t.Error(err)
	}
}

// chanWriter tells how much is written.
type chanWriter chan int

func (w chanWriter) Write(p []byte) (int, error) {
	w <- len(p)
	return len(p), nil
}

func TestIdleQueueHoldsLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := outbox.New(10 << 20)
		stop := make(chan struct{})
		wait := run(q, io.Discard, stop)
		appendTo(t, q, string(make([]byte, 1<<20)))
		synctest.Wait()
		appendTo(t, q, "x")
		synctest.Wait()
		buf, err := q.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		q.Unlock(buf)
		if n := cap(buf); n > 8<<10 {
			t.Errorf("after a burst the buffer holds %d bytes", n)
		}
		close(stop)
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkQueue(b *testing.B) {
	q := outbox.New(8 << 20)
	stop := make(chan struct{})
	wait := run(q, io.Discard, stop)
	frame := make([]byte, 172)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		buf, err := q.Lock(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		q.Unlock(append(buf, frame...))
	}
	close(stop)
	if err := wait(); err != nil {
		b.Fatal(err)
	}
}

// tryWriter is a writer of which TryWrite takes a few bytes at a time, or none.
type tryWriter struct {
	countingWriter
	takes atomic.Int64 // by TryWrite
	tried atomic.Int64 // calls of it
}

func (w *tryWriter) TryWrite(p []byte) int {
	w.tried.Add(1)
	n, _ := w.Write(p[:min(len(p), int(w.takes.Load()))])
	return n
}

// TestFlush: what is not flushed waits; Flush writes while Run waits, as much as
// goes, and Run the rest.
func TestFlush(t *testing.T) {
	for _, takes := range []int64{0, 3, 100} {
		synctest.Test(t, func(t *testing.T) {
			q, w := outbox.New(1000), &tryWriter{}
			w.takes.Store(takes)
			wait := run(q, w, nil)
			synctest.Wait()
			put := func(s string) {
				buf, ok := q.TryLock()
				if !ok {
					t.Fatal("the queue cannot be locked")
				}
				q.UnlockUnflushed(append(buf, s...))
			}
			put("abc")
			put("defg")
			synctest.Wait()
			if w.Len() != 0 || q.Len() != 7 {
				t.Errorf("%q was written before Flush, %d are queued", w.String(), q.Len())
			}
			q.Flush()
			synctest.Wait()
			if written, queued := q.Progress(); w.String() != "abcdefg" || written != 7 || queued != 7 || w.tried.Load() != 1 {
				t.Errorf("%q is written, %d of %d, in %d tries", w.String(), written, queued, w.tried.Load())
			}
			q.Flush() // of nothing
			appendTo(t, q, "h")
			synctest.Wait()
			q.Close(errors.New("over"))
			if _, ok := q.TryLock(); ok {
				t.Error("a closed queue can be locked")
			}
			if err := wait(); err != nil || w.String() != "abcdefgh" {
				t.Errorf("Run returned %v, written is %q", err, w.String())
			}
		})
	}
}

// TestFlushBesideOthers has several senders append, flushed by themselves or by
// others, while Run writes what Flush leaves: nothing is lost, nor out of order.
func TestFlushBesideOthers(t *testing.T) {
	q, w := outbox.New(4000), &tryWriter{}
	w.takes.Store(50)
	wait := run(q, w, nil)
	var senders sync.WaitGroup
	for id := range byte(4) {
		senders.Go(func() {
			for n := range 5000 {
				frame := []byte{id, byte(n), byte(n >> 8)}
				if buf, ok := q.TryLock(); ok {
					q.UnlockUnflushed(append(buf, frame...))
				} else {
					q.Flush()
					appendTo(t, q, string(frame))
				}
				if n%7 == 0 {
					q.Flush()
				}
			}
			q.Flush()
		})
	}
	senders.Wait()
	q.Close(errors.New("over"))
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	var next [4]int
	for frame := w.Next(3); len(frame) == 3; frame = w.Next(3) {
		if n := int(frame[1]) | int(frame[2])<<8; n != next[frame[0]] {
			t.Fatalf("sender %d: %d came, not %d", frame[0], n, next[frame[0]])
		}
		next[frame[0]]++
	}
	if next != [4]int{5000, 5000, 5000, 5000} {
		t.Errorf("%d came", next)
	}
}
