package imb

import (
	"fmt"
	"math"
	"time"

	"imbrouter/imb/wire"
)

// streamKey tells incoming streams apart: by the concrete event and by the id
// that the sender chose. Two senders can choose the same.
type streamKey struct{ hub, id int32 }

// inStream is an id that some sender uses now.
type inStream struct {
	receiver StreamReceiver // nil when the stream is not, or no longer, received
	tainted  bool           // two streams share the id: only silence ends that
	last     time.Duration  // arrival of its latest frame
	name     string
}

// maxSilentIDs bounds the ids that are remembered without a receiver. Each is
// forgotten after CollisionQuiet.
const maxSilentIDs = 1 << 16

// longNameShown is how many bytes a log line has of a name above
// wire.MaxStreamNameLength.
const longNameShown = 64

// inStreams keeps the incoming streams of the connection. It is the
// dispatcher's own.
//
// An id that is in use but not received (declined, failed, tainted, begun
// before we listened) stays in the table until its tail or until it has been
// silent for CollisionQuiet. So a header that uses the id anew in the meantime
// is known to collide, and its stream does not get the other one's bytes.
type inStreams struct {
	client    *Client
	byKey     map[streamKey]*inStream
	receiving int // those with a receiver
	now       time.Duration
	nextScan  time.Duration
}

// frame handles a header, body or tail.
func (s *inStreams) frame(d delivery, data []byte) {
	if d.kind == wire.StreamHeader {
		start, err := wire.ParseStreamStart(data)
		if err != nil {
			s.client.malformed(err)
			return
		}
		s.header(d, start)
		return
	}
	chunk, err := wire.ParseStreamChunk(data)
	if err != nil {
		s.client.malformed(err)
		return
	}
	s.chunk(d, chunk)
}

func (s *inStreams) header(d delivery, start wire.StreamStart) {
	key := streamKey{d.hub, start.StreamID}
	handler := d.event.streamHandler()
	if size := len(start.Name); size > wire.MaxStreamNameLength {
		start.Name = start.Name[:longNameShown] + "…"
		if handler != nil {
			s.decline("an incoming stream's name is too long: declined it",
				"event", d.name, "stream", start.Name, "size", size, "limit", wire.MaxStreamNameLength)
		}
		handler = nil
	}
	if old := s.byKey[key]; old != nil {
		abandoned := s.now-old.last >= s.client.opt.CollisionQuiet
		if !abandoned && (handler != nil || old.receiver != nil) {
			s.collide(key, old, d, start, handler)
			return
		}
		s.remove(key, old, fmt.Errorf("stream %q: %w: another has begun with its id", old.name, ErrStreamCut))
	}
	st := s.add(key, start.Name)
	if handler == nil || !s.mayReceive(d, start) {
		return
	}
	st.receiver = handler(incoming(d, start))
	if st.receiver != nil {
		s.receiving++
	}
}

func incoming(d delivery, start wire.StreamStart) IncomingStream {
	return IncomingStream{
		Event: d.event, Name: d.name, StreamID: start.StreamID, StreamName: start.Name,
		Flags: d.flags, Tick: d.tick,
	}
}

// mayReceive tells whether the limits allow one more stream.
func (s *inStreams) mayReceive(d delivery, start wire.StreamStart) bool {
	if s.receiving < s.client.opt.MaxStreams && s.silent() < maxSilentIDs {
		return true
	}
	s.decline("too many incoming streams at once: declined one",
		"event", d.name, "stream", start.Name, "limit", s.client.opt.MaxStreams)
	return false
}

func (s *inStreams) decline(why string, attrs ...any) {
	s.client.stats.streamsRefused.Add(1)
	s.client.faults.note(why, attrs...)
}

// collide ends both the stream that has the id and the one that a header wants
// to begin with it. The latter gets a receiver for that, which is told at once.
func (s *inStreams) collide(key streamKey, old *inStream, d delivery, start wire.StreamStart, handler StreamHandler) {
	s.client.stats.collisions.Add(1)
	s.client.faults.note("two streams with the same id at once: dropped both",
		"event", d.name, "stream", old.name, "other", start.Name, "id", key.id)
	old.last = s.now
	old.tainted = true
	s.end(old, fmt.Errorf("stream %q: %w", old.name, ErrStreamCollision))
	if handler == nil {
		return
	}
	if receiver := handler(incoming(d, start)); receiver != nil {
		s.client.stats.streamsIncomplete.Add(1)
		receiver.End(fmt.Errorf("stream %q: %w", start.Name, ErrStreamCollision))
	}
}

func (s *inStreams) chunk(d delivery, chunk wire.StreamChunk) {
	key := streamKey{d.hub, chunk.StreamID}
	st := s.get(key)
	if st.receiver == nil {
		s.client.stats.strayChunks.Add(1)
	} else if len(chunk.Bytes) > 0 {
		if _, err := st.receiver.Write(chunk.Bytes); err != nil {
			s.end(st, err)
		}
	}
	if d.kind == wire.StreamTail && !st.tainted {
		s.remove(key, st, nil)
	}
}

// lost ends a stream of which a part was dropped.
func (s *inStreams) lost(d delivery, data []byte) {
	chunk, _ := wire.ParseStreamChunk(data) // made by Client.drop
	key := streamKey{d.hub, chunk.StreamID}
	st := s.get(key)
	s.end(st, fmt.Errorf("stream %q: %w", st.name, ErrOverflow))
}

// endEvent ends the streams of a hub's event id that is free for another event.
func (s *inStreams) endEvent(hub int32, cause error) {
	for key, st := range s.byKey {
		if key.hub == hub {
			s.remove(key, st, fmt.Errorf("stream %q: %w: %w", st.name, ErrStreamCut, cause))
		}
	}
}

// endAll ends every stream, because the connection has.
func (s *inStreams) endAll(err error) {
	for key, st := range s.byKey {
		s.remove(key, st, err)
	}
}

// get returns the stream that has just been heard of: that of the table, or one
// that began before we listened.
func (s *inStreams) get(key streamKey) *inStream {
	st := s.byKey[key]
	if st == nil {
		return s.add(key, "")
	}
	st.last = s.now
	return st
}

// add returns a stream without a receiver, which is in the table unless that
// has too many of them.
func (s *inStreams) add(key streamKey, name string) *inStream {
	if len(s.byKey) == 0 {
		s.nextScan = s.now + s.scanInterval()
	}
	st := &inStream{name: name, last: s.now}
	if s.silent() < maxSilentIDs {
		s.byKey[key] = st
	}
	return st
}

// silent counts the ids without a receiver.
func (s *inStreams) silent() int { return len(s.byKey) - s.receiving }

func (s *inStreams) remove(key streamKey, st *inStream, err error) {
	s.end(st, err)
	delete(s.byKey, key)
}

// end tells the receiver, if there is one, that its stream has ended.
func (s *inStreams) end(st *inStream, err error) {
	if st.receiver == nil {
		return
	}
	receiver := st.receiver
	st.receiver = nil
	s.receiving--
	if err == nil {
		s.client.stats.streamsReceived.Add(1)
	} else {
		s.client.stats.streamsIncomplete.Add(1)
	}
	receiver.End(err)
}

// tick moves the time on, which is the arrival of what is handled next or, when
// everything is handled, the present. So a stream whose next frame waits in the
// queue is not taken for silent.
func (s *inStreams) tick(now time.Duration) {
	s.now = now
	if len(s.byKey) == 0 || s.now < s.nextScan {
		return
	}
	s.nextScan = s.now + s.scanInterval()
	for key, st := range s.byKey {
		switch silent := s.now - st.last; {
		case st.receiver == nil && silent >= s.client.opt.CollisionQuiet:
			delete(s.byKey, key)
		case silent >= s.client.opt.StreamIdleTimeout:
			s.remove(key, st, fmt.Errorf("stream %q: %w (%v)", st.name, ErrStreamIdle, s.client.opt.StreamIdleTimeout))
		}
	}
}

// scanInterval is how often silent streams are looked for.
func (s *inStreams) scanInterval() time.Duration {
	return max(min(s.client.opt.StreamIdleTimeout/8, s.client.opt.CollisionQuiet), time.Millisecond)
}

// untilScan returns when tick has something to do if nothing arrives.
func (s *inStreams) untilScan() time.Duration {
	if len(s.byKey) == 0 {
		return math.MaxInt64
	}
	return max(s.nextScan-s.client.inbox.clock(), 0)
}
