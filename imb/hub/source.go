package hub

import "imbrouter/imb/wire"

// maxWithoutFrame is how many bytes a client may send without one whole frame
// among them: about three times the largest frame.
const maxWithoutFrame = 32 << 20

// source is what the frame reader reads from. Each Read comes when the reader
// has no whole frame left, which is the time to look at what it met.
type source struct {
	conn         *conn
	seen         wire.Stats // of the reader at the last Read
	withoutFrame int        // bytes read since seen.Frames grew
}

func (s *source) Read(p []byte) (int, error) {
	c, stats := s.conn, s.conn.reader.Stats()
	if frames := stats.Frames - s.seen.Frames; frames > 0 {
		c.framesIn.Add(frames)
		c.hub.count.framesIn.Add(frames)
		s.withoutFrame = 0
	}
	if broken := stats.Broken() - s.seen.Broken(); broken > 0 {
		c.note(brokenInput, broken)
	}
	s.seen = stats
	if s.withoutFrame > maxWithoutFrame {
		return 0, errNotIMB
	}
	n, err := c.net.Read(p)
	s.withoutFrame += n
	c.bytesIn.Add(uint64(n))
	c.hub.count.bytesIn.Add(uint64(n))
	return n, err
}
