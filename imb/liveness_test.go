package imb_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

func TestHubThatFallsSilentIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var states stateRecorder
		begin := time.Now()
		_, h, p := connectScripted(t, imb.Options{OnState: states.record, PingInterval: 4 * time.Second, PingTimeout: 8 * time.Second}, nil)
		p.swallow()
		h.accept()
		if waited := time.Since(begin).Round(time.Second); waited < 12*time.Second || waited > 14*time.Second {
			t.Errorf("the client dialled again after %v", waited)
		}
		if err := states.lastLoss(); !errors.Is(err, imb.ErrUnresponsive) || !errors.Is(err, imb.ErrDisconnected) {
			t.Errorf("cause of the loss is %v", err)
		}
	})
}

// TCP takes much for a peer that is gone; that is no sign of life.
func TestSilentHubIsGivenUpAlthoughSignalsGoOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h, p := connectScripted(t, imb.Options{PingInterval: 4 * time.Second, PingTimeout: 8 * time.Second}, nil)
		e := c.Event("e")
		must(t, e.Publish())
		p.swallow()
		redialled := make(chan struct{})
		go func() {
			h.accept()
			close(redialled)
		}()
		for second := 0; ; second++ {
			select {
			case <-redialled:
				return
			case <-time.After(time.Second):
				must(t, e.SignalString(t.Context(), "x"))
			}
			if second > 20 {
				t.Fatal("the client still believes in the hub")
			}
		}
	})
}

func TestHubThatAnswersIsKept(t *testing.T) {
	for _, echo := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := newScriptedHub(t)
			c := connect(t, imb.Options{Dial: h.Dial, Retry: true})
			p := h.accept()
			p.echo = echo
			p.greet()
			begin := time.Now()
			for range 10 {
				<-time.After(9 * time.Second) // less than the RawConn's patience and PingInterval
				p.serve()
			}
			synctest.Wait()
			if s := c.Stats(); s.Connections != 1 || c.State() != imb.Connected {
				t.Errorf("echo %v: after %v the state is %v, stats %+v", echo, time.Since(begin), c.State(), s)
			}
		})
	}
}

func TestHubThatSendsNeedsNoPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, p := connectScripted(t, imb.Options{}, nil)
		for range 20 {
			<-time.After(9 * time.Second)
			p.Send(wire.AppendFrame(nil, wire.CmdHeartBeat, nil))
		}
		synctest.Wait()
		if n := c.Stats().SendQueue; n != 0 || c.State() != imb.Connected {
			t.Errorf("%d bytes are queued for the hub, the state is %v", n, c.State())
		}
	})
}

// A hub that takes a long queue slowly is not dead, although it cannot get to
// the ping.
func TestSlowHubIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h, p := connectScripted(t, imb.Options{SendQueue: 32 << 20}, nil)
		e := c.Event("e")
		must(t, e.Publish())
		p.serveUntil(wire.CmdPublish)
		for range 60 {
			must(t, e.Signal(t.Context(), wire.NormalEvent, make([]byte, 256<<10)))
		}
		for range 60 {
			<-time.After(5 * time.Second)
			p.ExpectEvent(wire.NormalEvent)
		}
		p.serve() // the ping, five minutes late
		synctest.Wait()
		if s := c.Stats(); s.Connections != 1 || c.State() != imb.Connected {
			t.Errorf("the state is %v, stats %+v", c.State(), s)
		}
		// Now it takes nothing any more.
		must(t, e.SignalString(t.Context(), ""))
		begin := time.Now()
		h.accept()
		if waited := time.Since(begin); waited > 30*time.Second {
			t.Errorf("the client gave up after %v", waited)
		}
	})
}

// While the client does not read because its handlers are slow, the silence is
// its own.
func TestLivenessPausesWhileTheReceiveQueueIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var e *imb.Event
		c, _, p := connectScripted(t, imb.Options{ReceiveQueue: 1000, BlockTimeout: 10 * time.Minute}, func(c *imb.Client) {
			e = c.Event("e")
			e.HandleAll(func(imb.Message) { <-release })
			must(t, e.Subscribe())
		})
		big := p.event(e.Name(), wire.NormalEvent, make([]byte, 500))
		p.Send(big, big) // one for the handler, one that does not fit beside it
		letPass(5 * time.Minute)
		if n := c.Stats().ReceiveQueue; n < 500 || n > 1000 {
			t.Errorf("%d bytes are queued, of 1000", n)
		}
		close(release)
		synctest.Wait()
		if s := c.Stats(); s.Connections != 1 || c.State() != imb.Connected || s.Dropped != 0 || s.ReceiveQueue != 0 {
			t.Errorf("the state is %v, stats %+v", c.State(), s)
		}
	})
}

// The same over TCP with a real hub behind a proxy.
func TestBlackHoleIsLeft(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	var states stateRecorder
	c := connect(t, imb.Options{
		Address: proxy.Addr(), OnState: states.record, ReconnectMin: time.Millisecond,
		PingInterval: 30 * time.Millisecond, PingTimeout: 60 * time.Millisecond, ConnectTimeout: 100 * time.Millisecond,
	})
	e := c.Event("e")
	got := collectTexts(t, e)
	ready(t, c, e)
	proxy.Swallow()
	imbtest.Eventually(t, func() bool { return errors.Is(states.lastLoss(), imb.ErrUnresponsive) }, "the client gives the hub up")
	proxy.Resume()
	imbtest.Eventually(t, func() bool { return c.State() == imb.Connected }, "the client reconnects")
	must(t, e.SignalString(t.Context(), "again"))
	imbtest.Eventually(t, func() bool { return len(got.All()) > 0 }, "signals arrive again")
}
