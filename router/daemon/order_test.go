package daemon_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
)

// What one sender sends on one event arrives in that order behind a relay,
// whole streams and signals in turns.
func TestRelayKeepsTheOrder(t *testing.T) {
	north, _ := imbtest.StartHub(t, hub.Options{})
	south, _ := imbtest.StartHub(t, hub.Options{})
	var got imbtest.Collector[string]
	subscriber := connect(t, south)
	e, err := subscriber.Subscribe("south.e")
	if err != nil {
		t.Fatal(err)
	}
	e.HandleAll(func(m imb.Message) { got.Add(string(m.Data)) })
	e.HandleStreams(func(in imb.IncomingStream) imb.StreamReceiver { return &named{&got, in.StreamName} })
	if err := subscriber.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(t, relay, north, south)

	out := publish(t, connect(t, north), "north.e")
	var want []string
	for i := range 200 {
		name := fmt.Sprint("stream", i)
		if _, err := out.SendStream(t.Context(), name, strings.NewReader(name), imb.StreamOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := out.Signal(t.Context(), 77, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		want = append(want, name, fmt.Sprint(i))
	}
	if all := got.Wait(t, len(want)); !slices.Equal(all, want) {
		t.Errorf("arrived in the order %v", all)
	}
}

// named notes a stream when its tail comes.
type named struct {
	got  *imbtest.Collector[string]
	name string
}

func (n *named) Write(p []byte) (int, error) { return len(p), nil }

func (n *named) End(err error) {
	if err != nil {
		n.name += ": " + err.Error()
	}
	n.got.Add(n.name)
}
