package imb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"imbrouter/imb/wire"
)

// closeLinger is for how long a connection whose last frame is written waits
// for the hub to close it. To close it while something unread lies in it would
// make TCP throw away what the hub has not read yet.
const closeLinger = time.Second

// connection is one connection to the hub, from its greeting to its loss.
type connection struct {
	client *Client
	conn   net.Conn
	ctx    context.Context // ends when the connection is lost; its cause wraps ErrDisconnected
	lose   context.CancelCauseFunc
	// detached is closed when the connection is lost and all that it received is
	// in the inbox.
	detached chan struct{}

	flush     flusher
	query     nameQuery
	streamIDs idSet // of outgoing streams
	began     time.Time
	heard     atomic.Int64 // when something was received last, since began
	heldUp    atomic.Bool  // the read loop waits for room in the inbox

	// The rest is the read loop's own.
	reader    *wire.Reader
	broken    uint64        // faults that the reader had counted at the last look
	arrived   time.Duration // when what is parsed now arrived, on the inbox's clock
	deaf      bool          // nothing more is delivered: all is dropped
	gathered  []delivered   // events, with data in the reader's buffer, that are delivered together
	hubEvents map[int32]*hubEvent
	latest    *hubEvent // of the event before; nil for none
}

// hubEvent is what a hub's event id means on a connection.
type hubEvent struct {
	id     int32
	event  *Event  // nil before the translation
	told   string  // the hub's name for it, if a publish notice told
	origin *origin // of what comes; its name is that of event, or under a wildcard what was told
	stray  bool    // private, and not subscribed by its name: another client's
}

func newConnection(c *Client, conn net.Conn) *connection {
	n := &connection{
		client: c, conn: conn, detached: make(chan struct{}), began: time.Now(), hubEvents: make(map[int32]*hubEvent),
	}
	n.ctx, n.lose = context.WithCancelCause(context.Background())
	n.flush.ready = make(chan struct{})
	n.query.slot = make(chan struct{}, 1)
	n.reader = wire.NewReader(receiver{n})
	return n
}

// fail ends the connection. Only the first cause counts.
func (n *connection) fail(cause error) {
	n.lose(fmt.Errorf("%w: %w", ErrDisconnected, cause))
	n.conn.Close()
}

// bind returns a context that ends with ctx and with the connection.
func (n *connection) bind(ctx context.Context) (bound context.Context, release func()) {
	bound, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(n.ctx, func() { cancel(context.Cause(n.ctx)) })
	return bound, func() { stop(); cancel(nil) }
}

// lock locks the send queue for a frame that must not go out on any other
// connection. ctx is a bound one. A frame that was appended when the
// connection is lost is dropped by Client.detach, which first makes lock fail.
func (n *connection) lock(ctx context.Context) ([]byte, error) {
	buf, err := n.client.out.Lock(ctx)
	if err != nil {
		return nil, err
	}
	if n.client.live.Load() != n {
		n.client.out.Unlock(buf)
		return nil, context.Cause(n.ctx)
	}
	return buf, nil
}

// writeLoop writes the greeting and, when the hub has answered, what is queued.
func (n *connection) writeLoop(greeting []byte) {
	if _, err := n.conn.Write(greeting); err != nil {
		n.fail(err)
		return
	}
	select {
	case <-n.flush.ready:
	case <-n.ctx.Done():
		return
	}
	if err := n.client.out.Run(n.conn, n.ctx.Done()); err != nil {
		n.fail(err)
		return
	}
	if n.ctx.Err() == nil { // the client is closing, and everything is out
		n.endSession()
	}
}

// endSession takes leave of the hub.
func (n *connection) endSession() {
	if _, err := n.conn.Write(wire.AppendFrame(nil, wire.CmdEndSession, nil)); err != nil {
		n.fail(err)
		return
	}
	if half, ok := n.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails when the hub was faster
	}
	linger := time.NewTimer(closeLinger)
	defer linger.Stop()
	select {
	case <-n.ctx.Done():
	case <-linger.C:
		n.fail(ErrClosed)
	}
}

// receiver is the connection as its wire.Reader reads it.
type receiver struct{ *connection }

func (r receiver) Read(p []byte) (int, error) {
	r.countBroken() // in what was read before
	k, err := r.conn.Read(p)
	if k > 0 {
		r.touch()
		r.arrived = r.client.inbox.clock()
		r.client.stats.bytesReceived.Add(uint64(k))
	}
	return k, err
}

// touch notes that the hub was heard just now.
func (n *connection) touch() { n.heard.Store(int64(time.Since(n.began))) }

func (n *connection) readLoop() {
	var frame wire.Frame
	for {
		var err error
		if frame, err = n.reader.Next(); err == nil {
			for ok := true; ok && err == nil; ok = n.reader.Buffered(&frame) {
				err = n.handle(&frame)
			}
			n.deliverGathered()
		} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("the hub closed the connection: %w", err)
		}
		if err != nil {
			n.fail(err)
			return
		}
	}
}

// countBroken notes what the reader had to skip.
func (n *connection) countBroken() {
	if broken := n.reader.Stats().Broken(); broken > n.broken {
		n.client.stats.broken.Add(broken - n.broken)
		n.client.faults.note("the hub sent what is no IMB frame: skipped it", "bytes_or_frames", broken-n.broken)
		n.broken = broken
	}
}

// handle deals with one frame. Everything but events, and changes of variables,
// is done with when it returns. The error ends the connection.
func (n *connection) handle(f *wire.Frame) error {
	if f.Command == wire.CmdEvent {
		n.receive(f.Payload)
		return nil
	}
	n.deliverGathered()
	var err error
	switch f.Command {
	case wire.CmdSetEventIDTranslation:
		err = parsed(f, wire.ParseSetEventIDTranslation, n.translate)
	case wire.CmdPublish:
		err = parsed(f, wire.ParseEventRef, n.nameHubEvent)
	case wire.CmdSubscribe:
		err = parsed(f, wire.ParseEventRef, func(r wire.EventRef) { n.client.setSubscribers(r.Name, true) })
	case wire.CmdUnsubscribe:
		err = parsed(f, wire.ParseText, func(name string) { n.client.setSubscribers(name, false) })
	case wire.CmdUniqueClientID:
		err = parsed(f, wire.ParseUniqueClientID, n.identify)
	case wire.CmdSetVariable:
		err = parsed(f, wire.ParseSetVariable, func(v wire.Variable) { n.setVariable(v, f.Payload) })
	case wire.CmdEventNames:
		err = parsed(f, wire.ParseEventNames, func(names []wire.EventName) { n.query.add(names, len(f.Payload)) })
	case wire.CmdEndSession:
		return ErrEndSession
	}
	if err != nil {
		n.client.malformed(err)
	}
	return nil
}

// parsed does what the payload of a frame asks for, if it can be parsed.
func parsed[T any](f *wire.Frame, parse func([]byte) (T, error), do func(T)) error {
	v, err := parse(f.Payload)
	if err != nil {
		return err
	}
	do(v)
	return nil
}

// malformed counts a payload that is not what it should be.
func (c *Client) malformed(err error) {
	c.stats.malformed.Add(1)
	c.faults.note("malformed data from the hub: ignored it", "error", err)
}

// identify notes how the hub knows the client.
func (n *connection) identify(u wire.UniqueClientID) {
	n.client.identity.Store(&u)
	n.flush.answered()
}

// receive hands an event to the dispatcher.
func (n *connection) receive(payload []byte) {
	if len(payload) < wire.EventHeaderSize {
		n.client.malformed(fmt.Errorf("%w: an event of %d bytes", wire.ErrMalformed, len(payload)))
		return
	}
	id, data := wire.EventID(payload), payload[wire.EventHeaderSize:]
	h := n.latest
	if h == nil || h.id != id {
		h = n.hubEvents[id]
		n.latest = h
	}
	switch {
	case h == nil || h.event == nil:
		n.client.stats.untranslated.Add(1)
		n.client.faults.note("event under an id that the hub did not explain: ignored it", "id", id)
	case h.event == n.flush.event:
		n.deliverGathered()
		n.flush.echoed(data)
	case !h.stray:
		// Here and on the rest of a signal's way structs are filled in their place. A
		// literal is made elsewhere and copied, and for the copy of what was stored a
		// moment ago in smaller pieces the processor waits.
		n.gathered = append(n.gathered, delivered{})
		d := &n.gathered[len(n.gathered)-1]
		d.what, d.kind, d.flags, d.tick = eventFrame, wire.EventKind(payload), wire.EventFlags(payload), wire.EventTick(payload)
		d.origin, d.at = h.origin, n.arrived
		d.data = data
		if len(n.gathered) == maxRun {
			n.deliverGathered()
		}
	}
}

// deliverGathered hands the gathered events to the dispatcher. It comes before
// everything that must not overtake them, and before the reader's next read.
func (n *connection) deliverGathered() {
	rest := n.gathered
	if !n.deaf {
		rest = rest[n.client.inbox.put(rest):]
	}
	for i := range rest {
		n.deliver(rest[i])
	}
	clear(n.gathered)
	n.gathered = n.gathered[:0]
}

func (n *connection) setVariable(v wire.Variable, payload []byte) {
	if !n.client.variables.set(v.Name, v.Value) {
		n.client.faults.note("the hub has more variables than are remembered", "variable", v.Name)
	}
	if n.client.variables.watched() != nil {
		n.deliver(delivered{delivery{what: variable, at: n.arrived}, payload})
	}
}

// deliver hands something to the dispatcher. While the inbox is full it waits,
// so that the hub feels it, but not for ever. When the connection or the client
// ends meanwhile, this is dropped, and so is what follows it; the streams in it
// end with the connection.
func (n *connection) deliver(d delivered) {
	c := n.client
	one := []delivered{d}
	switch {
	case n.deaf:
		c.dropSignal(d)
		return
	case c.inbox.put(one) == 1:
		return
	}
	n.heldUp.Store(true)
	ok := c.inbox.putWait(one, c.opt.BlockTimeout, n.ctx.Done(), c.closing)
	n.touch()
	n.heldUp.Store(false)
	switch {
	case ok:
	case n.ctx.Err() != nil || c.isClosing():
		n.deaf = true
		c.dropSignal(d)
	default:
		c.overflow(d)
	}
}

// translate notes which event the hub means by an id of its own.
func (n *connection) translate(t wire.Translation) {
	if t.ClientID < 0 {
		if h := n.hubEvents[t.HubID]; h != nil {
			delete(n.hubEvents, t.HubID)
			n.latest = nil
			n.endStreams(h, h.whyGone())
		}
		return
	}
	if h := n.hubEvent(t.HubID); h != nil {
		event := n.client.eventByID(t.ClientID)
		if h.event != nil && h.event != event {
			// Streams that came to the old event get no more: the hub sends
			// only to who was there for the header.
			n.endStreams(h, errRetargeted)
		}
		h.event = event
		h.resolve()
		if h.event == n.flush.event {
			n.flush.translated()
		}
	}
}

// endStreams lets the dispatcher end the streams of an event.
func (n *connection) endStreams(h *hubEvent, cause error) {
	n.deliver(delivered{delivery{
		what: hubEventGone, origin: &origin{hub: h.id}, reason: &reason{err: cause}, at: n.arrived,
	}, nil})
}

// Why a hub's event id means something else from now on.
var (
	errUnsubscribed = errors.New("the event was unsubscribed")
	errNoPublisher  = errors.New("its sender has left: the hub knows no publisher of the event any more")
	errRetargeted   = errors.New("another subscription has taken the event over")
)

// whyGone tells why the hub has taken the event's translation back. It does so
// when it is asked to; and of an event that only a wildcard subscribes, when
// nobody publishes it any more.
func (h *hubEvent) whyGone() error {
	if h.event != nil && h.event.isWildcard() && h.event.subscribed.Load() {
		return errNoPublisher
	}
	return errUnsubscribed
}

// nameHubEvent notes the name of a hub's event, which is what tells the events
// of a wildcard subscription apart.
func (n *connection) nameHubEvent(r wire.EventRef) {
	if len(r.Name) > wire.MaxNameLength {
		return
	}
	if h := n.hubEvent(r.ID); h != nil {
		h.told = r.Name
		h.resolve()
	}
}

// hubEvent returns what is known of a hub's id, or nil when there are too many.
func (n *connection) hubEvent(id int32) *hubEvent {
	h := n.hubEvents[id]
	if h == nil {
		if len(n.hubEvents) >= maxHubEvents {
			n.client.faults.note("the hub explained too many event ids: ignored one", "id", id, "limit", maxHubEvents)
			return nil
		}
		h = &hubEvent{id: id}
		n.hubEvents[id] = h
	}
	return h
}

// resolve decides on the name. What was told counts under a wildcard only, and
// only if it matches: another hub's notices may mean something else.
func (h *hubEvent) resolve() {
	if h.event == nil {
		return
	}
	name := h.event.name
	if h.event.isWildcard() && wire.MatchName(h.event.name, h.told) {
		name = h.told
	}
	h.origin = &origin{h.id, h.event, name} // a new one: deliveries have the old
	h.stray = h.event.isWildcard() && wire.IsPrivate(name)
}
