package imb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"imbrouter/imb/wire"
)

// Flush returns when the hub has taken everything that was sent before the
// call on the connection that stands: signals, streams, subscriptions,
// publications and variables. That a write succeeded does not tell that,
// because TCP accepts megabytes that nobody has read. What an earlier
// connection lost, it cannot tell: see OutStream.Flush, and Options.OnState.
//
// IMB has no acknowledgement, but a hub works through what a connection sends
// in its order. So the client sends a token on an event of its own and waits
// until the hub echoes it. If the hub does not echo, which the client finds
// out when it connects, it waits for the answer to a request of its unique
// client id. A hub that does not keep that order makes Flush return early.
//
// Flush fails with ErrNotConnected at once when there is no connection, with
// ErrDisconnected when it is lost in the meantime, which leaves open what
// arrived, or with the error of ctx. A handler may call it, best with a ctx
// that ends: while Options.ReceiveQueue is full the echo is not read.
func (c *Client) Flush(ctx context.Context) error {
	n, err := c.connected()
	if err == nil {
		err = n.roundTrip(ctx, func(done func()) { done() })
	}
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// Drain is Flush that also waits until everything that the hub had sent before
// its answer has been handled. Without a connection there is no answer: then it
// waits until everything that was received has been handled, and fails with
// ErrNotConnected, or ErrDisconnected, all the same. A handler must not call it.
func (c *Client) Drain(ctx context.Context) error {
	note := func(done func()) { c.inbox.note(delivery{what: drained, reason: &reason{done: done}}, nil) }
	n, err := c.connected()
	if err == nil {
		err = n.roundTrip(ctx, note)
	}
	if errors.Is(err, ErrNotConnected) || errors.Is(err, ErrDisconnected) {
		if waitErr := c.awaitHandled(ctx, n, note); waitErr != nil {
			err = waitErr
		}
	}
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}

// awaitHandled waits until everything that was received is handled, by n, which
// is lost, and by those before. n may be nil.
func (c *Client) awaitHandled(ctx context.Context, n *connection, note func(done func())) error {
	if n != nil {
		select {
		case <-n.detached:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	handled := make(chan struct{})
	note(func() { close(handled) })
	select {
	case <-handled:
		return nil
	case <-c.ended: // by Close, perhaps before it saw the note
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Echoes tells whether the hub of the present connection hands back what a
// client sends on an event that it subscribes itself, as every known hub does.
// It is false without a connection, and until an echo has been seen.
func (c *Client) Echoes() bool {
	n := c.live.Load()
	return n != nil && n.flush.hasEchoed()
}

// roundTrip waits until the hub has answered what was sent before, and answered
// has called what it is given. It is called by the read loop and must not block.
func (n *connection) roundTrip(ctx context.Context, answered func(done func())) error {
	ctx, release := n.bind(ctx)
	defer release()
	buf, err := n.lock(ctx)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	n.client.out.Unlock(n.flush.append(buf, func() { answered(func() { close(done) }) }))
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// flusher finds out how far the hub is. Its methods are called by the read
// loop, except for append and hasEchoed.
type flusher struct {
	event     *Event        // private to the connection: only it subscribes and publishes it
	ready     chan struct{} // closed when it is known how to flush
	explained bool          // the hub has translated the event

	mu       sync.Mutex
	byEcho   bool // or else by request
	isReady  bool
	tokens   barrier
	requests barrier
}

// newFlushEvent returns a flusher's event. Its name is another one for each
// connection, so that no echo of an older one is mistaken.
func newFlushEvent(c *Client, id int32) *Event {
	return &Event{client: c, id: id, name: fmt.Sprintf("%s%016x", wire.FlushPrefix, rand.Uint64())}
}

// The numbers of the last request and the last token of the probe.
const (
	probeRequests = 2
	probeTokens   = 1
)

// appendProbe appends what ends the greeting: it makes the hub translate the
// event, tell the unique client id, and echo a token. If a second answer about
// the id is there before the token, the hub does not echo.
func (f *flusher) appendProbe(buf []byte) []byte {
	f.tokens.sent, f.requests.sent = probeTokens, probeRequests
	buf = appendWish(buf, f.event, wire.CmdSubscribe)
	buf = appendWish(buf, f.event, wire.CmdPublish)
	buf = wire.AppendUniqueClientID(buf, wire.UniqueClientID{})
	buf = f.appendToken(buf, probeTokens)
	return wire.AppendUniqueClientID(buf, wire.UniqueClientID{})
}

func (f *flusher) appendToken(buf []byte, number uint64) []byte {
	start := len(buf)
	buf = wire.BeginEvent(buf, f.event.id, 0, wire.NormalEvent, 0)
	buf = wire.AppendInt64(buf, int64(number))
	return wire.EndFrame(buf, start)
}

// append appends a frame that the hub answers when it has taken all that stands
// before. The read loop then calls passed, which must not block. The caller
// holds the send queue's lock, so that the numbers are in the queue's order.
func (f *flusher) append(buf []byte, passed func()) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byEcho {
		return f.appendToken(buf, f.tokens.add(passed))
	}
	f.requests.add(passed)
	return wire.AppendUniqueClientID(buf, wire.UniqueClientID{})
}

// translated is called when the hub has translated the event. An unique client
// id that came before belongs to the hub's greeting and answers no request.
func (f *flusher) translated() { f.explained = true }

// answered is called when the hub tells the unique client id.
func (f *flusher) answered() {
	if !f.explained {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests.pass(f.requests.passed + 1)
	if f.requests.passed == probeRequests && !f.isReady {
		f.setReady()
	}
}

// echoed is called when a token comes back. A hub that echoes later than it
// answers is believed from then on.
func (f *flusher) echoed(data []byte) {
	d := wire.NewDecoder(data)
	number := uint64(d.Int64())
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.End() != nil || number > f.tokens.sent {
		return // somebody else's
	}
	f.byEcho = true
	f.tokens.pass(number)
	if !f.isReady {
		f.setReady()
	}
}

func (f *flusher) hasEchoed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byEcho
}

func (f *flusher) setReady() {
	f.isReady = true
	close(f.ready)
}

// barrier counts what was sent and came back.
type barrier struct {
	sent, passed uint64
	waiting      []waiter // by number
}

type waiter struct {
	number uint64
	passed func()
}

// add returns the number of the next one to send.
func (b *barrier) add(passed func()) uint64 {
	b.sent++
	b.waiting = append(b.waiting, waiter{b.sent, passed})
	return b.sent
}

// pass is for the number that came back, and with it all that are lower.
func (b *barrier) pass(number uint64) {
	b.passed = max(b.passed, number)
	n := 0
	for n < len(b.waiting) && b.waiting[n].number <= b.passed {
		b.waiting[n].passed()
		n++
	}
	b.waiting = append(b.waiting[:0], b.waiting[n:]...)
}
