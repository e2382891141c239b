package imb

import (
	"time"

	"imbrouter/imb/wire"
)

// dispatcher calls the handlers, one after the other, on its own goroutine.
type dispatcher struct {
	client  *Client
	streams inStreams
}

func newDispatcher(c *Client) *dispatcher {
	return &dispatcher{client: c, streams: inStreams{client: c, byKey: make(map[streamKey]*inStream)}}
}

// run handles what the inbox brings until it is closed, and empty or given up.
func (d *dispatcher) run() {
	inbox := d.client.inbox
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if d.client.isHurried() && inbox.isClosed() {
			d.client.drop(inbox.discard())
		}
		item, data, ok := inbox.take()
		if ok {
			d.streams.tick(item.at)
			d.deliver(item, data)
			continue
		}
		if inbox.isClosed() {
			return
		}
		d.streams.tick(inbox.clock())
		timer.Reset(min(d.streams.untilScan(), inbox.untilRelease()))
		select {
		case <-inbox.wake:
		case <-timer.C:
			inbox.release()
		}
	}
}

func (d *dispatcher) deliver(item *delivery, data []byte) {
	switch item.what {
	case eventFrame:
		if item.kind.IsStream() {
			d.streams.frame(*item, data)
		} else {
			item.event.dispatch(item.message(data))
		}
	case variable:
		d.client.variables.dispatch(data)
	case allLost:
		d.streams.endAll(item.err)
	case streamLost:
		d.streams.lost(*item, data)
	case hubEventGone:
		d.streams.endEvent(item.hub, item.err)
	case drained:
		item.done()
	}
}

func (d *delivery) message(data []byte) Message {
	return Message{Event: d.event, Name: d.name, Kind: d.kind, Flags: d.flags, Tick: d.tick, Data: data}
}

// overflow empties the inbox, because no handler returned for too long. It
// runs on the read loop, which could not put the given delivery there.
func (c *Client) overflow(d delivery, data []byte) {
	lost := c.inbox.discard()
	if d.isFrame() {
		lost = append(lost, delivered{d, data})
	} else {
		c.inbox.note(d, data)
	}
	signals, streams := c.drop(lost)
	c.opt.Log.Error("receive queue overflowed, because a handler did not return in time: dropped what was queued",
		"waited", c.opt.BlockTimeout, "signals", signals, "streams", streams)
}

// drop gives up frames that were received and not handled. It returns how many
// signals and how many streams that concerns.
func (c *Client) drop(lost []delivered) (signals, streams int) {
	cut := make(map[streamKey]bool)
	for _, d := range lost {
		switch {
		case c.dropSignal(d.delivery, d.data):
			signals++
		case d.what == eventFrame:
			chunk, err := wire.ParseStreamChunk(d.data) // a header begins like a body
			if key := (streamKey{d.hub, chunk.StreamID}); err == nil && !cut[key] {
				cut[key] = true
				d.what = streamLost
				c.inbox.note(d.delivery, wire.AppendInt32(nil, chunk.StreamID))
			}
		}
	}
	return signals, len(cut)
}

// dropSignal gives a delivery up if it is a signal, and tells whether it is.
func (c *Client) dropSignal(d delivery, data []byte) bool {
	if d.what != eventFrame || d.kind.IsStream() {
		return false
	}
	c.stats.dropped.Add(1)
	c.opt.OnDrop(d.message(data))
	return true
}
