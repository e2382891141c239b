package imb

import "sync/atomic"

// Stats are counts since Connect, and what is queued now.
type Stats struct {
	Connections   uint64 // made
	BytesReceived uint64
	BytesSent     uint64 // without the greetings
	SendQueue     int    // bytes that wait to be sent
	ReceiveQueue  int    // bytes that wait for the handlers, with the bookkeeping

	StreamsReceived   uint64 // that came whole
	StreamsIncomplete uint64 // that ended otherwise
	StreamsRefused    uint64 // declined because of Options.MaxStreams, or of a name above wire.MaxStreamNameLength
	Collisions        uint64 // headers with an id that was in use
	StrayChunks       uint64 // bodies and tails of streams that are not received

	Dropped      uint64 // signals given up, see Options.OnDrop
	Untranslated uint64 // events under an id that the hub did not explain
	Malformed    uint64 // payloads that do not hold what they must
	Broken       uint64 // what is no frame: bytes skipped, frames with a bad end or size
}

// counters are the parts of Stats that are counted.
type counters struct {
	connections, bytesReceived, streamsReceived, streamsIncomplete, streamsRefused,
	collisions, strayChunks, dropped, untranslated, malformed, broken atomic.Uint64
}

// Stats returns the counts of the client.
func (c *Client) Stats() Stats {
	sent, _ := c.out.Progress()
	s := &c.stats
	return Stats{
		Connections:       s.connections.Load(),
		BytesReceived:     s.bytesReceived.Load(),
		BytesSent:         uint64(sent),
		SendQueue:         c.out.Len(),
		ReceiveQueue:      c.inbox.len(),
		StreamsReceived:   s.streamsReceived.Load(),
		StreamsIncomplete: s.streamsIncomplete.Load(),
		StreamsRefused:    s.streamsRefused.Load(),
		Collisions:        s.collisions.Load(),
		StrayChunks:       s.strayChunks.Load(),
		Dropped:           s.dropped.Load(),
		Untranslated:      s.untranslated.Load(),
		Malformed:         s.malformed.Load(),
		Broken:            s.broken.Load(),
	}
}
