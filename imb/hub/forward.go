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
	link   *link  // of the sender
	limit  uint64 // the epoch of the latest subscription that gets it
	raw    []byte // the frames, with the hub's event id
	frames uint64
}

// event takes in an event frame. It goes out, at the latest, with the next
// call of forward.
func (c *conn) event(f wire.Frame) error {
	if len(f.Payload) < wire.EventHeaderSize {
		c.note(malformedPayload, 1, "error", fmt.Errorf("%w: an event of %d bytes", wire.ErrMalformed, len(f.Payload)))
		return nil
	}
	l := c.table.get(wire.EventID(f.Payload))
	if l == nil {
		c.note(unknownEventID, 1)
		return nil
	}
	limit := anyEpoch
	switch kind := wire.EventKind(f.Payload); {
	case kind.IsStream():
		var ok bool
		if limit, ok = c.streamLimit(l, kind, f.Payload[wire.EventHeaderSize:]); !ok {
			return nil
		}
	case kind == wire.LogWriteLn:
		c.signLog(f.Payload[wire.EventHeaderSize:])
	}
	wire.PatchEventID(f.Raw, l.event.id)
	if c.run.link == l && c.run.limit == limit && len(c.run.raw)+len(f.Raw) <= maxRun {
		if raw, ok := wire.Join(c.run.raw, f.Raw); ok {
			c.run.raw = raw
			c.run.frames++
			return nil
		}
	}
	err := c.forward()
	c.run = run{link: l, limit: limit, raw: f.Raw, frames: 1}
	return err
}

// forward hands the run to every subscriber, and waits for those whose queues
// are full. The error is the cause of the connection's end.
func (c *conn) forward() error {
	r := c.run
	if r.frames == 0 {
		return nil
	}
	c.run = run{}
	receivers := uint64(0)
	for _, to := range *r.link.event.subscribers.Load() {
		buf, err := to.conn.queue.Lock(c.ctx)
		if err != nil {
			if c.ctx.Err() != nil {
				return context.Cause(c.ctx)
			}
			continue // that connection is ending
		}
		if to.since <= r.limit {
			if to.announce {
				to.announce = false
				buf = wire.AppendPublish(buf, wire.EventRef{ID: to.event.id, Name: to.event.name})
			}
			buf = append(buf, r.raw...)
			receivers++
		}
		to.conn.queue.Unlock(buf)
	}
	c.hub.count.framesOut.Add(receivers * r.frames)
	c.hub.count.bytesOut.Add(receivers * uint64(len(r.raw)))
	return nil
}

// signLog fills in who sent a line of log, unless it tells already.
func (c *conn) signLog(data []byte) {
	d := wire.NewDecoder(data)
	if id := d.Uint32(); id == 0 && d.Err() == nil {
		wire.PatchLogClientID(data, c.identity.ID)
	}
}
