package imbtest_test

import (
	"net"
	"testing"
	"testing/synctest"

	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// pair returns both ends of a connection.
func pair(t *testing.T) (client, hub *imbtest.RawConn) {
	t.Helper()
	l := imbtest.ListenRaw(t)
	client = imbtest.DialRaw(t, l.Addr())
	return client, l.Accept()
}

func TestRawConn(t *testing.T) {
	client, hub := pair(t)
	event := wire.Event{ID: 3, Kind: wire.NormalEvent, Data: wire.AppendString(nil, "text")}
	client.Send(
		wire.AppendInt32Frame(nil, wire.CmdSetState, 2),
		wire.AppendEvent(nil, event),
		wire.AppendText(nil, wire.CmdUnsubscribe, "name"))
	first := hub.Next()
	got := hub.ExpectEvent(wire.NormalEvent)
	if got.ID != event.ID || string(got.Data) != string(event.Data) {
		t.Errorf("received %+v, want %+v", got, event)
	}
	if name, err := wire.ParseText(hub.ExpectCommand(wire.CmdUnsubscribe).Payload); err != nil || name != "name" {
		t.Errorf("received %q, %v", name, err)
	}
	if state, err := wire.ParseInt32(first.Payload); first.Command != wire.CmdSetState || err != nil || state != 2 {
		t.Errorf("the first frame became %v %q", first.Command, first.Payload)
	}
}

func TestRawConnSync(t *testing.T) {
	client, hub := pair(t)
	identity := wire.AppendUniqueClientID(nil, wire.UniqueClientID{ID: 1, Handle: 2})
	hub.Send(identity, wire.AppendFrame(nil, wire.CmdHeartBeat, nil), identity) // the greeting, and the answer
	if frames := client.Sync(); len(frames) != 1 || frames[0].Command != wire.CmdHeartBeat {
		t.Errorf("Sync = %v, want a heartbeat", frames)
	}
	id, err := wire.ParseUniqueClientID(hub.ExpectCommand(wire.CmdUniqueClientID).Payload)
	if err != nil || id != (wire.UniqueClientID{}) {
		t.Errorf("Sync asked with %+v, error %v; want zeros", id, err)
	}
	hub.Send(identity) // the next answer
	if frames := client.Sync(); len(frames) != 0 {
		t.Errorf("Sync = %v, want nothing", frames)
	}
}

func TestRawConnExpectClosed(t *testing.T) {
	client, hub := pair(t)
	hub.Send(wire.AppendFrame(nil, wire.CmdEndSession, nil))
	hub.Close()
	if frames := client.ExpectClosed(); len(frames) != 1 || frames[0].Command != wire.CmdEndSession {
		t.Errorf("ExpectClosed = %v, want an endSession", frames)
	}
}

// TestRawConnFails: a test whose expectation is not met fails, and says why.
func TestRawConnFails(t *testing.T) {
	heartBeat := wire.AppendFrame(nil, wire.CmdHeartBeat, nil)
	setState := wire.AppendInt32Frame(nil, wire.CmdSetState, 2)
	tests := map[string]struct {
		sent   []byte // to the one that expects; nil: nothing, the connection stays open
		expect func(*imbtest.RawConn)
		want   string
	}{
		"no frame":            {nil, func(c *imbtest.RawConn) { c.Next() }, "waiting for a frame: "},
		"no such frame":       {nil, func(c *imbtest.RawConn) { c.ExpectCommand(wire.CmdEvent) }, "waiting for event: "},
		"another command":     {setState, func(c *imbtest.RawConn) { c.ExpectCommand(wire.CmdEvent) }, `received setState "\x02\x00\x00\x00", want event`},
		"another kind":        {wire.AppendEvent(nil, wire.Event{Kind: wire.Buffer}), func(c *imbtest.RawConn) { c.ExpectEvent(wire.NormalEvent) }, "received an event of kind buffer, want normal"},
		"a malformed event":   {wire.AppendFrame(nil, wire.CmdEvent, []byte("short")), func(c *imbtest.RawConn) { c.ExpectEvent(wire.NormalEvent) }, "event: malformed IMB payload"},
		"still open":          {heartBeat, func(c *imbtest.RawConn) { c.ExpectClosed() }, "still open, after 1 frames"},
		"nobody reads":        {nil, func(c *imbtest.RawConn) { c.Send(heartBeat) }, "sending: "},
		"closed by ourselves": {nil, func(c *imbtest.RawConn) { c.Close(); c.Send(heartBeat) }, "sending: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // half a minute passes at once
				ours, theirs := net.Pipe()
				t.Cleanup(func() { theirs.Close() })
				if tt.sent != nil {
					go theirs.Write(tt.sent)
				}
				contains(t, failureOf(t, func(tb testing.TB) { tt.expect(imbtest.NewRawConn(tb, ours)) }), tt.want)
			})
		})
	}
}
