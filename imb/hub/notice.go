package hub

import (
	"maps"
	"slices"

	"imbrouter/imb/wire"
)

// The clients keep booleans: are there publishers, are there subscribers? So
// each is told when that changes, and hears of the other connections only. The
// names are in its own spelling, because some clients compare exactly.

// notice is what a client may be told: that others publish an event
// (CmdPublish), or that others subscribe to it (CmdSubscribe).
type notice struct {
	command wire.Command
	name    string // of the event, as the client spells it
}

// toldPerEvent times Options.MaxEvents bounds what is remembered of what a
// client was told. The events that it has to do with take up to three notices
// each: a name that it subscribes, one that it publishes, and one that a filter
// matches.
const toldPerEvent = 4

// publishersChanged tells the event's subscribers, but for the link that was
// the change.
func (h *Hub) publishersChanged(change *link) {
	h.changes++
	for _, l := range *change.event.subscribers.Load() {
		if l != change {
			l.noticeChange(wire.CmdPublish, l.names(l.subs))
		}
	}
}

// subscribersChanged tells the event's publishers, but for the link that was
// the change.
func (h *Hub) subscribersChanged(change *link) {
	h.changes++
	for _, l := range change.event.links {
		if l != change && len(l.pubs) > 0 {
			l.noticeChange(wire.CmdSubscribe, l.names(l.pubs))
		}
	}
}

// noticeChange tells a client what it does not know yet.
func (l *link) noticeChange(command wire.Command, names []string) {
	for _, name := range names {
		n := notice{command, name}
		if _, told := l.conn.told[n]; told != l.holdsTrue(n) {
			l.give(n)
		}
	}
}

// noticeNew tells a client that has just subscribed or published under a name
// whether there are others. That there are none goes without saying, unless it
// was told of some when it did so before.
func (l *link) noticeNew(command wire.Command, name string) {
	n := notice{command, name}
	if _, told := l.conn.told[n]; told || l.holdsTrue(n) {
		l.give(n)
	}
}

func (l *link) holdsTrue(n notice) bool {
	if n.command == wire.CmdPublish {
		return l.othersPublish()
	}
	return l.othersSubscribe()
}

// give tells a client the notice, or takes it back, as is true.
func (l *link) give(n notice) {
	c, isTrue := l.conn, l.holdsTrue(n)
	buf, err := c.queue.LockNow()
	if err != nil {
		return // the connection is ending
	}
	ref := wire.EventRef{ID: l.event.id, Name: n.name}
	switch {
	case n.command == wire.CmdPublish && isTrue:
		l.announce = false
		buf = wire.AppendPublish(buf, ref)
	case n.command == wire.CmdPublish:
		buf = wire.AppendText(buf, wire.CmdUnpublish, n.name)
	case isTrue:
		buf = wire.AppendSubscribe(buf, ref)
	default:
		buf = wire.AppendText(buf, wire.CmdUnsubscribe, n.name)
	}
	c.queue.Unlock(buf)
	c.checkQueue()
	if isTrue {
		c.remember(n)
	} else {
		delete(c.told, n)
	}
}

// remember notes that the client was told. It may leave the event, and must be
// corrected if it comes back when that is not so any more. When that becomes too
// much, what it has left is forgotten.
func (c *conn) remember(n notice) {
	if len(c.told) >= toldPerEvent*c.hub.o.MaxEvents {
		maps.DeleteFunc(c.told, func(n notice, _ struct{}) bool { return !c.heeds(n) })
	}
	c.told[n] = struct{}{}
}

// heeds tells whether a notice is about something that the client has to do
// with now.
func (c *conn) heeds(n notice) bool {
	l := c.hub.find(c, n.name)
	switch {
	case l == nil:
		return false
	case n.command == wire.CmdPublish:
		return l.target != noTarget && slices.Contains(l.names(l.subs), n.name)
	default:
		return holds(l.pubs, n.name)
	}
}
