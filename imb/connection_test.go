package imb_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// What a hub sends wrong is counted, logged, and harms nothing else.
func TestFaultsOfTheHubAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logRecorder
		var e *imb.Event
		var got *imbtest.Collector[string]
		c, _, p := connectScripted(t, imb.Options{Log: log.logger()}, func(c *imb.Client) {
			e = c.Event("e")
			got = collectTexts(t, e)
			must(t, e.Subscribe())
		})
		stranger := wire.AppendEvent(nil, wire.Event{ID: 12345, Kind: wire.NormalEvent})
		p.Send(
			stranger,
			wire.AppendSetEventIDTranslation(nil, wire.Translation{HubID: 12345, ClientID: 1 << 30}), // no id of the client's
			stranger,
			wire.AppendSetEventIDTranslation(nil, wire.Translation{HubID: 999, ClientID: -1}), // there was none
			[]byte("garbage"),
			wire.AppendFrame(nil, wire.Command(-1234), []byte("an unknown command")),
		)
		for _, command := range []wire.Command{
			wire.CmdEvent, wire.CmdSetEventIDTranslation, wire.CmdPublish, wire.CmdSubscribe, wire.CmdUnsubscribe,
			wire.CmdUniqueClientID, wire.CmdSetVariable, wire.CmdEventNames,
		} {
			p.Send(wire.AppendFrame(nil, command, []byte{1, 2, 3}))
		}
		p.Send(p.event(e.Name(), wire.NormalEvent, text("still here")))
		synctest.Wait()
		if all := got.All(); len(all) != 1 || all[0] != "still here" {
			t.Errorf("received %q", all)
		}
		if s := c.Stats(); s.Untranslated != 2 || s.Malformed != 8 || s.Broken != 7 || s.Connections != 1 {
			t.Errorf("stats are %+v", s)
		}
		for _, line := range []string{"did not explain", "malformed data", "no IMB frame"} {
			if n := log.count(line); n != 1 {
				t.Errorf("the log tells %q in %d lines, want 1", line, n)
			}
		}
	})
}

func TestHasSubscribers(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	c := connect(t, imb.Options{Address: proxy.Addr()})
	e := c.Event("e")
	ready(t, c, e)
	if e.HasSubscribers() {
		t.Error("there are subscribers before there is another one")
	}
	other := connect(t, imb.Options{Address: addr})
	heard := other.Event("E")
	must(t, heard.Subscribe())
	imbtest.Eventually(t, e.HasSubscribers, "the subscription is known")
	must(t, heard.Unsubscribe())
	imbtest.Eventually(t, func() bool { return !e.HasSubscribers() }, "its end is known")
	must(t, heard.Subscribe())
	imbtest.Eventually(t, e.HasSubscribers, "the subscription is known")
	proxy.Refuse(true)
	proxy.Reset()
	imbtest.Eventually(t, func() bool { return !e.HasSubscribers() }, "without a connection nothing is known")
	proxy.Refuse(false)
	imbtest.Eventually(t, e.HasSubscribers, "the next connection tells it again")
}

func TestInProcessConnection(t *testing.T) {
	h := hub.New(hub.Options{})
	defer h.Close()
	c := connect(t, imb.Options{Dial: h.Dial, OwnerName: "within"})
	e := c.Event("e")
	got := collectTexts(t, e)
	ready(t, c, e)
	must(t, e.SignalString(t.Context(), "x"))
	got.Wait(t, 1)
	if id, handle := c.UniqueID(); id == 0 || handle == 0 {
		t.Errorf("unique client id is %d, handle %d", id, handle)
	}
	must(t, c.Close(t.Context()))
}

func TestAddressIsCompleted(t *testing.T) {
	errDial := errors.New("not today")
	for address, want := range map[string]string{
		"": "in-process", "hub.example": "hub.example:4000", "hub.example:4711": "hub.example:4711",
		":4711": "localhost:4711", "::1": "[::1]:4000", "[::1]": "[::1]:4000", "[::1]:4711": "[::1]:4711",
	} {
		_, err := imb.Connect(t.Context(), imb.Options{
			Address: address, Dial: func(context.Context) (net.Conn, error) { return nil, errDial },
		})
		if !errors.Is(err, errDial) || !strings.Contains(err.Error(), " "+want+":") {
			t.Errorf("address %q: error is %v", address, err)
		}
	}
}

// Everything at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	c := connect(t, imb.Options{Address: proxy.Addr(), ReconnectMin: 1})
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			e := c.Event(fmt.Sprint("e", i%2))
			for k := range 50 {
				remove := e.HandleAll(func(imb.Message) {})
				e.HandleStreams(func(imb.IncomingStream) imb.StreamReceiver { return nil })
				e.Publish()
				e.Subscribe()
				e.SignalString(t.Context(), "x")
				e.SendStream(t.Context(), "s", strings.NewReader("abc"), imb.StreamOptions{})
				c.SetVariable(t.Context(), "v", []byte("x"))
				if stop, err := c.WatchVariables(func(string, []byte) {}); err == nil {
					stop()
				}
				c.Stats()
				c.Variable("v")
				c.UniqueID()
				e.HasSubscribers()
				if k%10 == 0 {
					e.Unsubscribe()
					e.Unpublish()
					c.Flush(t.Context())
					c.EventNames(t.Context(), "*", 0)
				}
				if i == 0 && k%20 == 10 {
					proxy.Reset()
				}
				remove()
			}
		})
	}
	work.Wait()
	imbtest.Eventually(t, func() bool { return c.Flush(t.Context()) == nil }, "the client is connected in the end")
	e := c.Event("after all")
	got := collectTexts(t, e)
	ready(t, c, e)
	must(t, e.SignalString(t.Context(), "x"))
	got.Wait(t, 1)
}
