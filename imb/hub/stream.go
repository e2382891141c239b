package hub

import (
	"container/list"

	"imbrouter/imb/wire"
)

// stream is one that a connection sends: begun, and not ended.
type stream struct {
	link  *link
	id    int32
	limit uint64 // event.epoch when it began
	place *list.Element
}

// streamLimit returns the epoch of the latest subscription that gets a part of
// a stream: the latest there was when its header came, because clients fail on
// a body or tail without a header. It returns false for what nobody gets.
func (c *conn) streamLimit(l *link, kind wire.Kind, data []byte) (limit uint64, ok bool) {
	part, err := wire.ParseStreamChunk(data) // a header begins with the id as well
	if err != nil {
		c.note(malformedPayload, 1, "event", l.event.name, "error", err)
		return 0, false
	}
	s, open := l.streams[part.StreamID]
	switch {
	case kind == wire.StreamHeader:
		if open {
			c.endStream(s)
		}
		s = c.beginStream(l, part.StreamID)
	case !open:
		c.note(headlessStream, 1, "event", l.event.name, "stream", part.StreamID)
		return 0, false
	case kind == wire.StreamTail:
		c.endStream(s)
	}
	return s.limit, true
}

func (c *conn) beginStream(l *link, id int32) *stream {
	if c.streams.Len() >= c.hub.o.MaxStreams {
		// Most likely its sender gave it up: there is no message for that.
		oldest := c.streams.Front().Value.(*stream)
		c.note(cutStream, 1, "event", oldest.link.event.name, "stream", oldest.id)
		c.endStream(oldest)
	}
	s := &stream{link: l, id: id, limit: l.event.epoch.Load()}
	s.place = c.streams.PushBack(s)
	if l.streams == nil {
		l.streams = make(map[int32]*stream)
	}
	l.streams[id] = s
	return s
}

func (c *conn) endStream(s *stream) {
	c.streams.Remove(s.place)
	delete(s.link.streams, s.id)
}
