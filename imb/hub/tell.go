package hub

import (
	"context"

	"imbrouter/imb/wire"
)

// tell puts frames into the connection's queue without waiting, so that it can
// be called under Hub.mu. A queue that goes over its limit is noted in
// Hub.crowded, for those to wait who caused it; one that goes far beyond ends
// the connection.
func (c *conn) tell(frames []byte) {
	buf, err := c.queue.LockNow()
	if err != nil {
		return // the connection is ending
	}
	c.queue.Unlock(append(buf, frames...))
	c.checkQueue()
}

// checkQueue is the part of tell that comes after Unlock.
func (c *conn) checkQueue() {
	limit := c.hub.o.QueueBytes
	switch n := c.queue.Len(); {
	case n > 2*(limit+wire.MaxPayload):
		c.abortSlow("its queue is at twice its limit")
	case n >= limit:
		c.hub.crowded = append(c.hub.crowded, c)
	}
}

// awaitRoom makes the reader of a connection wait until c's queue has room. The
// error is why that reader shall stop.
func (c *conn) awaitRoom(reader *conn) error {
	buf, err := c.queue.Lock(reader.ctx)
	if err == nil {
		c.queue.Unlock(buf)
		return nil
	}
	if reader.ctx.Err() != nil {
		return context.Cause(reader.ctx)
	}
	return nil // c is ending
}

// control changes the state of the hub on behalf of the connection, and then
// waits for those who were told of it, itself included, until their queues have
// room again; but not for those who do not get what it sends.
func (c *conn) control(change func()) error {
	h := c.hub
	h.mu.Lock()
	change()
	crowded := h.crowded
	h.crowded = nil
	h.mu.Unlock()
	for _, other := range crowded {
		if c.relayGroup().has(other) {
			continue // it may be waiting for this one, see relay.go
		}
		if err := other.awaitRoom(c); err != nil {
			return err
		}
	}
	return nil
}
