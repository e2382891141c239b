package imb

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"imbrouter/imb/wire"
)

// wish notes what the program wants of an event and tells the hub, if there is
// a connection. command tells what: publish, unpublish, subscribe or
// unsubscribe.
func (c *Client) wish(e *Event, command wire.Command, flag *atomic.Bool, wanted bool) error {
	if len(e.name) > wire.MaxNameLength {
		return fmt.Errorf("%v a name of %d bytes, of %d at most: %w", command, len(e.name), wire.MaxNameLength, ErrNameTooLong)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if flag.Load() == wanted {
		return nil
	}
	change := func() {
		flag.Store(wanted)
		if flag == &e.published {
			e.hasSubscribers.Store(false) // the hub tells publishers only
		}
	}
	err := c.tell(change, func(buf []byte) []byte { return appendWish(buf, e, command) })
	if err != nil {
		return fmt.Errorf("%v %q: %w", command, e.name, err)
	}
	return nil
}

func appendWish(buf []byte, e *Event, command wire.Command) []byte {
	switch command {
	case wire.CmdPublish:
		return wire.AppendPublish(buf, wire.EventRef{ID: e.id, Name: e.name})
	case wire.CmdSubscribe:
		return wire.AppendSubscribe(buf, wire.EventRef{ID: e.id, Name: e.name})
	}
	return wire.AppendText(buf, command, e.name)
}

// tell makes a change of state and appends the frame that tells the hub of it,
// which is left out without a connection: the next greeting tells the state.
// The caller holds c.mu, so that no greeting comes between. The two happen
// under the send queue's lock, too, so that a signal is sent either before the
// frame or after the change. It does not wait for room, which bounds maxControl.
func (c *Client) tell(change func(), frame func([]byte) []byte) error {
	if c.conn != nil && c.out.Len() > c.opt.SendQueue+wire.MaxPayload+maxControl {
		return ErrQueueFull
	}
	buf, err := c.out.LockNow()
	if err != nil {
		return err
	}
	change()
	if c.conn != nil {
		buf = frame(buf)
	}
	c.out.Unlock(buf)
	return nil
}

// attach makes n the connection that the hub is told on, and returns the
// greeting: who the client is, and all that it wants. What is wanted later is
// told by frames in the send queue, which is written after the greeting.
func (c *Client) attach(n *connection) (greeting []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flushID < 0 {
		c.flushID = c.newEvent("").id
	}
	n.flush.event = newFlushEvent(c, c.flushID)
	c.byID[c.flushID] = n.flush.event

	late := c.keepSignals()
	greeting = wire.AppendSetClientInfo(nil, wire.SetClientInfo{OwnerID: c.opt.OwnerID, OwnerName: c.opt.OwnerName})
	for _, e := range c.byID {
		if e.published.Load() || late[e] {
			greeting = appendWish(greeting, e, wire.CmdPublish)
		}
		if e.subscribed.Load() {
			greeting = appendWish(greeting, e, wire.CmdSubscribe)
		}
	}
	c.variables.forget()
	if c.variables.watched() != nil {
		greeting = wire.AppendFrame(greeting, wire.CmdAllVariables, nil)
	}
	c.conn = n
	return n.flush.appendProbe(greeting)
}

// lostTogether is how long before a connection others may have been lost for the
// same reason: a hub that stops closes one after the other, and tells of each.
const lostTogether = 2 * time.Second

// detach is for a connection that is lost. It waits for its loops, and leaves
// nothing behind that belongs to it alone.
func (c *Client) detach(n *connection, wait func()) {
	wait()
	defer close(n.detached)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.live.Store(nil) // see connection.lock; nothing comes to the inbox any more, see Drain
	c.conn = nil
	if !c.isClosing() { // Close tells what is left
		c.keepSignals()
	}
	for _, e := range c.byID {
		left := e.subscribersLeft.Swap(nil)
		if e.hasSubscribers.Swap(false) || left != nil && time.Since(*left) < lostTogether {
			e.lostSubscribers.Store(true)
		}
	}
	c.inbox.note(delivery{what: allLost, at: c.inbox.clock(), reason: &reason{err: context.Cause(n.ctx)}}, nil)
}

// keepSignals drops from the send queue what cannot be sent on another
// connection: streams, of which a part may be lost; flushes; and what the next
// greeting tells. Signals are kept unless the connection has taken them whole.
//
// It returns the events of these that are wanted no longer: they must be
// published once more for the signals' sake, and the queue ends by taking that
// back.
func (c *Client) keepSignals() (late map[*Event]bool) {
	late = make(map[*Event]bool)
	c.out.Edit(func(writing []byte, written int, pending []byte) []byte {
		kept := c.appendSignals(nil, writing, written, late)
		kept = c.appendSignals(kept, pending, 0, late)
		for e := range late {
			kept = appendWish(kept, e, wire.CmdUnpublish)
		}
		return kept
	})
	return late
}

// appendSignals appends the signals in frames, without those that end in its
// first written bytes. The caller holds c.mu.
func (c *Client) appendSignals(dst, frames []byte, written int, late map[*Event]bool) []byte {
	r := wire.NewReader(bytes.NewReader(frames))
	end := 0
	for {
		f, err := r.Next()
		if err != nil {
			return dst // all of them are read
		}
		end += len(f.Raw)
		if f.Command != wire.CmdEvent || end <= written {
			continue
		}
		signal, err := wire.ParseEvent(f.Payload)
		if err != nil || signal.Kind.IsStream() || signal.ID == c.flushID {
			continue
		}
		dst = append(dst, f.Raw...)
		if e := c.byID[signal.ID]; !e.published.Load() && !e.subscribed.Load() {
			late[e] = true
		}
	}
}

// eventByID returns the event with one of the client's own ids, or nil.
func (c *Client) eventByID(id int32) *Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(id) >= len(c.byID) {
		return nil
	}
	return c.byID[id]
}

// setSubscribers notes a hub's notice about an event.
func (c *Client) setSubscribers(name string, any bool) {
	if e, ok := c.LookupEvent(name); ok {
		if any {
			e.lostSubscribers.Store(false)
			e.subscribersLeft.Store(nil)
		} else if e.hasSubscribers.Load() {
			now := time.Now()
			e.subscribersLeft.Store(&now)
		}
		e.hasSubscribers.Store(any)
	}
}
