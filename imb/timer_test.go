package imb_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// bubbleHub runs a test in a bubble, with a hub and a client of it.
func bubbleHub(t *testing.T, test func(*testing.T, *hub.Hub, *imb.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		t.Cleanup(func() { must(t, h.Close()) })
		test(t, h, connect(t, imb.Options{Dial: h.Dial}))
	})
}

// collectTicks gathers the ticks of an event: timer, number, and when it came.
func collectTicks(e *imb.Event) *imbtest.Collector[string] {
	got := new(imbtest.Collector[string])
	began := time.Now()
	e.HandleTicks(func(t imb.Tick) {
		got.Add(fmt.Sprintf("%s %d at %v, clock %v", t.Timer, t.Number, time.Since(began), t.Time.Sub(t.Start)))
	})
	return got
}

func expectTicks(t *testing.T, got *imbtest.Collector[string], want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got.All()); diff != "" {
		t.Errorf("ticks (-want +got):\n%s", diff)
	}
}

func TestTimer(t *testing.T) {
	bubbleHub(t, func(t *testing.T, h *hub.Hub, creator *imb.Client) {
		listener := connect(t, imb.Options{Dial: h.Dial})
		ctx := t.Context()
		e, other := creator.Event("clock"), listener.Event("clock")
		must(t, e.Publish())
		ready(t, listener, other)
		got := collectTicks(other)

		clock := e.Timer("t")
		if clock.Name() != "t" {
			t.Errorf("the timer is called %q", clock.Name())
		}
		must(t, clock.Create(ctx, imb.TimerOptions{}))
		letPass(time.Minute)
		expectTicks(t, got)
		must(t, clock.Start(ctx))
		letPass(time.Second)
		must(t, clock.SetSpeed(ctx, 10))
		letPass(200 * time.Millisecond)
		must(t, clock.Stop(ctx))
		letPass(time.Minute)
		want := []string{"t 0 at 1m0s, clock 0s", "t 1 at 1m1s, clock 1s", "t 2 at 1m1.1s, clock 2s", "t 3 at 1m1.2s, clock 3s"}
		expectTicks(t, got, want...)
		must(t, clock.Prepare(ctx))
		must(t, creator.Flush(ctx))
		must(t, other.Timer("t").Start(ctx)) // anybody may
		letPass(50 * time.Millisecond)
		want = append(want, "t 0 at 2m1.2s, clock 0s")
		expectTicks(t, got, want...)
		must(t, clock.Cancel(ctx))
		letPass(time.Minute)
		expectTicks(t, got, want...)
		if n := h.Stats().Timers; n != 0 {
			t.Errorf("the hub has %d timers", n)
		}
	})
}

func TestTimerAcknowledgements(t *testing.T) {
	bubbleHub(t, func(t *testing.T, h *hub.Hub, c *imb.Client) {
		ctx := t.Context()
		e := c.Event("clock")
		ready(t, c, e)
		got := collectTicks(e)
		clock := e.Timer("t")
		must(t, clock.Create(ctx, imb.TimerOptions{Resolution: time.Hour, Simulated: true, Repeat: 3}))
		must(t, clock.AddAcknowledger(ctx, "model"))
		must(t, clock.AddAcknowledger(ctx, "other"))
		must(t, clock.Start(ctx))
		letPass(time.Second)
		must(t, clock.Acknowledge(ctx, "model", 24))
		letPass(time.Second)
		want := []string{"t 0 at 0s, clock 0s"}
		expectTicks(t, got, want...)
		must(t, clock.RemoveAcknowledger(ctx, "other"))
		letPass(time.Second)
		want = append(want, "t 24 at 2s, clock 24h0m0s")
		expectTicks(t, got, want...)
		must(t, clock.Acknowledge(ctx, "model", 0))
		letPass(time.Second)
		want = append(want, "t 25 at 3s, clock 25h0m0s")
		expectTicks(t, got, want...)
		must(t, clock.Acknowledge(ctx, "model", 0)) // but it was asked for three ticks
		letPass(time.Second)
		expectTicks(t, got, want...)
	})
}

// What a timer's clock shows first is as asked for.
func TestTimerClock(t *testing.T) {
	for what, o := range map[string]imb.TimerOptions{
		"present": {},
		"ahead":   {Ahead: time.Hour},
		"1984":    {Start: time.Date(1984, 1, 2, 3, 4, 5, 600, time.UTC)},
	} {
		t.Run(what, func(t *testing.T) {
			bubbleHub(t, func(t *testing.T, h *hub.Hub, c *imb.Client) {
				e := c.Event("clock")
				ready(t, c, e)
				var got imbtest.Collector[imb.Tick]
				e.HandleTicks(got.Add)
				o.Repeat = 2
				must(t, e.Timer("t").Create(t.Context(), o))
				start := o.Start
				if start.IsZero() {
					start = time.Now().Add(o.Ahead).UTC()
				}
				must(t, e.Timer("t").Start(t.Context()))
				letPass(time.Minute)
				want := []imb.Tick{
					{Timer: "t", Event: "demo.clock", Number: 0, Time: start, Start: start},
					{Timer: "t", Event: "demo.clock", Number: 1, Time: start.Add(time.Second), Start: start},
				}
				if diff := cmp.Diff(want, got.All()); diff != "" {
					t.Errorf("ticks (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTimerErrors(t *testing.T) {
	bubbleHub(t, func(t *testing.T, h *hub.Hub, c *imb.Client) {
		ctx := t.Context()
		e := c.Event("clock")
		if err := e.Timer("t").Create(ctx, imb.TimerOptions{}); !errors.Is(err, imb.ErrNotPublished) {
			t.Errorf("before Publish: %v", err)
		}
		ready(t, c, e)
		for what, o := range map[string]imb.TimerOptions{
			"negative resolution":   {Resolution: -time.Second},
			"fraction of a ms":      {Resolution: time.Millisecond + 1},
			"resolution of a month": {Resolution: 30 * 24 * time.Hour},
			"negative speed":        {Speed: -1},
			"endless speed":         {Speed: math.Inf(1)},
			"no number":             {Speed: math.NaN()},
			"negative repetition":   {Repeat: -1},
			"clock that is behind":  {Ahead: -time.Hour},
			"middle ages":           {Start: time.Date(1492, 10, 12, 0, 0, 0, 0, time.UTC)},
		} {
			if err := e.Timer("t").Create(ctx, o); !errors.Is(err, imb.ErrTimer) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := e.Timer(strings.Repeat("x", wire.MaxNameLength+1)).Create(ctx, imb.TimerOptions{}); !errors.Is(err, imb.ErrTimer) {
			t.Errorf("long name: %v", err)
		}
		if err := e.Timer("t").SetSpeed(ctx, -1); !errors.Is(err, imb.ErrTimer) {
			t.Errorf("negative speed: %v", err)
		}
		if n := h.Stats().Timers; n != 0 {
			t.Errorf("the hub has %d timers", n)
		}
		closeNow(t, c)
		if err := e.Timer("t").Create(ctx, imb.TimerOptions{}); !errors.Is(err, imb.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := e.Timer("t").Start(ctx); !errors.Is(err, imb.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A timer is not created again on another connection: only the program knows
// where its clock should begin then.
func TestTimerAndReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h, p := connectScripted(t, imb.Options{ReconnectMin: time.Millisecond}, nil)
		e := c.Event("clock")
		must(t, e.Publish())
		must(t, e.Timer("t").Create(t.Context(), imb.TimerOptions{}))
		p.serveUntil(wire.CmdCreateTimer)
		p.Close()
		p = h.accept()
		greeting := p.greet()
		if slices.ContainsFunc(greeting, func(f wire.Frame) bool { return f.Command == wire.CmdCreateTimer }) {
			t.Error("the greeting creates a timer")
		}
	})
}

// A tick that is none is counted, and not handled.
func TestMalformedTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, p := connectScripted(t, imb.Options{}, nil)
		e := c.Event("clock")
		got := collectTicks(e)
		must(t, e.Subscribe())
		p.serveUntil(wire.CmdSubscribe)
		p.Send(p.event(e.Name(), wire.TimerTick, text("t")))
		synctest.Wait()
		if n := c.Stats().Malformed; n != 1 || len(got.All()) > 0 {
			t.Errorf("%d malformed, ticks %q", n, got.All())
		}
	})
}
