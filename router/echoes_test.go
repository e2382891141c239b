package router_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
			for _, m := range c.sent {
				echoes.Relaying("hub", m.event, m.kind, 0, 0, m.data)
				echoes.Relaying("another hub", m.event, m.kind, 0, 0, m.data)
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

func TestEchoesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var echoes router.Echoes
		l := echoes.Listen("hub", func(event string) bool { return event != "unwanted" })
		send := func(event string) { echoes.Relaying("hub", event, wire.NormalEvent, 0, 0, nil) }
		relayed := func(event string) bool { return l.Relayed(event, wire.NormalEvent, 0, 0, nil) }

		send("unwanted")
		if relayed("unwanted") {
			t.Error("an event that the hub does not deliver is remembered")
		}
		send("e")
		l.Reset()
		if relayed("e") {
			t.Error("remembered after a reset")
		}
		send("e")
		<-time.After(2 * time.Minute) // of the bubble's clock
		if relayed("e") {
			t.Error("remembered for ever")
		}
	})
}
