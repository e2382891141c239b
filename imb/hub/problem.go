package hub

import "sync/atomic"

// problem is a fault of a client that it may repeat without end: it is logged
// when it first happens, and with a count when the client goes.
type problem int

const (
	brokenInput problem = iota
	malformedPayload
	unknownEventID
	headlessStream
	cutStream
	overtakenStream
	refusedEvent
	refusedVariable
	refusedTimer
	refusedMonitor
	refusedControl
	truncatedNames
	unsupported
	problemCount
)

var problemTexts = [problemCount]struct{ key, text string }{
	brokenInput:      {"not_imb", "client sends bytes that are not IMB; they are skipped"},
	malformedPayload: {"malformed", "client sends a malformed payload; it is ignored"},
	unknownEventID:   {"unknown_ids", "client sends an event under an id that it neither subscribes nor publishes; it is dropped"},
	headlessStream:   {"headless", "client sends a part of a stream without its header; it is dropped"},
	cutStream:        {"cut_streams", "client has too many streams open; the rest of the oldest is dropped"},
	overtakenStream:  {"overtaken_streams", "client begins a stream under the id of one that another client sends on the event; the rest of that one is dropped"},
	refusedEvent:     {"refused_events", "client asks for an event that it cannot have; it is refused"},
	refusedVariable:  {"refused_variables", "client sets a variable for which there is no room; it is refused"},
	refusedTimer:     {"refused_timers", "client asks of a timer what it cannot have; it is refused"},
	refusedMonitor:   {"refused_monitors", "client wants to monitor the hub, which too many do already; it is refused"},
	refusedControl:   {"refused_control", "client tries to control the session of another; it is refused"},
	truncatedNames:   {"truncated_names", "client asks for more event names than a frame can hold; the rest is left out"},
	unsupported:      {"unsupported", "client uses a command that this hub does not have; it is ignored"},
}

// problems counts those of one connection.
type problems [problemCount]atomic.Uint64

// attrs returns the counts for a log line.
func (p *problems) attrs() []any {
	var attrs []any
	for which := range p {
		if n := p[which].Load(); n > 0 {
			attrs = append(attrs, problemTexts[which].key, n)
		}
	}
	return attrs
}

// note counts n more of a problem, and logs the first.
func (c *conn) note(which problem, n uint64, attrs ...any) {
	switch which {
	case brokenInput, malformedPayload:
		c.hub.count.malformed.Add(n)
	case unknownEventID, headlessStream:
		c.hub.count.dropped.Add(n)
	}
	if c.problems[which].Add(n) == n {
		c.log.Warn(problemTexts[which].text, attrs...)
	}
}
