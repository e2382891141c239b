package router_test

import (
	"context"
	"strings"
	"testing"

	"imbrouter/imb"
	"imbrouter/imb/wire"
	"imbrouter/router"
)

func TestEchoes(t *testing.T) {
	all := func(string) bool { return true }
	type message struct {
		event string
		kind  wire.Kind
		data  []byte
	}
	log := func(client uint32) []byte { return wire.AppendLogLine(nil, wire.LogLine{ClientID: client, Line: "x"}) }
	header := func(id int32, name string) []byte {
		return wire.AppendStreamStart(nil, wire.StreamStart{StreamID: id, Name: name})
	}
	for name, c := range map[string]struct {
		sent, received []message
		relayed        string // for each received one y or n
	}{
		"what was sent comes back once": {
			[]message{{"e", wire.NormalEvent, []byte("a")}},
			[]message{{"e", wire.NormalEvent, []byte("a")}, {"e", wire.NormalEvent, []byte("a")}}, "yn",
		},
		"as many as were sent": {
			[]message{{"e", wire.NormalEvent, []byte("a")}, {"e", wire.NormalEvent, []byte("a")}},
			[]message{{"e", wire.NormalEvent, []byte("a")}, {"e", wire.NormalEvent, []byte("a")}, {"e", wire.NormalEvent, []byte("a")}}, "yyn",
		},
		"another's message in between": {
			[]message{{"e", wire.NormalEvent, []byte("a")}, {"e", wire.NormalEvent, []byte("b")}},
			[]message{{"e", wire.NormalEvent, []byte("b")}, {"e", wire.NormalEvent, []byte("c")}, {"e", wire.NormalEvent, []byte("a")}}, "yny",
		},
		"another event or kind": {
			[]message{{"e", wire.NormalEvent, []byte("a")}},
			[]message{{"f", wire.NormalEvent, []byte("a")}, {"e", wire.Buffer, []byte("a")}}, "nn",
		},
		"the hub's spelling of the name": {
			[]message{{"Demo.E", wire.NormalEvent, nil}}, []message{{"demo.e", wire.NormalEvent, nil}}, "y",
		},
		"the hub fills in who logs": {
			[]message{{"e", wire.LogWriteLn, log(0)}}, []message{{"e", wire.LogWriteLn, log(7)}}, "y",
		},
		"a stream is known by its id": {
			[]message{{"e", wire.StreamHeader, wire.AppendInt32(nil, 5)}},
			[]message{{"e", wire.StreamHeader, header(6, "x")}, {"e", wire.StreamHeader, header(5, "x")}}, "ny",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var echoes router.Echoes
			l := echoes.Listen("hub", all)
			sink, elsewhere := echoes.Relay("hub", flushed), echoes.Relay("another hub", flushed)
			for _, m := range c.sent {
				sink.Sending(m.event, m.kind, 0, 0, m.data)
				elsewhere.Sending(m.event, m.kind, 0, 0, m.data)
			}
			var got strings.Builder
			for _, m := range c.received {
				if l.Relayed(m.event, m.kind, 0, 0, m.data) {
					got.WriteByte('y')
				} else {
					got.WriteByte('n')
				}
			}
			if got.String() != c.relayed {
				t.Errorf("relayed: %s, want %s", &got, c.relayed)
			}
		})
	}
}

func flushed(context.Context) error { return nil }

func TestEchoIsNotExpected(t *testing.T) {
	var echoes router.Echoes
	l := echoes.Listen("hub", func(event string) bool { return event != "unwanted" })
	sink := echoes.Relay("hub", flushed)
	relayed := func(event string) bool { return l.Relayed(event, wire.NormalEvent, 0, 0, nil) }

	sink.Sending("unwanted", wire.NormalEvent, 0, 0, nil)
	if relayed("unwanted") {
		t.Error("an event that the hub does not deliver is remembered")
	}
	sink.Sending("e", wire.NormalEvent, 0, 0, nil)
	sink.NotSent("e", wire.NormalEvent, 0, 0, nil)
	if relayed("e") {
		t.Error("a message that was not sent is remembered")
	}
	l.Close()
	if echoes.Listening("hub") {
		t.Error("a listener that is closed is there still")
	}
}

// What does not come back is forgotten when a flush of each sink and then a
// drain of the source have shown that it is lost, and not before.
func TestEchoesAreSweptOut(t *testing.T) {
	for name, c := range map[string]struct {
		flush, drain error
		forgotten    int
	}{
		"all got through":       {nil, nil, 2},
		"the sink is cut off":   {imb.ErrDisconnected, nil, 0},
		"the source is cut off": {nil, imb.ErrDisconnected, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var echoes router.Echoes
			l := echoes.Listen("hub", func(string) bool { return true })
			sink := echoes.Relay("hub", func(context.Context) error { return c.flush })
			send := func(event string) { sink.Sending(event, wire.NormalEvent, 0, 0, nil) }
			relayed := func(event string) bool { return l.Relayed(event, wire.NormalEvent, 0, 0, nil) }

			for _, event := range []string{"lost", "back", "lost too"} {
				send(event)
			}
			if !relayed("back") {
				t.Error("not remembered")
			}
			sink.Reconnected()
			<-l.Wake()
			n, err := l.Sweep(t.Context(), func(context.Context) error {
				send("meanwhile")
				return c.drain
			})
			if n != c.forgotten || (err == nil) != (c.flush == nil && c.drain == nil) {
				t.Errorf("forgotten: %d, %v; want %d", n, err, c.forgotten)
			}
			if got, want := relayed("lost"), c.forgotten == 0; got != want {
				t.Errorf("remembered: %v, want %v", got, want)
			}
			if !relayed("meanwhile") {
				t.Error("what was sent during the sweep is forgotten")
			}
		})
	}
}
