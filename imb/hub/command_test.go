package hub_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// TestUniqueClientIDs: each connection has its own, told at once and on
// request; clients print it as hexadecimal where eight digits are expected.
func TestUniqueClientIDs(t *testing.T) {
	h := start(t, hub.Options{})
	ids, handles := map[uint32]bool{}, map[uint32]bool{}
	for range 20 {
		c := dialHub(t, h)
		c.send(wire.AppendUniqueClientID(nil, wire.UniqueClientID{}))
		again, err := wire.ParseUniqueClientID(c.next().Payload)
		if err != nil || again != c.UniqueClientID {
			t.Errorf("asked: %+v, %v; greeted with %+v", again, err, c.UniqueClientID)
		}
		if text := fmt.Sprintf("%X", c.ID); len(text) != 8 || ids[c.ID] || handles[c.Handle] {
			t.Errorf("id %s, handle %d", text, c.Handle)
		}
		ids[c.ID], handles[c.Handle] = true, true
	}
}

// TestIgnoredCommands: what the hub has no use for, and what it does not know,
// disturbs nothing.
func TestIgnoredCommands(t *testing.T) {
	h := start(t, hub.Options{})
	c := dialHub(t, h)
	c.send(slices.Concat(
		wire.AppendFrame(nil, wire.CmdHeartBeat, nil), []byte{0, 0, 0, 0}, // as the TypeScript client does
		wire.AppendFrame(nil, wire.CmdFlushQueue, nil),
		wire.AppendTimeStamp(nil, wire.TimeStamp{Time: 1}),
		wire.AppendInt32Frame(nil, wire.CmdSetState, 2),
		wire.AppendInt32Frame(nil, wire.CmdSetThrottle, 100),
		wire.AppendInt32Frame(nil, wire.CmdSetNoDelay, 0),
		wire.AppendText(nil, wire.CmdSetEventNameFilter, "fed.*"),
		wire.AppendText(nil, wire.CmdConnectToGateway, "imb://elsewhere|C"),
		wire.AppendFrame(nil, wire.CmdResetMonitor, nil),
		wire.AppendCreateTimer(nil, wire.CreateTimer{Name: "t"}),
		wire.AppendEventNames(nil, nil),
		wire.AppendSetEventIDTranslation(nil, wire.Translation{}),
		wire.AppendFrame(nil, -999, []byte("who knows")),
		wire.AppendFrame(nil, 999, nil),
	))
	c.subscribe(0, "fed.x")
	c.signal(0, "x")
	c.expect("hub 0 = client 0", `event 0 normal "x"`)
	if s := h.Stats(); s.Malformed != 0 {
		t.Errorf("%d malformed", s.Malformed)
	}
}

// TestLogLine: the hub fills in who sends a line, unless it says so.
func TestLogLine(t *testing.T) {
	c := dialHub(t, start(t, hub.Options{}))
	c.subscribe(0, "log")
	c.done()
	for _, sent := range []wire.LogLine{{Line: "a", Level: 1}, {ClientID: 42, Line: "b", Level: 2}} {
		c.send(wire.AppendEvent(nil, wire.Event{Kind: wire.LogWriteLn, Data: wire.AppendLogLine(nil, sent)}))
		e, err := wire.ParseEvent(c.next().Payload)
		if err != nil {
			t.Fatal(err)
		}
		want := sent
		if want.ClientID == 0 {
			want.ClientID = c.ID
		}
		if got, err := wire.ParseLogLine(e.Data); err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	c.send(wire.AppendEvent(nil, wire.Event{Kind: wire.LogWriteLn, Data: []byte{0, 0, 0}}))
	c.expect(`event 0 log "\x00\x00\x00"`)
}

// TestVariables: who asks for all gets them, and then every change, also its own.
func TestVariables(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	a.setVariable("two", "2")
	a.setVariable("one", "1")
	a.setVariable("gone", "x")
	a.setVariable("gone", "")
	a.expect()
	b.send(wire.AppendFrame(nil, wire.CmdAllVariables, nil))
	b.expect(`"one" = "1"`, `"two" = "2"`)
	a.setVariable("one", "uno")
	a.setVariable("One", "names are exact")
	a.setVariable("two", "")
	a.expect()
	b.setVariable("three", "\x00\xFF")
	b.setVariable("three", "\x00\xFF")
	b.expect(`"one" = "uno"`, `"One" = "names are exact"`, `"two" = ""`, `"three" = "\x00\xff"`, `"three" = "\x00\xff"`)
	a.send(wire.AppendFrame(nil, wire.CmdAllVariables, nil))
	a.expect(`"One" = "names are exact"`, `"one" = "uno"`, `"three" = "\x00\xff"`)
}

// TestOwnVariables: a prefixed variable begins with eight upper-case digits
// of the client's id or handle. One with the id goes with the client, and is not
// left for ever when one crashes; handles are small numbers that begin other
// names, too.
func TestOwnVariables(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	b.send(wire.AppendFrame(nil, wire.CmdAllVariables, nil))
	b.expect()
	for _, prefix := range []int32{wire.PrefixUniqueClientID, wire.PrefixClientHandle} {
		a.send(wire.AppendSetVariablePrefixed(nil, wire.PrefixedVariable{
			Prefix: prefix, Variable: wire.Variable{Name: "FED.ME|ModelStatus", Value: []byte("busy")},
		}))
	}
	a.setVariable("shared", "stays")
	a.done()
	id, handle := fmt.Sprintf("%08XFED.ME|ModelStatus", a.ID), fmt.Sprintf("%08XFED.ME|ModelStatus", a.Handle)
	b.expect(fmt.Sprintf("%q = %q", id, "busy"), fmt.Sprintf("%q = %q", handle, "busy"), `"shared" = "stays"`)
	a.close(h)
	b.expect(fmt.Sprintf("%q = %q", id, ""))
	if n := h.Stats().Variables; n != 2 {
		t.Errorf("%d variables", n)
	}
}

// TestVariableLimits: what does not fit is refused, and leaves what was there.
func TestVariableLimits(t *testing.T) {
	h := start(t, hub.Options{MaxVariables: 2, MaxVariableBytes: 20})
	c := dialHub(t, h)
	c.send(wire.AppendFrame(nil, wire.CmdAllVariables, nil))
	c.setVariable("a", "1")
	c.setVariable("b", "2")
	c.setVariable("c", "too many")
	c.setVariable("b", strings.Repeat("x", 18)) // 2 + 19 bytes
	c.setVariable("b", strings.Repeat("x", 17))
	c.setVariable("a", "")
	c.setVariable("c", "3")
	c.expect(`"a" = "1"`, `"b" = "2"`, `"b" = "xxxxxxxxxxxxxxxxx"`, `"a" = ""`, `"c" = "3"`)
}

func TestEventNames(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	a.publish(0, "fed.x")
	a.subscribe(1, "Fed.y")
	a.publish(2, "other")
	a.done()
	b.publish(0, "FED.X")
	b.subscribe(1, "fed.*")
	b.done()
	name := func(name string, publishers, subscribers int32) wire.EventName {
		return wire.EventName{Name: name, Publishers: publishers, Subscribers: subscribers}
	}
	const all = wire.EventNamesPublishers | wire.EventNamesSubscribers | wire.EventNamesTimers
	for _, tt := range []struct {
		filter string
		bits   int32
		want   []wire.EventName
	}{
		{"*", all, []wire.EventName{name("fed.x", 2, 1), name("Fed.y", 0, 2), name("other", 1, 0)}},
		{"FED.*", wire.EventNamesPublishers, []wire.EventName{name("fed.x", 2, 0), name("Fed.y", 0, 0)}},
		{"fed.Y", wire.EventNamesSubscribers, []wire.EventName{name("Fed.y", 0, 2)}},
		{"fed.x", 0, []wire.EventName{name("fed.x", 0, 0)}},
		{"fed.", all, []wire.EventName{}},
		{"none.*", all, []wire.EventName{}},
	} {
		a.send(wire.AppendRequestEventNames(nil, wire.EventNamesRequest{Filter: tt.filter, Bits: tt.bits}))
		f := a.next()
		for f.Command == wire.CmdSubscribe { // b's, of fed.x
			f = a.next()
		}
		got, err := wire.ParseEventNames(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q, bits %d (-want +got):\n%s", tt.filter, tt.bits, diff)
		}
	}
}

// TestEventNamesFitAFrame: more names than 10 MiB hold are left out.
func TestEventNamesFitAFrame(t *testing.T) {
	h := start(t, hub.Options{})
	c := dialHub(t, h)
	const length = 1024
	n := int32(wire.MaxPayload/length + 10)
	var batch []byte
	for id := range n {
		batch = wire.AppendPublish(batch, wire.EventRef{ID: id, Name: fmt.Sprintf("%0*d", length, id)})
	}
	c.send(batch)
	c.send(wire.AppendRequestEventNames(nil, wire.EventNamesRequest{Filter: "*"}))
	names, err := wire.ParseEventNames(c.next().Payload)
	if most := (wire.MaxPayload - 4) / (length + 16); err != nil || len(names) != most {
		t.Errorf("%d names, %v; want the first %d of %d", len(names), err, most, n)
	}
}

// TestEndSession: the hub closes the connection, after it has written what the
// client is still to get.
func TestEndSession(t *testing.T) {
	h := start(t, hub.Options{})
	l := serve(t, h)
	c := dialTCP(t, l)
	c.send(slices.Concat(
		wire.AppendSubscribe(nil, wire.EventRef{Name: "fed.x"}),
		signal(0, "last"),
		wire.AppendFrame(nil, wire.CmdEndSession, nil),
		signal(0, "too late"),
	))
	for _, want := range []string{"hub 0 = client 0", `event 0 normal "last"`} {
		if got := describe(c.next()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if f, err := c.r.Next(); err != io.EOF {
		t.Errorf("got %s, %v; want the end", describe(f), err)
	}
	eventually(t, "no event", func() bool { return h.Stats().Events == 0 })
}

// TestControl: clients end the sessions of others when that is allowed, and
// only then.
func TestControl(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		t.Run(fmt.Sprint(allowed), func(t *testing.T) {
			var log logBook
			h := start(t, hub.Options{AllowControl: allowed, Log: log.logger()})
			a, b := dialHub(t, h), dialHub(t, h)
			a.send(slices.Concat(
				wire.AppendInt32Frame(nil, wire.CmdFlushClientQueue, int32(b.ID)),
				wire.AppendInt32Frame(nil, wire.CmdEndClientSession, int32(b.ID+1000)),
				wire.AppendInt32Frame(nil, wire.CmdEndClientSession, int32(b.ID)),
			))
			a.expect()
			if !allowed {
				b.expect()
				if lines := log.lines("refused"); len(lines) != 1 {
					t.Errorf("logged %q", lines)
				}
				return
			}
			if f := b.next(); f.Command != wire.CmdEndSession {
				t.Errorf("got %s", describe(f))
			}
			if _, err := b.r.Next(); err != io.EOF {
				t.Errorf("got %v, want the end", err)
			}
		})
	}
}

// TestClientInfo: one line tells who a client is.
func TestClientInfo(t *testing.T) {
	var log logBook
	h := start(t, hub.Options{Log: log.logger()})
	c := dialHub(t, h)
	for range 3 {
		c.send(wire.AppendSetClientInfo(nil, wire.SetClientInfo{OwnerID: 123, OwnerName: "my name\x1b[31m"}))
	}
	c.done()
	c.close(h)
	want := []string{`level=INFO`, `owner="my name\x1b[31m"`, "owner_id=123", "peer=in-process", fmt.Sprintf("client=%X", c.ID)}
	if lines := log.lines(want...); len(lines) != 1 {
		t.Errorf("logged %q", log.lines(""))
	}
	if lines := log.lines("level=INFO", "disconnected"); len(lines) != 1 {
		t.Errorf("logged %q", log.lines(""))
	}
}

// TestPassers: a connection that says nothing and goes at once is a port check;
// one that says nothing and stays, or talks nonsense, is told of.
func TestPassers(t *testing.T) {
	tests := map[string]struct {
		do    func(c *client)
		level string
	}{
		"goes at once":   {func(*client) {}, "level=DEBUG"},
		"stays":          {func(*client) { time.Sleep(10 * time.Second) }, "level=INFO"}, // of the bubble
		"sends no IMB":   {func(c *client) { c.send([]byte("GET / HTTP/1.1\r\n\r\n")) }, "level=INFO"},
		"says who it is": {func(c *client) { c.owned("me") }, "level=INFO"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logBook
				h := start(t, hub.Options{Log: log.logger()})
				c := dialHub(t, h)
				tt.do(c)
				c.close(h)
				if lines := log.lines(tt.level, "client disconnected", "peer=in-process", `reason="closed by the client"`); len(lines) != 1 {
					t.Errorf("logged %q", log.lines(""))
				}
			})
		})
	}
}
