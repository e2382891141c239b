package hub_test

import (
	"testing"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

const (
	head = wire.StreamHeader
	body = wire.StreamBody
	tail = wire.StreamTail
)

// TestStreamOnlyFromItsHeader: clients fail on a body or tail whose header
// they did not see. So who subscribes in the middle gets nothing of the
// stream, but all of the next.
func TestStreamOnlyFromItsHeader(t *testing.T) {
	h := start(t, hub.Options{})
	sender, early, late := dialHub(t, h), dialHub(t, h), dialHub(t, h)
	sender.publish(0, "fed.x")
	sender.done()
	early.subscribe(0, "fed.x")
	early.done()
	sender.stream(head, 0, 77, "a.bin")
	sender.stream(body, 0, 77, "one")
	sender.done()
	late.subscribe(0, "fed.x")
	late.done()
	sender.stream(body, 0, 77, "two")
	sender.signal(0, "signals are for all")
	sender.stream(tail, 0, 77, "three")
	sender.stream(head, 0, 77, "b.bin")
	sender.stream(tail, 0, 77, "")
	sender.done()
	early.expect(header(0, 77, "a.bin"), `event 0 stream_body 77 "one"`, `event 0 stream_body 77 "two"`,
		`event 0 normal "signals are for all"`, `event 0 stream_tail 77 "three"`,
		header(0, 77, "b.bin"), `event 0 stream_tail 77 ""`)
	late.expect(`event 0 normal "signals are for all"`, header(0, 77, "b.bin"), `event 0 stream_tail 77 ""`)
}

// TestStreamEndsWithItsSubscription: the header must have come in the same
// subscription, under the same id of the client's.
func TestStreamEndsWithItsSubscription(t *testing.T) {
	tests := map[string]struct {
		before, during func(c *client)
		rest           bool // arrives
	}{
		"unsubscribed and back": {
			before: func(c *client) { c.subscribe(0, "fed.x") },
			during: func(c *client) { c.unsubscribe("fed.x"); c.subscribe(0, "fed.x") },
		},
		"from a filter to an exact subscription": {
			before: func(c *client) { c.subscribe(0, "fed.*") },
			during: func(c *client) { c.subscribe(1, "fed.x") },
		},
		"from an exact subscription to a filter": {
			before: func(c *client) { c.subscribe(0, "fed.x"); c.subscribe(1, "fed.*") },
			during: func(c *client) { c.unsubscribe("fed.x") },
		},
		"with another id": {
			before: func(c *client) { c.subscribe(0, "fed.x") },
			during: func(c *client) { c.subscribe(1, "fed.x") },
		},
		"subscribed again": {
			before: func(c *client) { c.subscribe(0, "fed.x") },
			during: func(c *client) { c.subscribe(0, "fed.x") },
			rest:   true,
		},
		"a filter beside it": {
			before: func(c *client) { c.subscribe(0, "fed.x") },
			during: func(c *client) { c.subscribe(1, "fed.*") },
			rest:   true,
		},
		"nothing": {
			before: func(c *client) { c.subscribe(0, "fed.x") },
			during: func(c *client) {},
			rest:   true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := start(t, hub.Options{})
			sender, c := dialHub(t, h), dialHub(t, h)
			sender.publish(0, "fed.x")
			sender.done()
			tt.before(c)
			c.done()
			sender.stream(head, 0, 77, "a.bin")
			sender.done()
			c.expect(header(0, 77, "a.bin"))
			tt.during(c)
			c.done()
			sender.stream(body, 0, 77, "one")
			sender.stream(tail, 0, 77, "two")
			sender.done()
			if tt.rest {
				c.expect(`event 0 stream_body 77 "one"`, `event 0 stream_tail 77 "two"`)
			} else {
				c.expect()
			}
		})
	}
}

// TestStreamsOfSeveralSenders: one id on two events, or two ids on one, are
// different streams, each with its own listeners.
func TestStreamsOfSeveralSenders(t *testing.T) {
	h := start(t, hub.Options{})
	a, b, early, late := dialHub(t, h), dialHub(t, h), dialHub(t, h), dialHub(t, h)
	for _, c := range []*client{a, b} {
		c.publish(0, "fed.x")
		c.publish(1, "fed.y")
		c.done()
	}
	early.subscribe(0, "fed.x")
	early.subscribe(1, "fed.y")
	early.done()
	a.stream(head, 0, 77, "a")
	a.done()
	late.subscribe(0, "fed.x")
	late.done()
	b.stream(head, 0, 78, "b")
	b.stream(body, 0, 78, "of b")
	b.stream(head, 1, 77, "on y")
	b.stream(tail, 1, 78, "on y, without a header")
	b.done()
	a.stream(body, 0, 77, "of a")
	a.stream(tail, 0, 77, "")
	a.done()
	b.stream(tail, 0, 78, "end of b")
	b.stream(tail, 1, 77, "end on y")
	b.done()
	early.expect(header(0, 77, "a"), header(0, 78, "b"), `event 0 stream_body 78 "of b"`, header(1, 77, "on y"),
		`event 0 stream_body 77 "of a"`, `event 0 stream_tail 77 ""`,
		`event 0 stream_tail 78 "end of b"`, `event 1 stream_tail 77 "end on y"`)
	late.expect(header(0, 78, "b"), `event 0 stream_body 78 "of b"`, `event 0 stream_tail 78 "end of b"`)
	if n := h.Stats().Dropped; n != 1 {
		t.Errorf("%d dropped", n)
	}
}

// TestHeaderOfOpenStream takes the place of the one before: its listeners get
// the rest.
func TestHeaderOfOpenStream(t *testing.T) {
	h := start(t, hub.Options{})
	sender, late := dialHub(t, h), dialHub(t, h)
	sender.publish(0, "fed.x")
	sender.stream(head, 0, 77, "a")
	sender.done()
	late.subscribe(0, "fed.x")
	late.done()
	sender.stream(head, 0, 77, "b")
	sender.stream(tail, 0, 77, "rest")
	sender.stream(tail, 0, 77, "headless now")
	sender.done()
	late.expect(header(0, 77, "b"), `event 0 stream_tail 77 "rest"`)
	if n := h.Stats().Dropped; n != 1 {
		t.Errorf("%d dropped", n)
	}
}

// TestStreamsWithoutHeader: parts of streams that never began, or that ended,
// are dropped and counted, and logged once.
func TestStreamsWithoutHeader(t *testing.T) {
	var log logBook
	h := start(t, hub.Options{Log: log.logger()})
	c := dialHub(t, h)
	c.subscribe(0, "fed.x")
	c.stream(body, 0, 1, "x")
	c.stream(tail, 0, 1, "x")
	c.stream(head, 0, 2, "begins")
	c.unsubscribe("fed.x")
	c.subscribe(0, "fed.x") // the event was nobody's in between
	c.stream(body, 0, 2, "x")
	c.expect("hub 0 = client 0", header(0, 2, "begins"), "hub 0 = client -1", "hub 0 = client 0")
	if n := h.Stats().Dropped; n != 3 {
		t.Errorf("%d dropped", n)
	}
	c.close(h)
	if lines := log.lines("without its header"); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
	if lines := log.lines("client disconnected", "headless=3"); len(lines) != 1 {
		t.Errorf("logged %q", log.lines("disconnected"))
	}
}

// TestMaxStreams: a client that never ends its streams loses the oldest, and
// can still begin new ones.
func TestMaxStreams(t *testing.T) {
	h := start(t, hub.Options{MaxStreams: 3})
	c := dialHub(t, h)
	c.subscribe(0, "fed.x")
	c.subscribe(1, "fed.y")
	c.done()
	c.stream(head, 0, 1, "1")
	c.stream(head, 1, 2, "2")
	c.stream(tail, 1, 2, "ends")
	c.stream(head, 1, 3, "3")
	c.stream(head, 0, 4, "4")
	c.stream(head, 0, 5, "5") // 1 is the oldest
	c.stream(body, 0, 1, "lost")
	c.stream(body, 1, 3, "goes on")
	c.stream(tail, 0, 5, "whole")
	c.expect(header(0, 1, "1"), header(1, 2, "2"), `event 1 stream_tail 2 "ends"`, header(1, 3, "3"), header(0, 4, "4"), header(0, 5, "5"),
		`event 1 stream_body 3 "goes on"`, `event 0 stream_tail 5 "whole"`)
}
