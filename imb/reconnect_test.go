package imb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

func TestSubscriptionsComeBackAfterRestartOfTheHub(t *testing.T) {
	addr, first := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	var states stateRecorder
	c := connect(t, imb.Options{Address: proxy.Addr(), ReconnectMin: time.Millisecond, OnState: states.record})
	e, gone := c.Event("e"), c.Event("gone")
	got := collectTexts(t, e)
	ready(t, c, e)
	ready(t, c, gone)

	second, _ := imbtest.StartHub(t, hub.Options{})
	proxy.SetTarget(second)
	must(t, gone.Unsubscribe())
	must(t, gone.Unpublish())
	must(t, first.Close())
	imbtest.Eventually(t, func() bool { return c.Stats().Connections == 2 }, "the client reconnects")
	must(t, e.SignalString(t.Context(), "after"))
	if diff := cmp.Diff([]string{"after"}, got.Wait(t, 1)); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	names, err := c.EventNames(t.Context(), "demo.*", wire.EventNamesPublishers|wire.EventNamesSubscribers)
	must(t, err)
	if diff := cmp.Diff([]wire.EventName{{Name: "demo.e", Publishers: 1, Subscribers: 1}}, names); diff != "" {
		t.Errorf("the second hub knows (-want +got):\n%s", diff)
	}
	if err := states.lastLoss(); !errors.Is(err, imb.ErrDisconnected) || !errors.Is(err, imb.ErrEndSession) {
		t.Errorf("cause of the loss is %v", err)
	}
	var seen []imb.State
	for _, s := range states.All() {
		seen = append(seen, s.State)
	}
	if diff := cmp.Diff([]imb.State{imb.Connected, imb.Connecting, imb.Connected}, seen); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestSignalsWaitForTheNextConnection(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	receiver := connect(t, imb.Options{Address: addr})
	var want []string
	got := collectTexts(t, receiver.Event("e"))
	late := collectTexts(t, receiver.Event("late"))
	ready(t, receiver, receiver.Event("e"))
	ready(t, receiver, receiver.Event("late"))

	c := connect(t, imb.Options{Address: proxy.Addr(), ReconnectMin: time.Millisecond})
	e := c.Event("e")
	must(t, e.Publish())
	lateEvent := c.Event("late")
	must(t, lateEvent.Publish())
	must(t, c.Flush(t.Context()))
	proxy.Refuse(true)
	proxy.Reset()
	imbtest.Eventually(t, func() bool { return c.State() == imb.Connecting }, "the client notices the loss")
	for i := range 100 {
		s := fmt.Sprint(i)
		want = append(want, s)
		must(t, e.SignalString(t.Context(), s))
	}
	must(t, lateEvent.SignalString(t.Context(), "good-bye"))
	must(t, lateEvent.Unpublish()) // what was sent before still goes out
	proxy.Refuse(false)
	if diff := cmp.Diff(want, got.Wait(t, len(want))); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"good-bye"}, late.Wait(t, 1)); diff != "" {
		t.Errorf("received on the unpublished event (-want +got):\n%s", diff)
	}
	must(t, c.Flush(t.Context()))
	names, err := receiver.EventNames(t.Context(), "demo.late", wire.EventNamesPublishers)
	must(t, err)
	if len(names) != 1 || names[0].Publishers != 1 { // the receiver itself
		t.Errorf("the hub knows %+v", names)
	}
}

func TestNothingOfAStreamGoesOutOnALaterConnection(t *testing.T) {
	c, h, p := connectScripted(t, imb.Options{ReconnectMin: time.Millisecond}, nil)
	e := c.Event("e")
	must(t, e.Publish())
	p.serveUntil(wire.CmdPublish)
	// From here on the hub reads nothing, so that everything stays queued.
	s, err := e.OpenStream(t.Context(), "cut", imb.StreamOptions{})
	must(t, err)
	must(t, e.SignalString(t.Context(), "one"))
	if _, err := s.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	must(t, e.SignalString(t.Context(), "two"))
	queued := c.Stats().SendQueue
	flushed := make(chan error)
	go func() { flushed <- c.Flush(t.Context()) }()
	imbtest.Eventually(t, func() bool { return c.Stats().SendQueue > queued }, "the token is queued")
	p.Close()
	if err := <-flushed; !errors.Is(err, imb.ErrDisconnected) {
		t.Errorf("Flush returned %v", err)
	}

	p = h.accept()
	greeting := p.greet()
	var commands []wire.Command
	for _, f := range greeting {
		commands = append(commands, f.Command)
	}
	want := []wire.Command{
		wire.CmdSetClientInfo, wire.CmdPublish, // the event
		wire.CmdSubscribe, wire.CmdPublish, wire.CmdUniqueClientID, wire.CmdEvent, wire.CmdUniqueClientID, // the probe
	}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Errorf("greeting (-want +got):\n%s", diff)
	}
	imbtest.Eventually(t, func() bool { return c.State() == imb.Connected }, "the client reconnects")
	if _, err := s.Write([]byte("more")); !errors.Is(err, imb.ErrDisconnected) {
		t.Errorf("Write returned %v", err)
	}
	if _, err := s.ReadFrom(&endless{}); !errors.Is(err, imb.ErrDisconnected) {
		t.Errorf("ReadFrom returned %v", err)
	}
	if err := s.Close(t.Context()); !errors.Is(err, imb.ErrDisconnected) {
		t.Errorf("Close returned %v", err)
	}
	must(t, e.SignalString(t.Context(), "three"))
	for _, want := range []string{"one", "two", "three"} {
		if got, _ := wire.ParseText(p.ExpectEvent(wire.NormalEvent).Data); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}

// What the connection has taken whole is not sent again; what it has taken in
// part is.
func TestSignalsAreSentOnce(t *testing.T) {
	var e *imb.Event
	_, h, p := connectScripted(t, imb.Options{ReconnectMin: time.Millisecond}, func(c *imb.Client) {
		e = c.Event("e")
		must(t, e.Publish())
	})
	// The hub reads nothing, so that all but the first go into one write.
	for _, s := range []string{"000", "one", "two", "end"} {
		must(t, e.SignalString(t.Context(), s))
	}
	size := wire.FrameSize(wire.EventHeaderSize + len(text("000")))
	taken := make([]byte, 2*size+size/2)
	_, err := io.ReadFull(p.conn, taken)
	must(t, err)
	if !bytes.Contains(taken, []byte("one")) || bytes.Contains(taken, []byte("two")) {
		t.Fatalf("the connection has taken %q", taken)
	}
	p.Close()
	p = h.accept()
	p.greet()
	for _, want := range []string{"two", "end"} {
		if got, _ := wire.ParseText(p.ExpectEvent(wire.NormalEvent).Data); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}

// endless is a reader that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestConnectFails(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		addr := l.Addr().String()
		l.Close()
		c, err := imb.Connect(t.Context(), imb.Options{Address: addr})
		if c != nil || err == nil {
			t.Errorf("Connect returned %v, %v", c, err)
		}
	})
	t.Run("the hub hangs up", func(t *testing.T) {
		addr, _ := imbtest.StartHub(t, hub.Options{MaxConnections: 1})
		imbtest.DialRaw(t, addr).ExpectCommand(wire.CmdUniqueClientID)
		c, err := imb.Connect(t.Context(), imb.Options{Address: addr})
		if c != nil || err == nil {
			t.Errorf("Connect returned %v, %v", c, err)
		}
	})
	t.Run("nothing answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			c, err := imb.Connect(t.Context(), imb.Options{Dial: dialDeaf(t), ConnectTimeout: 3 * time.Second})
			if c != nil || err == nil {
				t.Errorf("Connect returned %v, %v", c, err)
			}
			if waited := time.Since(begin); waited != 3*time.Second {
				t.Errorf("it took %v", waited)
			}
		})
	})
	t.Run("ctx ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			c, err := imb.Connect(ctx, imb.Options{Dial: dialDeaf(t)})
			if c != nil || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Connect returned %v, %v", c, err)
			}
		})
	})
	t.Run("bad options", func(t *testing.T) {
		_, err := imb.Connect(t.Context(), imb.Options{SendQueue: -1, PingTimeout: -time.Second, ReconnectMin: time.Minute, ReconnectMax: time.Second})
		for _, field := range []string{"SendQueue", "PingTimeout", "ReconnectMax"} {
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("error does not name %s: %v", field, err)
			}
		}
	})
}

// dialDeaf dials a hub that takes everything and says nothing.
func dialDeaf(t *testing.T) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		go io.Copy(io.Discard, server) // ends when the client closes its end
		return client, nil
	}
}

func TestRetryConnectsWhenTheHubComesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var states stateRecorder
		var log logRecorder
		var up atomic.Bool
		var dials atomic.Int32
		h := newScriptedHub(t)
		refused := errors.New("refused")
		c := connect(t, imb.Options{
			Retry: true, OnState: states.record, Log: log.logger(), ReconnectMin: time.Second, ReconnectMax: 8 * time.Second,
			Dial: func(ctx context.Context) (net.Conn, error) {
				if dials.Add(1); !up.Load() {
					return nil, refused
				}
				return h.Dial(ctx)
			},
		})
		if s := c.State(); s != imb.Connecting {
			t.Errorf("state is %v", s)
		}
		e := c.Event("e")
		must(t, e.Publish())
		must(t, e.SignalString(t.Context(), "early"))
		letPass(time.Minute)
		if n := dials.Load(); n < 60/12 || n > 20 {
			t.Errorf("%d attempts in a minute, with pauses from 1 s to 8 s and half of it at random", n)
		}
		up.Store(true)
		p := h.accept()
		p.greet()
		if got, _ := wire.ParseText(p.ExpectEvent(wire.NormalEvent).Data); got != "early" {
			t.Errorf("received %q", got)
		}
		up.Store(false)
		p.Close()
		letPass(time.Minute)
		up.Store(true)
		h.accept().greet()
		synctest.Wait()
		want := []stateChange{
			{imb.Connecting, refused}, {imb.Connected, nil}, {imb.Connecting, imb.ErrDisconnected}, {imb.Connected, nil},
		}
		if diff := cmp.Diff(want, states.All(), cmpopts.EquateErrors()); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		for _, line := range []string{"cannot connect", "lost the connection"} {
			if n := log.count(line); n != 1 {
				t.Errorf("the log tells %q %d times, want 1", line, n)
			}
		}
	})
}

func TestSendWaitsForRoomWithoutAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newScriptedHub(t)
		c := connect(t, imb.Options{Dial: h.Dial, Retry: true, SendQueue: 1000})
		e := c.Event("e")
		must(t, e.Publish())
		for range 6 {
			must(t, e.Signal(t.Context(), wire.NormalEvent, make([]byte, 150)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := e.SignalString(ctx, "no room"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send into a full queue returned %v", err)
		}
		sent := make(chan error)
		go func() { sent <- e.SignalString(t.Context(), "room") }()
		synctest.Wait()
		p := h.accept()
		p.greet()
		for range 6 {
			p.ExpectEvent(wire.NormalEvent)
		}
		must(t, <-sent)
		p.ExpectEvent(wire.NormalEvent)
	})
}

// Subscriptions do not wait for room, and yet do not fill the memory.
func TestWishesAreBounded(t *testing.T) {
	c, _, p := connectScripted(t, imb.Options{SendQueue: 1000, PingInterval: time.Hour}, nil)
	e := c.Event("e")
	var err error
	n := 0
	for ; err == nil && n < 1_000_000; n++ { // the hub takes nothing
		if n%2 == 0 {
			err = e.Publish()
		} else {
			err = e.Unpublish()
		}
	}
	if !errors.Is(err, imb.ErrQueueFull) || c.Stats().SendQueue > wire.MaxPayload+2<<20 {
		t.Fatalf("after %d calls the error is %v, %d bytes are queued", n, err, c.Stats().SendQueue)
	}
	// The call that failed changed nothing: as the hub takes the queue, it hears
	// of the calls that succeeded, and then of a new one.
	for range n - 1 {
		p.serve()
	}
	want := wire.CmdPublish
	if n%2 == 0 {
		must(t, e.Unpublish())
		want = wire.CmdUnpublish
	} else {
		must(t, e.Publish())
	}
	p.ExpectCommand(want)
}

func TestEndSessionOfTheHubIsALoss(t *testing.T) {
	var states stateRecorder
	_, h, p := connectScripted(t, imb.Options{ReconnectMin: time.Millisecond, OnState: states.record}, nil)
	p.Send(wire.AppendFrame(nil, wire.CmdEndSession, nil))
	p.ExpectClosed()
	h.accept()
	if err := states.lastLoss(); !errors.Is(err, imb.ErrEndSession) || !errors.Is(err, imb.ErrDisconnected) {
		t.Errorf("cause of the loss is %v", err)
	}
}

func TestWishesDuringTheGreetingReachTheHub(t *testing.T) {
	h := newScriptedHub(t)
	c := connect(t, imb.Options{Dial: h.Dial, Retry: true})
	early, late := c.Event("early"), c.Event("late")
	must(t, early.Subscribe())
	p := h.accept()
	p.ExpectCommand(wire.CmdSetClientInfo) // the snapshot is made
	must(t, late.Subscribe())
	must(t, early.Unsubscribe())
	p.greet()
	if r, _ := wire.ParseEventRef(p.ExpectCommand(wire.CmdSubscribe).Payload); r.Name != late.Name() {
		t.Errorf("after the greeting the client subscribes %q", r.Name)
	}
	if name, _ := wire.ParseText(p.ExpectCommand(wire.CmdUnsubscribe).Payload); name != early.Name() {
		t.Errorf("after the greeting the client unsubscribes %q", name)
	}
}
