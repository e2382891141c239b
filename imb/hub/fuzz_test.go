package hub_test

import (
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// FuzzConnection: whatever bytes come on one connection, the hub lives, and
// another connection is served as if nothing were.
func FuzzConnection(f *testing.F) {
	recorded, err := os.ReadFile("testdata/pyimb.client.bin")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(recorded[:400])
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(slices.Concat(
		wire.AppendSubscribe(nil, wire.EventRef{ID: 1, Name: "*"}),
		wire.AppendSubscribe(nil, wire.EventRef{ID: 2, Name: "a"}),
		wire.AppendPublish(nil, wire.EventRef{ID: 2, Name: "A"}),
		wire.AppendEvent(nil, wire.Event{ID: 2, Kind: wire.StreamHeader, Data: wire.AppendStreamStart(nil, wire.StreamStart{StreamID: 3, Name: "s"})}),
		wire.AppendEvent(nil, wire.Event{ID: 2, Kind: wire.StreamTail, Data: wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: 3})}),
		wire.AppendEvent(nil, wire.Event{ID: 2, Kind: wire.LogWriteLn, Data: wire.AppendLogLine(nil, wire.LogLine{Line: "l"})}),
		wire.AppendText(nil, wire.CmdUnsubscribe, "a"),
		wire.AppendText(nil, wire.CmdUnpublish, "a"),
		wire.AppendText(nil, wire.CmdUnsubscribe, "*"),
	))
	f.Add(slices.Concat(
		wire.AppendFrame(nil, wire.CmdAllVariables, nil),
		wire.AppendSetVariable(nil, wire.Variable{Name: "v", Value: []byte("1")}),
		wire.AppendSetVariablePrefixed(nil, wire.PrefixedVariable{Variable: wire.Variable{Name: "v", Value: []byte("1")}}),
		wire.AppendRequestEventNames(nil, wire.EventNamesRequest{Filter: "*", Bits: 7}),
		wire.AppendInt32Frame(nil, wire.CmdEndClientSession, 0x10000002),
		wire.AppendFrame(nil, wire.CmdEndSession, nil),
	))
	timer := func(kind wire.Kind, data []byte) []byte {
		return wire.AppendEvent(nil, wire.Event{ID: 1, Kind: kind, Data: data})
	}
	f.Add(slices.Concat(
		wire.AppendSubscribe(nil, wire.EventRef{ID: 1, Name: "a"}),
		wire.AppendCreateTimer(nil, wire.CreateTimer{EventID: 1, Name: "t", ResolutionMS: 1, RepeatCount: 3}),
		timer(wire.TimerAcknowledgedListAdd, acknowledger("c")),
		timer(wire.TimerStart, name("t")),
		timer(wire.TimerAcknowledge, acknowledgement("c", 5)),
		timer(wire.TimerSetSpeed, speed(2)),
		timer(wire.TimerAcknowledgedListRemove, acknowledger("c")),
		timer(wire.TimerStop, name("t")),
		timer(wire.TimerPrepare, name("t")),
		timer(wire.TimerCancel, name("t")),
	))
	f.Fuzz(func(t *testing.T, input []byte) {
		h := start(t, hub.Options{QueueBytes: 64 << 10})
		hostile, bystander := dialHub(t, h), dialHub(t, h)
		go io.Copy(io.Discard, hostile.conn)
		bystander.subscribe(0, "of the bystander alone")
		bystander.signal(0, "before")
		bystander.expect("hub 0 = client 0", `event 0 normal "before"`)
		hostile.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := hostile.conn.Write(input); err != nil && err != io.ErrClosedPipe {
			t.Fatalf("the hub does not read: %v", err)
		}
		bystander.signal(0, "after")
		if told := bystander.told(); !slices.Contains(told, `event 0 normal "after"`) {
			t.Errorf("told %q", told)
		}
		bystander.close(h)
		hostile.conn.Close()
		eventually(t, "all gone", func() bool { s := h.Stats(); return s.Connections == 0 && s.Events == 0 && s.Timers == 0 })
	})
}
