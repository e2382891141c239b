package hub_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// TestTranslationBeforeFirstEvent: clients fail on an event under an id that
// has not been translated to one of theirs.
func TestTranslationBeforeFirstEvent(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	a.publish(7, "fed.x")
	a.done()
	b.subscribe(3, "fed.x")
	b.expect("hub 0 = client 3", `publish 0 0 "fed.x"`)
	a.signal(7, "first")
	a.signal(7, "second")
	a.done()
	b.expect(`event 0 normal "first"`, `event 0 normal "second"`)
}

// TestTranslationBeforeFirstEventUnderTraffic subscribes while another client
// sends without a pause.
func TestTranslationBeforeFirstEventUnderTraffic(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	a.publish(0, "fed.x")
	a.done()
	stop := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		burst := slices.Concat(signal(0, "1"), signal(0, "2"), signal(0, "3"))
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := a.conn.Write(burst); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for range 200 {
		b.subscribe(0, "fed.x")
		b.unsubscribe("fed.x")
		told := b.told()
		if len(told) < 3 || told[0] != "hub 0 = client 0" || told[len(told)-1] != "hub 0 = client -1" {
			t.Fatalf("told %q", told)
		}
	}
	close(stop)
	sender.Wait()
}

// TestEcho: a client that subscribes to what it publishes hears itself.
func TestEcho(t *testing.T) {
	c := dialHub(t, start(t, hub.Options{}))
	c.subscribe(4, "fed.x")
	c.publish(4, "fed.x")
	c.signal(4, "hello")
	c.expect("hub 0 = client 4", `event 0 normal "hello"`)
}

// TestZeroIsAnID: 0 is an event id like any other, and not "none".
func TestZeroIsAnID(t *testing.T) {
	c := dialHub(t, start(t, hub.Options{}))
	c.subscribe(0, "zero")
	c.subscribe(1, "one")
	c.signal(0, "to zero")
	c.signal(1, "to one")
	c.expect("hub 0 = client 0", "hub 1 = client 1", `event 0 normal "to zero"`, `event 1 normal "to one"`)
}

func TestClientIDs(t *testing.T) {
	for _, id := range []int32{0, 1, 1023, 1024, 1 << 20, math.MaxInt32} {
		t.Run(fmt.Sprint(id), func(t *testing.T) {
			c := dialHub(t, start(t, hub.Options{}))
			c.subscribe(id, "fed.x")
			c.signal(id, "hello")
			c.unsubscribe("fed.x")
			c.signal(id, "dropped")
			c.expect(fmt.Sprintf("hub 0 = client %d", id), `event 0 normal "hello"`, "hub 0 = client -1")
		})
	}
	for _, id := range []int32{-1, math.MinInt32} {
		t.Run(fmt.Sprint(id), func(t *testing.T) {
			h := start(t, hub.Options{})
			c := dialHub(t, h)
			c.subscribe(id, "fed.x")
			c.publish(id, "fed.x")
			c.subscribe(id, "fed.*")
			c.signal(id, "hello")
			c.expect()
			if s := h.Stats(); s.Events != 0 || s.Dropped != 1 {
				t.Errorf("%d events, %d dropped", s.Events, s.Dropped)
			}
		})
	}
}

// TestEventsWithoutPublishing: an event under an id that was only subscribed is
// accepted; one under an id that means nothing is dropped and counted.
func TestEventsWithoutPublishing(t *testing.T) {
	h := start(t, hub.Options{})
	c := dialHub(t, h)
	c.subscribe(0, "fed.x")
	c.signal(0, "accepted")
	c.signal(1, "dropped")
	c.expect("hub 0 = client 0", `event 0 normal "accepted"`)
	if s := h.Stats(); s.Dropped != 1 {
		t.Errorf("%d dropped", s.Dropped)
	}
}

// TestKindsAndFlags: whatever is in an event but its id arrives as it was sent.
func TestKindsAndFlags(t *testing.T) {
	c := dialHub(t, start(t, hub.Options{}))
	c.subscribe(9, "fed.x")
	c.done()
	sent := []wire.Event{
		{ID: 9, Tick: -5, Kind: wire.ChangeObject, Flags: wire.Priority, Data: []byte("not even a changeObject")},
		{ID: 9, Kind: wire.NormalEvent, Flags: 0xFF00},
		{ID: 9, Tick: math.MaxInt32, Kind: 77, Flags: 0xABCD0000, Data: []byte{0}},
		{ID: 9, Kind: wire.Buffer, Data: slices.Concat(wire.EndMagic, wire.AppendFrame(nil, wire.CmdHeartBeat, nil))},
		{ID: 9, Kind: wire.TimerTick},
	}
	for _, e := range sent {
		c.send(wire.AppendEvent(nil, e))
		got, err := wire.ParseEvent(c.next().Payload)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != 0 || got.Tick != e.Tick || got.Kind != e.Kind || got.Flags != e.Flags || string(got.Data) != string(e.Data) {
			t.Errorf("sent %+v, got %+v", e, got)
		}
	}
}

// TestUnsubscribe: clients close on a translation taken back that they do not
// have, and lose an event whose translation is taken back though they want it.
func TestUnsubscribe(t *testing.T) {
	tests := []struct {
		name string
		do   func(c *client)
		want []string
	}{
		{"subscribed", func(c *client) { c.subscribe(5, "fed.x"); c.unsubscribe("fed.x") },
			[]string{"hub 0 = client 5", "hub 0 = client -1"}},
		{"never subscribed", func(c *client) { c.unsubscribe("fed.x") }, nil},
		{"only published", func(c *client) { c.publish(5, "fed.x"); c.unsubscribe("fed.x") }, nil},
		{"twice", func(c *client) { c.subscribe(5, "fed.x"); c.unsubscribe("fed.x"); c.unsubscribe("fed.x") },
			[]string{"hub 0 = client 5", "hub 0 = client -1"}},
		{"subscribed twice", func(c *client) { c.subscribe(5, "fed.x"); c.subscribe(5, "fed.x"); c.unsubscribe("fed.x") },
			[]string{"hub 0 = client 5", "hub 0 = client 5", "hub 0 = client -1"}},
		{"unpublished only", func(c *client) {
			c.subscribe(5, "fed.x")
			c.publish(5, "fed.x")
			c.unpublish("fed.x")
			c.signal(5, "still heard")
		}, []string{"hub 0 = client 5", `event 0 normal "still heard"`}},
		{"still published", func(c *client) {
			c.publish(5, "fed.x")
			c.subscribe(5, "fed.x")
			c.unsubscribe("fed.x")
			c.signal(5, "not heard")
		}, []string{"hub 0 = client 5", "hub 0 = client -1"}},
		{"a filter matches", func(c *client) { c.subscribe(1, "fed.*"); c.subscribe(5, "fed.x"); c.unsubscribe("fed.x") },
			// The event is then nobody's and goes.
			[]string{"hub 0 = client 1", "hub 0 = client 5", "hub 0 = client 1", "hub 0 = client -1"}},
		{"a filter matches, and it is published", func(c *client) {
			c.publish(5, "fed.x")
			c.subscribe(1, "fed.*")
			c.subscribe(5, "fed.x")
			c.unsubscribe("fed.x")
		}, []string{"hub 0 = client 1", "hub 0 = client 5", "hub 0 = client 1"}},
		{"only a filter matches", func(c *client) { c.publish(5, "fed.x"); c.subscribe(1, "fed.*"); c.unsubscribe("fed.x") },
			[]string{"hub 0 = client 1", "hub 0 = client 1"}},
		{"another spelling", func(c *client) { c.subscribe(5, "fed.x"); c.subscribe(6, "FED.X"); c.unsubscribe("FED.X") },
			[]string{"hub 0 = client 5", "hub 0 = client 6", "hub 0 = client 5"}},
		{"the older spelling", func(c *client) { c.subscribe(5, "fed.x"); c.subscribe(6, "FED.X"); c.unsubscribe("fed.x") },
			[]string{"hub 0 = client 5", "hub 0 = client 6", "hub 0 = client 6"}},
		{"spelled otherwise", func(c *client) { c.subscribe(5, "fed.x"); c.unsubscribe("FED.X") },
			[]string{"hub 0 = client 5", "hub 0 = client -1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dialHub(t, start(t, hub.Options{}))
			tt.do(c)
			c.expect(tt.want...)
		})
	}
}

// TestReusedClientID: clients of the Delphi and Java family give an id to
// another name once they have left the first, or when they change federation.
func TestReusedClientID(t *testing.T) {
	h := start(t, hub.Options{})
	c, other := dialHub(t, h), dialHub(t, h)
	other.publish(0, "a")
	other.publish(1, "b")
	other.done()

	c.subscribe(0, "a")
	c.publish(0, "a")
	c.unsubscribe("a")
	c.unpublish("a")
	c.subscribe(0, "b")
	c.signal(0, "mine") // on b now
	c.expect("hub 0 = client 0", `publish 0 0 "a"`, "hub 0 = client -1",
		"hub 1 = client 0", `publish 1 0 "b"`, `event 1 normal "mine"`)
	other.signal(0, "on a")
	other.signal(1, "on b")
	other.done()
	c.expect(`event 1 normal "on b"`)
}

// TestReboundClientID: an id that is given to another name without leaving the
// first must not let events of the first be taken for the second's.
func TestReboundClientID(t *testing.T) {
	tests := []struct {
		name string
		do   func(c *client)
		want []string
	}{
		{"by subscribing", func(c *client) { c.subscribe(0, "a"); c.subscribe(0, "b") },
			[]string{"hub 0 = client 0", `publish 0 0 "a"`, "hub 0 = client -1", "hub 1 = client 0", `publish 1 0 "b"`}},
		{"by publishing", func(c *client) { c.subscribe(0, "a"); c.publish(0, "b") },
			[]string{"hub 0 = client 0", `publish 0 0 "a"`, "hub 0 = client -1"}},
		{"to a filter", func(c *client) { c.subscribe(0, "a"); c.subscribe(0, "b*") },
			[]string{"hub 0 = client 0", `publish 0 0 "a"`, "hub 0 = client -1", "hub 1 = client 0", `publish 1 0 "b"`}},
		{"from a filter", func(c *client) { c.subscribe(0, "a*"); c.subscribe(0, "b") },
			[]string{"hub 0 = client 0", `publish 0 0 "a"`, "hub 0 = client -1", "hub 1 = client 0", `publish 1 0 "b"`}},
		{"from filter to filter", func(c *client) { c.subscribe(0, "a*"); c.subscribe(0, "b*") },
			[]string{"hub 0 = client 0", `publish 0 0 "a"`, "hub 0 = client -1", "hub 1 = client 0", `publish 1 0 "b"`}},
		{"to another spelling", func(c *client) { c.subscribe(0, "a"); c.subscribe(0, "A") },
			[]string{"hub 0 = client 0", `publish 0 0 "a"`, "hub 0 = client 0", `publish 0 0 "A"`}},
		{"to another spelling, published", func(c *client) {
			c.publish(0, "a")
			c.publish(0, "A")
			c.unpublish("A")
			c.subscribe(0, "a")
		}, []string{"hub 0 = client 0", `publish 0 0 "a"`}},
		{"a name that gets another id", func(c *client) { c.subscribe(0, "a"); c.subscribe(1, "a"); c.signal(0, "lost"); c.signal(1, "x") },
			[]string{"hub 0 = client 0", `publish 0 0 "a"`, "hub 0 = client 1", `event 0 normal "x"`}},
		{"ids for each direction", func(c *client) { c.subscribe(0, "a"); c.publish(1, "a"); c.signal(0, "x"); c.signal(1, "y") },
			[]string{"hub 0 = client 0", `publish 0 0 "a"`, `event 0 normal "x"`, `event 0 normal "y"`}},
		{"a filter that gets another id", func(c *client) { c.subscribe(0, "a*"); c.subscribe(1, "a*") },
			[]string{"hub 0 = client 0", `publish 0 0 "a"`, "hub 0 = client -1", "hub 0 = client 1", `publish 0 0 "a"`}},
		{"a filter again", func(c *client) { c.subscribe(0, "a*"); c.subscribe(0, "a*") },
			[]string{"hub 0 = client 0", `publish 0 0 "a"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, hub.Options{})
			other := dialHub(t, h)
			other.publish(0, "a")
			other.publish(1, "b")
			other.done()
			c := dialHub(t, h)
			tt.do(c)
			c.expect(tt.want...)
		})
	}
}

// TestReboundPublicationEnds: what an id published before it was given to
// another name is not published any more.
func TestReboundPublicationEnds(t *testing.T) {
	h := start(t, hub.Options{})
	c, other := dialHub(t, h), dialHub(t, h)
	other.subscribe(0, "a")
	other.done()
	c.publish(0, "a")
	c.publish(0, "b")
	c.signal(0, "on b")
	c.expect(`subscribe 0 0 "a"`)
	other.expect(`publish 0 0 "a"`, `unpublish "a"`)
}

// TestHubIDs: three clients use hub event ids as array indexes, so they are
// dense, and the lowest free one is taken. One is free when no connection has
// anything to do with the event any more.
func TestHubIDs(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	for i := range int32(5) {
		a.subscribe(100+i, fmt.Sprint("e", i))
	}
	a.expect("hub 0 = client 100", "hub 1 = client 101", "hub 2 = client 102", "hub 3 = client 103", "hub 4 = client 104")
	b.publish(9, "e3")
	b.expect(`subscribe 3 0 "e3"`)
	for _, name := range []string{"e3", "e2", "e1"} {
		a.unsubscribe(name)
	}
	a.done()
	b.subscribe(0, "f0") // 3 is still b's
	b.subscribe(1, "f1")
	b.subscribe(2, "f2")
	b.expect(`unsubscribe "e3"`, "hub 1 = client 0", "hub 2 = client 1", "hub 5 = client 2")
	b.unpublish("e3")
	b.subscribe(3, "f3")
	b.expect("hub 3 = client 3")
	a.close(h)
	b.close(h)
	if n := h.Stats().Events; n != 0 {
		t.Errorf("%d events are left over", n)
	}
}

// TestHubIDReusedAfterItWasTakenBack: a client whose filter had a translation
// of a hub id loses it before the id means another event.
func TestHubIDReusedAfterItWasTakenBack(t *testing.T) {
	h := start(t, hub.Options{})
	tap, c := dialHub(t, h), dialHub(t, h)
	tap.subscribe(0, "a.*")
	tap.done()
	c.publish(0, "a.x")
	c.signal(0, "first")
	c.unpublish("a.x")
	c.publish(0, "b.x") // takes hub id 0 over
	c.signal(0, "second")
	c.done()
	tap.expect("hub 0 = client 0", `publish 0 0 "a.x"`, `event 0 normal "first"`, `unpublish "a.x"`, "hub 0 = client -1")
}

// TestNames: the Delphi clients compare names without regard to case, the
// others exactly; so the hub does not distinguish, and tells each client the
// names that it knows.
func TestNames(t *testing.T) {
	tests := []struct {
		published, subscribed string
		same                  bool
	}{
		{"TNOdemo.Event", "tnodemo.EVENT", true},
		{"höhe.ÄÖÜ", "HÖHE.äöü", true},
		{"Σίσυφος", "ΣΊΣΥΦΟΣ", true},
		{"a b", "A B", true},
		{"fed.x", "fed.y", false},
		{"fed.x", "fed.x ", false},
		// Latin-1 bytes of older Windows clients are kept apart.
		{"caf\xE9", "caf\xE9", true},
		{"caf\xE9", "CAF\xE9", true},
		{"caf\xE9", "caf\xE8", false},
		{"\xFF\xFE", "\xFF\xFD", false},
		{"a\uFFFD", "a\xFF", false},
		{"", "", true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%q and %q", tt.published, tt.subscribed), func(t *testing.T) {
			h := start(t, hub.Options{})
			a, b := dialHub(t, h), dialHub(t, h)
			a.publish(0, tt.published)
			a.done()
			b.subscribe(0, tt.subscribed)
			if !tt.same {
				b.expect("hub 1 = client 0")
				return
			}
			b.expect("hub 0 = client 0", fmt.Sprintf("publish 0 0 %q", tt.subscribed))
			a.expect(fmt.Sprintf("subscribe 0 0 %q", tt.published))
			b.send(wire.AppendRequestEventNames(nil, wire.EventNamesRequest{Filter: "*"}))
			names, err := wire.ParseEventNames(b.next().Payload)
			if err != nil || len(names) != 1 || names[0].Name != tt.published {
				t.Errorf("event names %q, %v; want the first spelling", names, err)
			}
		})
	}
}

// TestOrder: what one client sends on one event arrives in the order sent, at
// every subscriber, however much others send.
func TestOrder(t *testing.T) {
	h := start(t, hub.Options{QueueBytes: 64 << 10})
	l := serve(t, h)
	const senders, receivers, each = 4, 3, 5000
	var all sync.WaitGroup
	for range receivers {
		c := dialTCP(t, l)
		c.subscribe(0, "fed.x")
		c.done()
		all.Go(func() {
			next := make([]int, senders)
			for range senders * each {
				f, err := c.r.Next()
				if err == nil && f.Command == wire.CmdPublish {
					f, err = c.r.Next()
				}
				if err != nil {
					t.Error(err)
					return
				}
				e, err := wire.ParseEvent(f.Payload)
				if err != nil {
					t.Error(err)
					return
				}
				var sender, n int
				if _, err := fmt.Sscanf(string(e.Data), "%d %d", &sender, &n); err != nil {
					t.Errorf("%q: %v", e.Data, err)
					return
				}
				if n != next[sender] {
					t.Errorf("sender %d: got %d, want %d", sender, n, next[sender])
					return
				}
				next[sender]++
			}
		})
	}
	for sender := range senders {
		c := dialTCP(t, l)
		c.publish(0, "fed.x")
		c.publish(1, "fed.other")
		all.Go(func() {
			var batch []byte
			for n := range each {
				batch = append(batch, signal(1, "nobody subscribes to this")...)
				batch = append(batch, signal(0, fmt.Sprintf("%d %d %s", sender, n, strings.Repeat("x", n%300)))...)
				if n%50 == 49 {
					if _, err := c.conn.Write(batch); err != nil {
						t.Error(err)
						return
					}
					batch = batch[:0]
				}
			}
		})
	}
	all.Wait()
}

// TestManySubscribers: one event reaches all of them once.
func TestManySubscribers(t *testing.T) {
	h := start(t, hub.Options{})
	sender := dialHub(t, h)
	sender.publish(0, "fed.x")
	sender.done()
	var clients []*client
	for i := range int32(50) {
		c := dialHub(t, h)
		c.subscribe(i, "fed.x")
		c.done()
		clients = append(clients, c)
	}
	sender.signal(0, "hello")
	sender.done()
	for _, c := range clients {
		c.expect(`event 0 normal "hello"`)
	}
}

// TestLargestPayload: 10 MiB arrive; one byte more is no frame.
func TestLargestPayload(t *testing.T) {
	h := start(t, hub.Options{})
	c := dialHub(t, h)
	c.subscribe(0, "fed.x")
	c.done()
	data := strings.Repeat("0123456789abcdef", wire.MaxEventData/16)
	data += strings.Repeat("!", wire.MaxEventData-len(data))
	c.signal(0, data)
	e, err := wire.ParseEvent(c.next().Payload)
	if err != nil || string(e.Data) != data {
		t.Errorf("%d of %d bytes arrived, %v", len(e.Data), len(data), err)
	}
	c.signal(0, data+"!")
	c.signal(0, "after")
	c.expect(`event 0 normal "after"`)
	if s := h.Stats(); s.Malformed == 0 {
		t.Error("a frame above 10 MiB was not counted")
	}
}
