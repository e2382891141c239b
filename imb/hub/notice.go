package hub

import "imbrouter/imb/wire"

// The clients keep booleans: are there publishers, are there subscribers? So
// each is told when that changes, and hears of the other connections only. The
// names are in its own spelling, because some clients compare exactly.

// publishersChanged tells the event's subscribers, but for the link that was
// the change.
func (h *Hub) publishersChanged(change *link) {
	for _, l := range *change.event.subscribers.Load() {
		if l == change {
			continue
		}
		switch others := l.othersPublish(); {
		case others && !l.toldPublished:
			h.tellPublished(l, l.names(l.subs)...)
		case !others && l.toldPublished:
			l.toldPublished = false
			l.conn.tell(appendNames(nil, wire.CmdUnpublish, l.names(l.subs)))
		}
	}
}

// subscribersChanged tells the event's publishers, but for the link that was
// the change.
func (h *Hub) subscribersChanged(change *link) {
	for _, l := range change.event.links {
		if l == change || len(l.pubs) == 0 {
			continue
		}
		switch others := l.othersSubscribe(); {
		case others && !l.toldSubscribed:
			h.tellSubscribed(l, l.names(l.pubs)...)
		case !others && l.toldSubscribed:
			l.toldSubscribed = false
			l.conn.tell(appendNames(nil, wire.CmdUnsubscribe, l.names(l.pubs)))
		}
	}
}

// tellPublished tells a subscriber that there are publishers.
func (h *Hub) tellPublished(l *link, names ...string) {
	l.toldPublished = true
	c := l.conn
	buf, err := c.queue.LockNow()
	if err != nil {
		return // the connection is ending
	}
	l.announce = false
	for _, name := range names {
		buf = wire.AppendPublish(buf, wire.EventRef{ID: l.event.id, Name: name})
	}
	c.queue.Unlock(buf)
	c.checkQueue()
}

// tellSubscribed tells a publisher that there are subscribers.
func (h *Hub) tellSubscribed(l *link, names ...string) {
	l.toldSubscribed = true
	var frames []byte
	for _, name := range names {
		frames = wire.AppendSubscribe(frames, wire.EventRef{ID: l.event.id, Name: name})
	}
	l.conn.tell(frames)
}

func appendNames(frames []byte, command wire.Command, names []string) []byte {
	for _, name := range names {
		frames = wire.AppendText(frames, command, name)
	}
	return frames
}
