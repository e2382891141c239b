package imb

import (
	"slices"
	"time"

	"imbrouter/imb/wire"
)

// dispatcher calls the handlers, one after the other, on its own goroutine.
type dispatcher struct {
	client   *Client
	streams  inStreams
	messages []Message // of the run
}

func newDispatcher(c *Client) *dispatcher {
	return &dispatcher{client: c, streams: inStreams{client: c, byKey: make(map[streamKey]*inStream)}}
}

// run handles what the inbox brings until it is closed, and empty or given up.
func (d *dispatcher) run() {
	inbox := d.client.inbox
	timer := time.NewTimer(0)
	defer timer.Stop()
	gaveUp := false // and only notes are left
	for {
		if !gaveUp && d.client.isHurried() && inbox.isClosed() {
			gaveUp = true
			d.client.drop(inbox.discard())
		}
		if run := inbox.take(); run != nil {
			d.streams.tick(run[0].at)
			d.deliver(run)
			continue
		}
		if inbox.isClosed() {
			return
		}
		clear(d.messages[:cap(d.messages)]) // they hold on to names and data
		d.streams.tick(inbox.clock())
		timer.Reset(min(d.streams.untilScan(), inbox.untilRelease(), d.client.overflows.empty()))
		select {
		case <-inbox.wake:
		case <-timer.C:
			inbox.release()
		}
	}
}

func (d *dispatcher) deliver(run []delivery) {
	item := &run[0]
	data := d.client.inbox.bytes(item)
	switch item.what {
	case eventFrame:
		if item.kind.IsStream() {
			d.streams.frame(*item, data)
		} else {
			d.signals(run)
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

// signals calls the handlers for a run of signals.
func (d *dispatcher) signals(run []delivery) {
	d.messages = slices.Grow(d.messages[:0], len(run))[:len(run)]
	for i := range run {
		run[i].fill(&d.messages[i], d.client.inbox.bytes(&run[i]))
	}
	run[0].event.dispatch(d.messages)
}

// Progress tells that the handler that is being called gets on, although it has not
// returned: the time of Options.BlockTimeout begins anew. It is for handlers that
// have many things to do.
func (c *Client) Progress() { c.inbox.progress() }

// fill makes m the signal that d and its data are.
func (d *delivery) fill(m *Message, data []byte) {
	m.Event, m.Name, m.Kind, m.Flags, m.Tick, m.Data = d.event, d.name, d.kind, d.flags, d.tick, data
}

// overflow empties the inbox, because no handler returned for too long. It
// runs on the read loop, which could not put the given delivery there.
func (c *Client) overflow(d delivered) {
	lost := c.inbox.discard()
	if d.isFrame() {
		lost = append(lost, d)
	} else {
		c.inbox.note(d.delivery, d.data)
	}
	signals, streams := c.drop(lost)
	c.overflows.note(c.opt.BlockTimeout, signals, streams)
}

// drop gives up frames that were received and not handled. It returns how many
// signals and how many streams that concerns.
func (c *Client) drop(lost []delivered) (signals, streams int) {
	cut := make(map[streamKey]bool)
	for _, d := range lost {
		switch {
		case c.dropSignal(d):
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
func (c *Client) dropSignal(d delivered) bool {
	if !d.isSignal() {
		return false
	}
	c.stats.dropped.Add(1)
	var m Message
	d.fill(&m, d.data)
	c.opt.OnDrop(m)
	return true
}
