package imb_test

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

func TestWildcardTellsTheConcreteEvent(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	sender := connect(t, imb.Options{Address: addr})
	before := sender.Event("alarms.before")
	must(t, before.Publish())
	must(t, sender.Flush(t.Context()))

	proxy := imbtest.NewProxy(t, addr)
	c := connect(t, imb.Options{Address: proxy.Addr()})
	filter, exact := c.Event("Alarms.*"), c.Event("alarms.exact")
	var got imbtest.Collector[string]
	filter.HandleAll(func(m imb.Message) {
		if m.Event != filter {
			t.Errorf("the event is %q", m.Event.Name())
		}
		got.Add("filter " + m.Name)
	})
	exact.HandleAll(func(m imb.Message) { got.Add("exact " + m.Name) })
	streams := recordStreams(filter)
	must(t, filter.Subscribe())
	must(t, exact.Subscribe())
	must(t, c.Flush(t.Context()))

	send := func() {
		for _, name := range []string{"alarms.before", "alarms.after", "alarms.exact", "other"} {
			e := sender.Event(name)
			must(t, e.Publish())
			must(t, e.SignalString(t.Context(), ""))
		}
	}
	want := []string{"filter demo.alarms.before", "filter demo.alarms.after", "exact demo.alarms.exact"}
	send()
	if diff := cmp.Diff(want, got.Wait(t, 3)); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	_, err := before.SendStream(t.Context(), "x", nothing{}, imb.StreamOptions{})
	must(t, err)
	if s := streams.wait(t, 1)[0]; s.Event != filter || s.Name != "demo.alarms.before" || s.StreamName != "x" {
		t.Errorf("received the stream %+v", s)
	}

	proxy.Reset()
	imbtest.Eventually(t, func() bool { return c.Stats().Connections == 2 }, "the client reconnects")
	must(t, c.Flush(t.Context()))
	send()
	if diff := cmp.Diff(append(want, want...), got.Wait(t, 6)); diff != "" {
		t.Errorf("received, with a reconnect in the middle (-want +got):\n%s", diff)
	}

	// The wildcard gets what the exact subscription leaves, and the reverse.
	must(t, exact.Unsubscribe())
	must(t, c.Flush(t.Context()))
	send()
	if diff := cmp.Diff("filter demo.alarms.exact", got.Wait(t, 9)[8]); diff != "" {
		t.Errorf("received without the exact subscription (-want +got):\n%s", diff)
	}
	must(t, filter.Unsubscribe())
	must(t, exact.Subscribe())
	must(t, c.Flush(t.Context()))
	send()
	if diff := cmp.Diff([]string{"exact demo.alarms.exact"}, got.Wait(t, 10)[9:]); diff != "" {
		t.Errorf("received without the wildcard (-want +got):\n%s", diff)
	}
}

// nothing is an empty reader.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

func TestWildcardOfAHubThatDoesNotNameEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got imbtest.Collector[string]
		var filter *imb.Event
		_, _, p := connectScripted(t, imb.Options{}, func(c *imb.Client) {
			filter = c.Event("alarms.*")
			filter.HandleAll(func(m imb.Message) { got.Add(m.Name) })
			must(t, filter.Subscribe())
		})
		id := p.ids[filter.Name()]
		translate := func(hubID int32) []byte {
			return wire.AppendSetEventIDTranslation(nil, wire.Translation{HubID: hubID, ClientID: id})
		}
		name := func(hubID int32, name string) []byte {
			return wire.AppendPublish(nil, wire.EventRef{ID: hubID, Name: name})
		}
		event := func(hubID int32) []byte {
			return wire.AppendEvent(nil, wire.Event{ID: hubID, Kind: wire.NormalEvent})
		}
		p.Send(
			translate(1), event(1), // not named
			name(2, "DEMO.alarms.fire"), translate(2), event(2), // named first
			translate(3), name(3, "demo.other"), event(3), // a name that the filter does not match
			name(3, "demo.alarms.x"), event(3), // a better one
			wire.AppendSetEventIDTranslation(nil, wire.Translation{HubID: 2, ClientID: -1}),
			translate(2), event(2), // begins anew
		)
		synctest.Wait()
		want := []string{"demo.alarms.*", "DEMO.alarms.fire", "demo.alarms.*", "demo.alarms.x", "demo.alarms.*"}
		if diff := cmp.Diff(want, got.All()); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	})
}
