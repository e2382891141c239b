package imb_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

func TestFlushReturnsWhenTheHubHasEverything(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	receiver := connect(t, imb.Options{Address: addr})
	got := collectTexts(t, receiver.Event("e"))
	ready(t, receiver, receiver.Event("e"))

	proxy := imbtest.NewProxy(t, addr)
	c := connect(t, imb.Options{Address: proxy.Addr()})
	e := c.Event("e")
	must(t, e.Publish())
	must(t, c.Flush(t.Context()))
	proxy.Stall()
	must(t, e.SignalString(t.Context(), "x"))
	ctx, cancel := context.WithCancel(t.Context())
	flushed := make(chan error)
	go func() { flushed <- c.Flush(ctx) }()
	imbtest.Eventually(t, func() bool { return c.Stats().SendQueue == 0 }, "everything is written")
	select {
	case err := <-flushed:
		t.Errorf("Flush returned %v while the hub had nothing", err)
	default:
	}
	cancel()
	if err := <-flushed; !errors.Is(err, context.Canceled) {
		t.Errorf("Flush returned %v after ctx ended", err)
	}
	proxy.Resume()
	must(t, c.Flush(t.Context()))
	got.Wait(t, 1)
}

func TestDrainReturnsWhenEverythingIsHandled(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e := c.Event("e")
	handling, goOn := make(chan struct{}), make(chan struct{})
	handled := 0
	_, err := e.Handle(wire.NormalEvent, func(imb.Message) {
		if handled == 0 {
			close(handling)
			<-goOn
		}
		handled++
	})
	must(t, err)
	ready(t, c, e)
	for range 100 {
		must(t, e.SignalString(t.Context(), "x"))
	}
	drained := make(chan error, 1)
	go func() { drained <- c.Drain(t.Context()) }()
	<-handling
	must(t, c.Flush(t.Context()))
	select {
	case err := <-drained:
		t.Errorf("Drain returned %v while a handler ran", err)
	default:
	}
	close(goOn)
	must(t, <-drained)
	if handled != 100 {
		t.Errorf("%d of 100 signals were handled", handled)
	}
}

// What was received is handled before Drain returns, though the hub is away, and
// tells so; also when it goes in the meantime.
func TestDrainWithoutConnection(t *testing.T) {
	for _, test := range []struct {
		name   string
		before bool // the hub is away before the call
		want   error
	}{{"before", true, imb.ErrNotConnected}, {"meanwhile", false, imb.ErrDisconnected}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const signals = 10
				handled := 0
				var e *imb.Event
				c, _, p := connectScripted(t, imb.Options{}, func(c *imb.Client) {
					e = c.Event("e")
					e.HandleAll(func(imb.Message) {
						<-time.After(time.Second)
						handled++
					})
					must(t, e.Subscribe())
				})
				for range signals {
					p.Send(p.event(e.Name(), wire.NormalEvent, text("x")))
				}
				synctest.Wait()
				if test.before {
					p.Close()
					synctest.Wait()
				}
				drained := make(chan error, 1)
				go func() { drained <- c.Drain(t.Context()) }()
				synctest.Wait()
				p.Close()
				if err := <-drained; !errors.Is(err, test.want) || handled != signals {
					t.Errorf("Drain returned %v when %d of %d signals were handled", err, handled, signals)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := c.Drain(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("Drain returned %v after ctx ended", err)
				}
			})
		})
	}
}

// A hub that does not echo, with or without a greeting of its own.
func TestFlushWithoutEcho(t *testing.T) {
	for _, greets := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newScriptedHub(t)
			c := connect(t, imb.Options{Dial: h.Dial, Retry: true})
			p := h.accept()
			p.echo = false
			if greets {
				p.Send(wire.AppendUniqueClientID(nil, wire.UniqueClientID{ID: 7}))
			}
			p.greet()
			synctest.Wait()
			if s := c.State(); s != imb.Connected {
				t.Fatalf("greets %v: after the probe the state is %v", greets, s)
			}
			flushed := make(chan error, 2)
			for range 2 {
				go func() { flushed <- c.Flush(t.Context()) }()
				p.ExpectCommand(wire.CmdUniqueClientID)
			}
			for range 2 {
				synctest.Wait()
				if len(flushed) != 0 {
					t.Errorf("greets %v: Flush returned before its answer", greets)
				}
				p.Send(wire.AppendUniqueClientID(nil, wire.UniqueClientID{ID: 7}))
				must(t, <-flushed)
			}
		})
	}
}

func TestFlushBelievesALateEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newScriptedHub(t)
		c := connect(t, imb.Options{Dial: h.Dial, Retry: true})
		p := h.accept()
		p.echo = false
		frames := p.greet()
		token, err := wire.ParseEvent(frames[len(frames)-2].Payload)
		must(t, err)
		token.ID = hubID(token.ID)
		p.Send(wire.AppendEvent(nil, token))
		synctest.Wait()
		flushed := make(chan error, 1)
		go func() { flushed <- c.Flush(t.Context()) }()
		e := p.ExpectEvent(wire.NormalEvent)
		p.Send(wire.AppendUniqueClientID(nil, wire.UniqueClientID{}))
		foreign := e
		foreign.ID, foreign.Data = hubID(e.ID), wire.AppendInt64(nil, 1<<40)
		p.Send(wire.AppendEvent(nil, foreign))
		synctest.Wait()
		if len(flushed) != 0 {
			t.Error("Flush returned before its echo")
		}
		e.ID = hubID(e.ID)
		p.Send(wire.AppendEvent(nil, e))
		must(t, <-flushed)
	})
}

func TestFlushFails(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	c := connect(t, imb.Options{Address: proxy.Addr(), ReconnectMin: time.Millisecond})
	proxy.SwallowAfter(0)
	flushed := make(chan error)
	go func() { flushed <- c.Flush(t.Context()) }()
	imbtest.Eventually(t, func() bool { return proxy.Swallowed() > 0 }, "the token is swallowed")
	proxy.Refuse(true)
	proxy.Reset()
	if err := <-flushed; !errors.Is(err, imb.ErrDisconnected) {
		t.Errorf("Flush returned %v when the connection was lost", err)
	}
	imbtest.Eventually(t, func() bool { return c.State() == imb.Connecting }, "the client notices the loss")
	if err := c.Flush(t.Context()); !errors.Is(err, imb.ErrNotConnected) {
		t.Errorf("Flush without a connection returned %v", err)
	}
	closeNow(t, c)
	if err := c.Flush(t.Context()); !errors.Is(err, imb.ErrClosed) {
		t.Errorf("Flush of a closed client returned %v", err)
	}
}

func TestConcurrentFlushes(t *testing.T) {
	c := connectHub(t, imb.Options{})
	var flushes sync.WaitGroup
	for range 20 {
		flushes.Go(func() {
			for range 20 {
				if err := c.Flush(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	flushes.Wait()
}

func TestFlushInAHandler(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e := c.Event("e")
	flushed := make(chan error, 1)
	e.HandleAll(func(imb.Message) { flushed <- c.Flush(t.Context()) })
	ready(t, c, e)
	must(t, e.SignalString(t.Context(), ""))
	must(t, <-flushed)
}

func TestFlushesAreNotSeenByWildcards(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	c := connect(t, imb.Options{Address: addr})
	var names imbtest.Collector[string]
	everything := c.FullEvent("*")
	everything.HandleAll(func(m imb.Message) { names.Add(m.Name) })
	must(t, everything.Subscribe())
	must(t, c.Flush(t.Context()))

	other := connect(t, imb.Options{Address: addr})
	must(t, other.Flush(t.Context()))
	e := other.Event("e")
	must(t, e.Publish())
	must(t, e.SignalString(t.Context(), "x"))
	names.Wait(t, 1)
	for _, name := range names.All() {
		if strings.HasPrefix(name, "imbrouter.flush") {
			t.Errorf("a handler saw %q", name)
		}
	}
}
