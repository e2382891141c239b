package hub

import (
	"container/list"
	"sync/atomic"

	"imbrouter/imb/wire"
)

// stream is one that a connection sends: begun, and not ended.
type stream struct {
	link  *link
	id    int32
	limit uint64 // event.epoch when it began
	group *group // of its sender, when it began
	place *list.Element
	// overtaken is set when another connection begins a stream under the same id
	// on the event, before anybody gets the header of that one.
	overtaken atomic.Bool
}

// streamPart takes in an event that is a part of a stream.
func (c *conn) streamPart(l *link, kind wire.Kind, f *wire.Frame) error {
	part, err := wire.ParseStreamChunk(f.Payload[wire.EventHeaderSize:]) // a header begins with the id as well
	if err != nil {
		c.note(malformedPayload, 1, "event", l.event.name, "error", err)
		return nil
	}
	s, open := l.streams[part.StreamID]
	if kind == wire.StreamHeader {
		// What came before goes out first, as long as its stream may run.
		if err := c.forward(); err != nil {
			return err
		}
		if open {
			c.endStream(s)
		}
		s = c.beginStream(l, part.StreamID)
	} else if !open {
		c.note(headlessStream, 1, "event", l.event.name, "stream", part.StreamID)
		return nil
	}
	if s.overtaken.Load() {
		c.hub.count.dropped.Add(1)
	} else if err := c.extend(l, s, f); err != nil {
		return err
	}
	if kind != wire.StreamTail {
		return nil
	}
	// Until its tail is out, a stream can be overtaken.
	err = c.forward()
	c.endStream(s)
	return err
}

func (c *conn) beginStream(l *link, id int32) *stream {
	if c.streams.Len() >= c.hub.o.MaxStreams {
		// Most likely its sender gave it up: there is no message for that.
		oldest := c.streams.Front().Value.(*stream)
		c.note(cutStream, 1, "event", oldest.link.event.name, "stream", oldest.id)
		c.endStream(oldest)
	}
	s := &stream{link: l, id: id, limit: l.event.epoch.Load(), group: c.relayGroup()}
	s.place = c.streams.PushBack(s)
	if l.streams == nil {
		l.streams = make(map[int32]*stream)
	}
	l.streams[id] = s
	if older := l.event.startStream(s); older != nil {
		c.note(overtakenStream, 1, "event", l.event.name, "stream", id,
			"other", older.link.conn.prefix(wire.PrefixUniqueClientID))
	}
	return s
}

func (c *conn) endStream(s *stream) {
	c.streams.Remove(s.place)
	delete(s.link.streams, s.id)
	s.link.event.stopStream(s)
}

// startStream makes a stream the one that runs under its id, and returns the
// one that it overtakes, or nil.
func (e *event) startStream(s *stream) (older *stream) {
	e.streams.Lock()
	defer e.streams.Unlock()
	if older = e.running[s.id]; older != nil {
		older.overtaken.Store(true)
	}
	if e.running == nil {
		e.running = make(map[int32]*stream)
	}
	e.running[s.id] = s
	return older
}

// stopStream is the reverse of startStream, unless the stream was overtaken.
func (e *event) stopStream(s *stream) {
	e.streams.Lock()
	defer e.streams.Unlock()
	if e.running[s.id] == s {
		delete(e.running, s.id)
	}
}
