package router_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb/wire"
	"imbrouter/router"
)

// guarded is a route in a bubble, with a sink and a log.
type guarded struct {
	t    *testing.T
	next router.Sink
	sink *recorder
	log  bytes.Buffer
}

func guard(t *testing.T, mode router.LoopGuard, filter router.Filter, test func(g *guarded)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &guarded{t: t, sink: &recorder{}}
		plan := router.Plan{
			Sinks:  map[string]router.Sink{"out": g.sink},
			Routes: []router.Route{{Name: "relay", From: []string{"in"}, To: []string{"out"}, LoopGuard: mode, Filter: filter}},
		}
		err := deliver(plan, router.Options{Log: slog.New(slog.NewTextHandler(&g.log, nil))}, func(next router.Sink) {
			g.next = next
			test(g)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func (g *guarded) send(event, text string) {
	g.t.Helper()
	g.signal(router.Signal{Federation: "north", Event: event, Relayed: true, Kind: wire.NormalEvent, Data: []byte(text)})
}

func (g *guarded) signal(s router.Signal) {
	g.t.Helper()
	s.ID = router.NextID()
	if err := g.next.Signal(context.Background(), s); err != nil && !errors.Is(err, router.ErrNotTaken) {
		g.t.Error(err)
	}
}

func (g *guarded) stream(event, name string, size int64) error {
	return sendStream(g.next, router.StreamInfo{ID: router.NextID(), Event: event, Name: name, Size: size, Relayed: true}, "body")
}

func (g *guarded) alarms() int {
	return strings.Count(g.log.String(), `level=ERROR msg="a message goes round`)
}

// odds takes signals whose data has an odd length.
type odds struct{}

func (odds) Signal(s router.Signal) (router.Signal, bool, error) {
	pass := len(s.Data)%2 == 1
	s.Data = []byte("the same for all")
	return s, pass, nil
}

func (odds) Stream(info router.StreamInfo) (router.StreamInfo, bool, error) { return info, true, nil }

// TestLoopGuard tells messages that go round from those that do not.
func TestLoopGuard(t *testing.T) {
	long := func(middle int) string {
		return strings.Repeat("a", 5000) + fmt.Sprintf("%9d", middle) + strings.Repeat("z", 5000)
	}
	for _, test := range []struct {
		name   string
		filter router.Filter
		do     func(g *guarded)
		alarm  bool
	}{
		{"a sensor that says the same every second", nil, func(g *guarded) {
			for range 2000 {
				g.send("sensor", "all is well")
				time.Sleep(time.Second)
			}
		}, false},
		{"many of them", nil, func(g *guarded) {
			for range 30 {
				for i := range 300 {
					g.send(fmt.Sprint("sensor", i), "all is well")
				}
				time.Sleep(time.Second)
			}
		}, false},
		{"a burst of equal signals", nil, func(g *guarded) {
			for range 50 {
				g.send("burst", "same")
			}
			for range 100 {
				time.Sleep(time.Second)
				g.send("burst", "same")
			}
		}, false},
		{"very many that differ", nil, func(g *guarded) {
			for i := range 20_000 {
				g.send("e", fmt.Sprint(i))
			}
		}, false},
		{"long ones that differ in the middle", nil, func(g *guarded) {
			for i := range 1000 {
				g.send("e", long(i))
			}
		}, false},
		{"the same on other events, of other kinds, in other federations", nil, func(g *guarded) {
			for range 40 {
				for _, federation := range []string{"north", "south", ""} {
					for _, event := range []string{"a", "b"} {
						for _, kind := range []wire.Kind{wire.NormalEvent, wire.ChangeObject} {
							g.signal(router.Signal{Federation: federation, Event: event, Kind: kind, Relayed: true, Data: []byte("same")})
						}
					}
				}
			}
		}, false},
		{"from this machine", nil, func(g *guarded) {
			for range 1000 {
				g.signal(router.Signal{Event: "e", Data: []byte("same")})
			}
		}, false},
		{"what the route does not take", odds{}, func(g *guarded) {
			for range 1000 {
				g.send("e", "even")
			}
		}, false},
		{"what the route makes equal", odds{}, func(g *guarded) {
			for i := range 1000 {
				g.send("e", fmt.Sprintf("%03d", i))
			}
		}, false},
		{"streams of different names", nil, func(g *guarded) {
			for i := range 1000 {
				_ = g.stream("files", fmt.Sprint(i), -1)
			}
		}, false},
		{"streams of different sizes", nil, func(g *guarded) {
			for i := range 1000 {
				_ = g.stream("files", "report.csv", int64(i))
			}
		}, false},

		{"a signal that goes round", nil, func(g *guarded) {
			for range 101 {
				g.send("e", "same")
			}
		}, true},
		{"one without data", nil, func(g *guarded) {
			for range 101 {
				g.send("e", "")
			}
		}, true},
		{"a long one", nil, func(g *guarded) {
			for range 101 {
				g.send("e", long(1))
			}
		}, true},
		{"one that takes its time", nil, func(g *guarded) {
			for range 101 {
				g.send("e", "same")
				time.Sleep(90 * time.Millisecond)
			}
		}, true},
		{"one among many others", nil, func(g *guarded) {
			for i := range 200 {
				g.send("e", "same")
				for j := range 100 {
					g.send("e", fmt.Sprint(i, j))
				}
			}
		}, true},
		{"a hundred of them", nil, func(g *guarded) {
			for range 120 {
				for i := range 100 {
					g.send("e", fmt.Sprint(i))
				}
			}
		}, true},
		{"one after a filter", odds{}, func(g *guarded) {
			for range 101 {
				g.send("e", "odd")
			}
		}, true},
		{"a stream", nil, func(g *guarded) {
			for range 101 {
				_ = g.stream("files", "report.csv", -1)
			}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			guard(t, router.LoopGuardWarn, test.filter, func(g *guarded) {
				test.do(g)
				if (g.alarms() > 0) != test.alarm {
					t.Errorf("%d alarms: %s", g.alarms(), &g.log)
				}
				if strings.Contains(g.log.String(), "lost") {
					t.Errorf("something was lost: %s", &g.log)
				}
			})
			guard(t, router.LoopGuardOff, test.filter, func(g *guarded) {
				test.do(g)
				if g.log.Len() > 0 {
					t.Errorf("logged %s", &g.log)
				}
			})
		})
	}
}

// TestLoopGuardWarns has the alarm told with the first message that is too much,
// and then seldom, while all go on.
func TestLoopGuardWarns(t *testing.T) {
	guard(t, router.LoopGuardWarn, nil, func(g *guarded) {
		for i := range 20_000 {
			g.send("e", "same")
			if want := min(i/100, 1); g.alarms() != want {
				t.Fatalf("%d alarms after %d messages", g.alarms(), i+1)
			}
		}
		if g.sink.count() != 20_000 {
			t.Errorf("%d got through", g.sink.count())
		}
		for _, part := range []string{"route=relay", "event=north.e", "kind=normal", "size=4", "count=1", "two routers may relay it"} {
			if !strings.Contains(g.log.String(), part) {
				t.Errorf("the log does not tell %s: %s", part, &g.log)
			}
		}
		time.Sleep(2 * time.Minute)
		g.send("e", "another")
		if !strings.Contains(g.log.String(), `level=INFO msg="no message goes round any more" route=relay`) {
			t.Errorf("the end is not told: %s", &g.log)
		}
	})
}

// TestLoopGuardTellsAtTheEnd has the alarms told that were only counted.
func TestLoopGuardTellsAtTheEnd(t *testing.T) {
	var ended *guarded
	guard(t, router.LoopGuardWarn, nil, func(g *guarded) {
		ended = g
		for range 1000 {
			g.send("e", "same")
		}
		if strings.Contains(g.log.String(), "untold=") {
			t.Errorf("told before the end: %s", &g.log)
		}
	})
	if !strings.Contains(ended.log.String(), "untold=") {
		t.Errorf("the end is not told: %s", &ended.log)
	}
}

// TestLoopGuardStops has a route stop, and what comes then.
func TestLoopGuardStops(t *testing.T) {
	change(t, func(t *testing.T, r *router.Router, start func(router.Plan), s *story) {
		in, stopped, other := newPump("in", s.note), &recorder{}, &recorder{}
		plan := router.Plan{
			Sources: map[string]router.Source{"in": in},
			Sinks:   map[string]router.Sink{"stopped": stopped, "other": other},
			Routes: []router.Route{
				{Name: "stopped", From: []string{"in"}, To: []string{"stopped"}, LoopGuard: router.LoopGuardStop},
				{Name: "other", From: []string{"in"}, To: []string{"other"}},
			},
		}
		start(plan)
		next := <-in.next
		send := func(text string) {
			t.Helper()
			if err := next.Signal(context.Background(), router.Signal{ID: router.NextID(), Event: "e", Relayed: true, Data: []byte(text)}); err != nil {
				t.Error(err)
			}
		}
		for range 200 {
			send("same")
		}
		send("new")
		if stopped.count() != 100 || other.count() != 201 {
			t.Errorf("%d and %d got through", stopped.count(), other.count())
		}
		// A stream from a hub is lost there; a file waits for the route alone.
		info := router.StreamInfo{ID: router.NextID(), Event: "e", Name: "f", Relayed: true}
		if err := sendStream(next, info, "1"); !errors.Is(err, router.ErrUnavailable) {
			t.Error(err)
		}
		file := router.StreamInfo{
			ID: router.NextID(), Name: "file", Path: "file",
			Replay: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("2")), nil },
		}
		err := sendStream(next, file, "2")
		if !errors.Is(err, router.ErrUnavailable) || router.Away(err) != `route "stopped"` || !strings.Contains(err.Error(), "reload the configuration") {
			t.Error(err)
		}
		if got := strings.Join(other.streams, " "); got != "f=1 file=2" {
			t.Error(got)
		}

		// A reload that changes nothing makes it go on.
		if err := r.Apply(context.Background(), plan); err != nil {
			t.Fatal(err)
		}
		send("after")
		if err := sendStream(next, file, "2"); err != nil {
			t.Error(err)
		}
		if got := stopped.signals[100:]; len(got) != 1 || got[0] != "e=after" || strings.Join(stopped.streams, " ") != "file=2" {
			t.Errorf("after the reload came %q and %q", got, stopped.streams)
		}
	})
}
