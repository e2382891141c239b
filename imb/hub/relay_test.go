package hub_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// Id 9 is each client's own for the relay event.
const (
	relayID   = 9
	relayName = wire.RelayPrefix + "1234"
)

// relays are a connection that relays to fed.x, one of the same program that
// listens there, and one of another.
func relays(t *testing.T, h *hub.Hub) (out, in, other *client) {
	out, in, other = dialHub(t, h), dialHub(t, h), dialHub(t, h)
	out.publish(relayID, relayName)
	out.publish(0, "fed.x")
	out.done()
	in.subscribe(relayID, relayName)
	for _, c := range []*client{in, other} {
		c.subscribe(0, "fed.x")
		c.done()
	}
	out.done()
	return out, in, other
}

// TestRelayGroup: a program gets nothing back of what it relays, neither signals
// nor streams, by name nor by prefix. Others get everything, and it gets what
// others send, and its own listeners send.
func TestRelayGroup(t *testing.T) {
	for name, listen := range map[string]func(in *client){
		"by name":   func(*client) {},
		"by prefix": func(in *client) { in.unsubscribe("fed.x"); in.subscribe(0, "fed.*") },
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, hub.Options{})
			out, in, other := relays(t, h)
			listen(in)
			in.done()
			out.signal(0, "relayed")
			out.stream(head, 0, 77, "relayed")
			out.stream(body, 0, 77, "relayed")
			out.signal(0, "between")
			out.stream(tail, 0, 77, "relayed")
			out.send(wire.AppendEvent(nil, wire.Event{Kind: wire.LogWriteLn, Data: wire.AppendLogLine(nil, wire.LogLine{Line: "relayed"})}))
			out.send(wire.AppendEvent(nil, wire.Event{Kind: wire.ChangeObject}))
			out.done()
			in.expect()
			if got := other.told(); len(got) != 7 || got[0] != `event 1 normal "relayed"` ||
				got[1] != header(1, 77, "relayed") || got[2] != `event 1 stream_body 77 "relayed"` ||
				got[3] != `event 1 normal "between"` || got[4] != `event 1 stream_tail 77 "relayed"` {
				t.Errorf("another one got %q", got)
			}
			other.signal(0, "of another")
			other.done()
			in.publish(1, "fed.x")
			in.signal(1, "its own")
			in.expect(`event 1 normal "of another"`, `subscribe 1 0 "fed.x"`, `event 1 normal "its own"`)
			in.send(wire.AppendFrame(nil, wire.CmdAllVariables, nil))
			in.done()
			out.setVariable("v", "for everyone")
			out.done()
			in.expect(`"v" = "for everyone"`)
		})
	}
}

// TestRelayEventItself: whoever publishes and subscribes it hears from others
// but not itself, alone or with others. So a program finds out what the hub does.
func TestRelayEventItself(t *testing.T) {
	h := start(t, hub.Options{})
	a, b, c := dialHub(t, h), dialHub(t, h), dialHub(t, h)
	a.subscribe(relayID, relayName)
	a.publish(relayID, relayName)
	a.signal(relayID, "alone")
	a.expect("hub 0 = client 9")
	b.subscribe(1, strings.ToUpper(relayName))
	b.publish(1, strings.ToUpper(relayName))
	b.done()
	a.signal(relayID, "with others")
	a.stream(head, relayID, 77, "with others")
	a.expect()
	b.expect()
	c.publish(0, relayName+"5") // of another group
	c.subscribe(1, relayName)
	c.signal(1, "does not publish it")
	c.expect("hub 0 = client 1", `event 0 normal "does not publish it"`)
	a.expect(`event 0 normal "does not publish it"`)
	a.unpublish(relayName)
	a.signal(relayID, "nor does a now")
	a.expect(`event 0 normal "nor does a now"`)
}

// TestPrivateEvents: nobody sees one but who subscribes it by its name, and
// nobody is told who else has to do with it.
func TestPrivateEvents(t *testing.T) {
	for _, name := range []string{wire.FlushPrefix + "1", wire.RelayPrefix + "1", "IMBRouter.Relay.1"} {
		t.Run(name, func(t *testing.T) {
			h := start(t, hub.Options{})
			a, b, tap := dialHub(t, h), dialHub(t, h), dialHub(t, h)
			tap.subscribe(0, "*")
			tap.subscribe(1, "imbrouter.*")
			tap.done()
			a.publish(0, name)
			a.subscribe(1, "*")
			a.expect()
			b.subscribe(0, name)
			b.expect("hub 0 = client 0")
			a.expect()
			b.publish(0, name)
			b.expect()
			tap.subscribe(2, "Imbrouter.*") // when it is there already
			for _, filter := range []string{"*", name} {
				tap.send(wire.AppendRequestEventNames(nil, wire.EventNamesRequest{Filter: filter, Bits: 3}))
				if names, err := wire.ParseEventNames(tap.next().Payload); err != nil || len(names) != 0 {
					t.Errorf("%q: %v, %v", filter, names, err)
				}
			}
			a.subscribe(0, name)
			a.unsubscribe(name) // and its own prefix subscription does not take over
			a.expect("hub 0 = client 0", "hub 0 = client -1")
			b.signal(0, "x")
			b.close(h)
			a.expect()
			tap.expect()
		})
	}
}

// TestRelayGroupChanges: whoever joins gets nothing of what is sent afterwards,
// whoever leaves, in whatever way, gets everything.
func TestRelayGroupChanges(t *testing.T) {
	tests := map[string]struct {
		do    func(out, in *client)
		heard bool
	}{
		"nothing":                  {func(out, in *client) {}, false},
		"listener leaves":          {func(out, in *client) { in.unsubscribe(relayName) }, true},
		"listener leaves and back": {func(out, in *client) { in.unsubscribe(relayName); in.subscribe(relayID, relayName) }, false},
		"listener reuses the id":   {func(out, in *client) { in.subscribe(relayID, "other") }, true},
		"listener's other spelling": {func(out, in *client) {
			in.subscribe(8, strings.ToUpper(relayName))
			in.unsubscribe(relayName)
		}, false},
		"sender leaves":          {func(out, in *client) { out.unpublish(relayName) }, true},
		"sender leaves and back": {func(out, in *client) { out.unpublish(relayName); out.publish(relayID, relayName) }, false},
		"sender publishes again": {func(out, in *client) { out.publish(relayID, relayName); out.publish(8, relayName) }, false},
		"sender reuses the id":   {func(out, in *client) { out.publish(relayID, "other") }, true},
		"sender only subscribes": {func(out, in *client) { out.unpublish(relayName); out.subscribe(relayID, relayName) }, true},
		"sender joins another":   {func(out, in *client) { out.publish(8, relayName+"5") }, false},
		"sender changes to it":   {func(out, in *client) { out.publish(8, relayName+"5"); out.unpublish(relayName) }, true},
		"both have several": {func(out, in *client) {
			out.publish(8, relayName+"5")
			in.subscribe(7, relayName+"6")
			in.subscribe(8, relayName+"5")
			in.unsubscribe(relayName)
		}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, in, other := relays(t, start(t, hub.Options{}))
			out.signal(0, "before")
			out.done()
			other.done()
			in.expect()
			tt.do(out, in)
			out.done()
			in.done()
			out.signal(0, "after")
			out.done()
			other.expect(`event 1 normal "after"`)
			if tt.heard {
				in.expect(`event 1 normal "after"`)
			} else {
				in.expect()
			}
		})
	}
}

// TestRelayGroupAfterDisconnect: a connection that goes leaves its groups.
func TestRelayGroupAfterDisconnect(t *testing.T) {
	h := start(t, hub.Options{})
	out, in, other := relays(t, h)
	in.close(h)
	in = dialHub(t, h)
	in.subscribe(0, "fed.x")
	in.done()
	out.signal(0, "to all")
	out.done()
	in.expect(`event 1 normal "to all"`)
	out.close(h)
	if n := h.Stats().Events; n != 1 {
		t.Errorf("%d events are left, want fed.x", n)
	}
	other.publish(1, relayName) // the name is anybody's
	in.subscribe(1, relayName)
	in.done()
	other.publish(0, "fed.x")
	other.signal(0, "not to its group")
	other.done()
	in.expect(`publish 1 0 "fed.x"`)
}

// TestRelayGroupOfStream: what was so at a stream's header holds for all of it,
// because clients fail on a part without the header, and lose a stream without
// the rest.
func TestRelayGroupOfStream(t *testing.T) {
	for name, leave := range map[string]func(out, in *client){
		"listener": func(out, in *client) { in.unsubscribe(relayName) },
		"sender":   func(out, in *client) { out.unpublish(relayName) },
	} {
		t.Run(name+" leaves", func(t *testing.T) {
			out, in, _ := relays(t, start(t, hub.Options{}))
			out.stream(head, 0, 77, "a")
			out.done()
			leave(out, in)
			out.done()
			in.done()
			out.stream(body, 0, 77, "of a")
			out.signal(0, "signals are for it")
			out.stream(tail, 0, 77, "end of a")
			out.stream(head, 0, 77, "b")
			out.stream(tail, 0, 77, "end of b")
			out.done()
			in.expect(`event 1 normal "signals are for it"`, header(1, 77, "b"), `event 1 stream_tail 77 "end of b"`)
		})
	}
	for name, change := range map[string]struct{ leave, join func(out, in *client) }{
		"listener": {
			func(out, in *client) { in.unsubscribe(relayName) },
			func(out, in *client) { in.subscribe(relayID, relayName) },
		},
		"sender": {
			func(out, in *client) { out.unpublish(relayName) },
			func(out, in *client) { out.publish(relayID, relayName) },
		},
	} {
		t.Run(name+" joins", func(t *testing.T) {
			out, in, _ := relays(t, start(t, hub.Options{}))
			change.leave(out, in)
			out.done()
			in.done()
			out.stream(head, 0, 77, "a")
			out.done()
			in.told()
			change.join(out, in)
			out.done()
			in.done()
			out.stream(body, 0, 77, "of a")
			out.signal(0, "signals are not for it")
			out.stream(tail, 0, 77, "end of a")
			out.stream(head, 0, 77, "b")
			out.stream(tail, 0, 77, "end of b")
			out.done()
			if got := in.told(); len(got) < 2 || !slices.Equal(got[len(got)-2:], []string{`event 1 stream_body 77 "of a"`, `event 1 stream_tail 77 "end of a"`}) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestRelayDoesNotWaitForItsGroup: a listener of the same program may read
// nothing until the sender has got rid of what it has. Other senders wait.
func TestRelayDoesNotWaitForItsGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{QueueBytes: queueBytes, SlowConsumerTimeout: time.Hour})
		out, in, other := relays(t, h)
		in.subscribe(1, "fed.*")
		in.done()
		filler := dialHub(t, h)
		filler.publish(0, "fed.filler")
		filler.done()
		filled := make(chan struct{})
		go func() {
			defer close(filled)
			filler.conn.SetDeadline(time.Time{})
			for range 200 {
				filler.conn.Write(signal(0, strings.Repeat("x", 1000)))
			}
		}()
		synctest.Wait() // the queue of in is full

		received := drain(other, noPause)
		out.conn.SetDeadline(time.Time{})
		began := time.Now()
		const streams = 100
		for n := range int32(streams) {
			out.signal(0, strings.Repeat("x", 1000))
			out.stream(head, 0, n, "stream")
			out.stream(body, 0, n, strings.Repeat("x", 1000))
			out.stream(tail, 0, n, "")
		}
		out.publish(1, "fed.y") // which in is told of
		out.signal(1, "x")
		out.done()
		if held := time.Since(began); held > 0 {
			t.Errorf("held up for %v", held)
		}
		select {
		case <-filled:
			t.Error("nobody waits for the listener")
		default:
		}
		drained := drain(in, noPause)
		<-filled
		synctest.Wait() // the hub has passed on the last one as well
		h.Close()
		if n, err := received(); n != 4*streams {
			t.Errorf("another one got %d events, %v; want %d", n, err, 4*streams)
		}
		if n, err := drained(); n != 200 {
			t.Errorf("the listener got %d events, %v; want those of the filler", n, err)
		}
	})
}

// TestFlushesObeyNoGroup: a client may flush while it publishes and subscribes
// a relay event.
func TestFlushesObeyNoGroup(t *testing.T) {
	out := dialHub(t, start(t, hub.Options{}))
	out.publish(relayID, relayName)
	out.subscribe(relayID, relayName)
	out.publish(1, wire.FlushPrefix+"1")
	out.subscribe(1, wire.FlushPrefix+"1")
	out.done()
	out.told()
	out.signal(1, "token")
	if got := out.told(); len(got) != 1 || !strings.HasSuffix(got[0], `normal "token"`) {
		t.Errorf("the token comes back as %q", got)
	}
}

// TestRelayGroupJoinedWhileTheSenderWaits: who joins while a sender waits for
// somebody else gets nothing of what that sender has still to hand out.
func TestRelayGroupJoinedWhileTheSenderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{QueueBytes: queueBytes, SlowConsumerTimeout: time.Hour})
		out, slow, in := dialHub(t, h), dialHub(t, h), dialHub(t, h)
		out.publish(relayID, relayName)
		out.publish(0, "fed.x")
		out.publish(1, "fed.y")
		out.done()
		slow.subscribe(0, "fed.x")
		slow.done()
		out.told()
		big := strings.Repeat("x", queueBytes)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			out.conn.SetDeadline(time.Time{})
			out.conn.Write(slices.Concat(signal(0, big), signal(1, "relayed"), signal(0, big), signal(1, "relayed"), signal(0, big)))
		}()
		synctest.Wait() // it waits for slow
		in.subscribe(relayID, relayName)
		in.subscribe(2, "fed.y")
		in.done()
		in.told()
		received := drain(slow, noPause)
		<-sent
		out.done()
		in.expect()
		h.Close()
		if n, err := received(); n != 3 {
			t.Errorf("the slow one got %d events, %v", n, err)
		}
	})
}

// TestRelayEventsOfOneConnectionAreBounded: they are looked at with each frame.
func TestRelayEventsOfOneConnectionAreBounded(t *testing.T) {
	h := start(t, hub.Options{})
	out := dialHub(t, h)
	for i := range int32(100) {
		out.publish(i, relayName+strings.Repeat("a", int(i)))
	}
	out.done()
	if n := h.Stats().Events; n != 16 {
		t.Errorf("it publishes %d relay events", n)
	}
}
