package hub

import (
	"context"
	"fmt"

	"imbrouter/imb/wire"
)

// maxRun bounds, in bytes, what is appended to a subscriber's queue at once,
// unless it is one frame.
const maxRun = 64 << 10

// run is a stretch of event frames in the reader's buffer that go the same
// way, so that each subscriber's queue is locked, and copied into, once.
type run struct {
	link   *link   // of the sender
	stream *stream // that the frames are parts of, or nil
	raw    []byte  // the frames, with the hub's event id
	frames uint64
}

// event takes in an event frame. It goes out, at the latest, with the next
// call of forward.
func (c *conn) event(f *wire.Frame) error {
	if len(f.Payload) < wire.EventHeaderSize {
		c.note(malformedPayload, 1, "error", fmt.Errorf("%w: an event of %d bytes", wire.ErrMalformed, len(f.Payload)))
		return nil
	}
	l := c.table.get(wire.EventID(f.Payload))
	if l == nil {
		c.note(unknownEventID, 1)
		return nil
	}
	kind := wire.EventKind(f.Payload)
	if kind.IsStream() {
		return c.streamPart(l, kind, f)
	}
	if kind.IsTimer() {
		return c.timerEvent(l, kind, f)
	}
	if kind == wire.LogWriteLn {
		c.signLog(f.Payload[wire.EventHeaderSize:])
	}
	return c.extend(l, nil, f)
}

// extend adds a frame of an event and perhaps a stream to the run, if that is of the
// same, or else begins the next one with it.
func (c *conn) extend(l *link, s *stream, f *wire.Frame) error {
	wire.PatchEventID(f.Raw, l.event.id)
	r := &c.run
	if r.link == l && r.stream == s && len(r.raw)+len(f.Raw) <= maxRun {
		if raw, ok := wire.Join(r.raw, f.Raw); ok {
			r.raw = raw
			r.frames++
			return nil
		}
	}
	err := c.forward()
	c.run = run{link: l, stream: s, raw: f.Raw, frames: 1}
	return err
}

// forward hands the run to every subscriber, see deliver. The error is the
// cause of the connection's end.
func (c *conn) forward() error {
	r := c.run
	if r.frames == 0 {
		return nil
	}
	c.run = run{}
	subscribers := *r.link.event.subscribers.Load()
	// Who joins the group is found in it before in the list of subscribers, if
	// it joins before it subscribes: so the group is looked at after the list.
	if group := c.groupOf(&r); group != nil {
		subscribers = group.without(subscribers)
	}
	if len(subscribers) == 1 && c.deliverUnflushed(&r, subscribers[0]) {
		return nil
	}
	c.flush()
	return c.hub.deliver(c.ctx, &r, subscribers)
}

// deliverUnflushed hands the run to its only subscriber, if that need not wait. It
// goes out with the next flush: there may be more to come of what was read. For
// several subscribers it is better to let each one's own goroutine write.
func (c *conn) deliverUnflushed(r *run, to *link) bool {
	if c.unflushed != nil && c.unflushed != to.conn.queue {
		c.flush()
	}
	buf, ok := to.conn.queue.TryLock()
	if !ok {
		return false
	}
	c.unflushed = to.conn.queue
	buf, ok = r.appendFor(to, buf)
	c.unflushed.UnlockUnflushed(buf)
	if ok {
		c.hub.countOut(r, 1)
	}
	return true
}

// flush sees to what deliverUnflushed has left. It comes before the connection waits
// for anything.
func (c *conn) flush() {
	if c.unflushed != nil {
		c.unflushed.Flush()
		c.unflushed = nil
	}
}

// deliver hands the run to subscribers, and waits for those whose queues are
// full. The error is the cause of ctx's end.
func (h *Hub) deliver(ctx context.Context, r *run, subscribers []*link) error {
	receivers := uint64(0)
	for _, to := range subscribers {
		buf, err := to.conn.queue.Lock(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			continue // that connection is ending
		}
		buf, ok := r.appendFor(to, buf)
		to.conn.queue.Unlock(buf)
		if ok {
			receivers++
		}
	}
	h.countOut(r, receivers)
	return nil
}

// appendFor appends the run for a subscriber, whose queue is locked, if it gets it.
func (r *run) appendFor(to *link, buf []byte) (_ []byte, ok bool) {
	if !r.isFor(to) {
		return buf, false
	}
	if to.announce {
		to.announce = false
		buf = wire.AppendPublish(buf, wire.EventRef{ID: to.event.id, Name: to.event.name})
	}
	return append(buf, r.raw...), true
}

func (h *Hub) countOut(r *run, receivers uint64) {
	h.count.framesOut.Add(receivers * r.frames)
	h.count.bytesOut.Add(receivers * uint64(len(r.raw)))
}

// groupOf returns whom a run does not go to. Flushes go back to their sender in
// any case.
func (c *conn) groupOf(r *run) *group {
	switch {
	case r.stream != nil:
		return r.stream.group
	case r.link.event.private && !r.link.event.relay: // a flush
		return nil
	}
	return c.relayGroup()
}

// isFor tells whether a subscription gets the run. It is called under the lock
// of the subscriber's queue: so a subscription that ends has ended, and a header
// that overtakes the stream is not in the queue yet.
//
// Of a stream only those get a part who were there for its header, because
// clients fail on one without.
func (r *run) isFor(to *link) bool {
	if s := r.stream; s != nil {
		return to.since <= s.limit && !s.overtaken.Load()
	}
	return to.since != never
}

// signLog fills in who sent a line of log, unless it tells already.
func (c *conn) signLog(data []byte) {
	d := wire.NewDecoder(data)
	if id := d.Uint32(); id == 0 && d.Err() == nil {
		wire.PatchLogClientID(data, c.identity.ID)
	}
}
