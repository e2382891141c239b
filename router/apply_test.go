package router_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"imbrouter/router"
)

// pump is a source of which a test uses what it pushes into.
type pump struct {
	part
	next chan router.Sink
}

func newPump(name string, note func(string)) *pump {
	return &pump{part{name, note, nil}, make(chan router.Sink, 1)}
}

func (p *pump) Run(ctx context.Context, next router.Sink) error {
	p.note("run " + p.name)
	p.next <- next
	<-ctx.Done()
	p.note("end " + p.name)
	return nil
}

// hubPump is a pump that listens.
type hubPump struct {
	*pump
	ready chan struct{}
}

func newHubPump(name string, note func(string)) hubPump {
	ready := make(chan struct{})
	return hubPump{newPump(name, func(event string) {
		note(event)
		if strings.HasPrefix(event, "run") {
			close(ready)
		}
	}), ready}
}

func (p hubPump) Ready() <-chan struct{} { return p.ready }

// story notes what happens to parts.
type story struct {
	mu     sync.Mutex
	events []string
}

func (s *story) note(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
}

// since returns what has happened since the last call.
func (s *story) since() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(s.events, ", ")
	s.events = nil
	return text
}

// change runs a router in a bubble, with a plan that test changes.
func change(t *testing.T, test func(t *testing.T, r *router.Router, start func(router.Plan), s *story)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		r, err := router.New(router.Plan{}, router.Options{})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		test(t, r, func(p router.Plan) {
			t.Helper()
			if err := r.Apply(ctx, p); err != nil {
				t.Fatal(err)
			}
		}, new(story))
		cancel()
		running.Wait()
	})
}

func TestApplyLeavesTheSamePartsAlone(t *testing.T) {
	change(t, func(t *testing.T, _ *router.Router, apply func(router.Plan), s *story) {
		in, hub := newPump("in", s.note), newHubPump("hub", s.note)
		a, b := &openSink{part: part{"a", s.note, nil}}, &openSink{part: part{"b", s.note, nil}}
		apply(router.Plan{
			Sources: map[string]router.Source{"in": in, "hub": hub},
			Sinks:   map[string]router.Sink{"a": a},
			Routes:  []router.Route{{Name: "r", From: []string{"in", "hub"}, To: []string{"a"}}},
		})
		if got, want := s.since(), "open a, open hub, open in, run hub, run in"; got != want {
			t.Errorf("first: %s\nwant: %s", got, want)
		}
		next := <-in.next
		w, err := next.Stream(t.Context(), router.StreamInfo{ID: 1, Event: "e", Name: "long"})
		if err != nil {
			t.Fatal(err)
		}

		apply(router.Plan{
			Sources: map[string]router.Source{"in": in},
			Sinks:   map[string]router.Sink{"b": b},
			Routes:  []router.Route{{Name: "r", From: []string{"in"}, To: []string{"b"}}},
		})
		if got, want := s.since(), "open b, end hub, close hub"; got != want {
			t.Errorf("then: %s\nwant: %s", got, want)
		}
		if err := next.Signal(t.Context(), router.Signal{ID: 2, Event: "e"}); err != nil {
			t.Error(err)
		}
		if _, err := io.WriteString(w, "body"); err != nil {
			t.Error(err)
		}
		if got := s.since(); got != "" {
			t.Errorf("a sink that a stream goes to: %s", got)
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Error(err)
		}
		if got := s.since(); got != "close a" {
			t.Errorf("after the stream: %s", got)
		}
		if a.got() != "long=body" || b.got() != "e=" {
			t.Errorf("a got %q, b got %q", a.got(), b.got())
		}
	})
}

// What was only counted is told when a route goes, and when the router stops.
func TestCountsOfFailuresAreToldAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedText
		in := newPump("in", func(string) {})
		failing := func() router.Sink {
			return &recorder{fail: slices.Repeat([]error{router.Permanent(errors.New("no such thing"))}, 50)}
		}
		p := func() router.Plan {
			return router.Plan{
				Sources: map[string]router.Source{"in": in}, Sinks: map[string]router.Sink{"broken": failing()},
				Routes: []router.Route{{Name: "r", From: []string{"in"}, To: []string{"broken"}}},
			}
		}
		r, err := router.New(p(), router.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		next := <-in.next
		send := func() {
			for range 50 {
				if err := next.Signal(ctx, router.Signal{ID: router.NextID(), Event: "e"}); err != nil {
					t.Error(err)
				}
			}
		}
		told := func() int {
			synctest.Wait()
			return strings.Count(log.String(), "count=50 untold=49")
		}
		send()
		before := told()
		if err := r.Apply(ctx, p()); err != nil {
			t.Fatal(err)
		}
		replaced := told()
		send()
		cancel()
		running.Wait()
		if stopped := told(); before != 0 || replaced != 1 || stopped != 2 {
			t.Errorf("told %d, %d and %d times:\n%s", before, replaced, stopped, &log)
		}
	})
}

// lockedText is a log that may be read meanwhile.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestApplyReplacesSources(t *testing.T) {
	change(t, func(t *testing.T, _ *router.Router, apply func(router.Plan), s *story) {
		sink := &openSink{part: part{"sink", s.note, nil}}
		plan := func(folder, hub router.Source) router.Plan {
			return router.Plan{
				Sources: map[string]router.Source{"folder": folder, "hub": hub},
				Sinks:   map[string]router.Sink{"sink": sink},
				Routes:  []router.Route{{Name: "r", From: []string{"folder", "hub"}, To: []string{"sink"}}},
			}
		}
		folder := newPump("folder", s.note)
		apply(plan(folder, newHubPump("hub", s.note)))
		s.since()
		w, err := (<-folder.next).Stream(t.Context(), router.StreamInfo{ID: 1, Event: "e", Name: "s"})
		if err != nil {
			t.Fatal(err)
		}
		apply(plan(newPump("folder 2", s.note), newHubPump("hub 2", s.note)))
		// What listens overlaps; who has a folder waits for the other.
		want := "open hub 2, run hub 2, end hub, close hub, end folder, close folder, open folder 2, run folder 2"
		if got := eachPart(s.since()); got != eachPart(want) {
			t.Errorf("%s\nwant: %s", got, eachPart(want))
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Error(err)
		}
		if sink.got() != "s=" {
			t.Errorf("sink got %q", sink.got())
		}
	})
}

// eachPart leaves the order among the steps of one part, and drops that
// between parts, which run side by side.
func eachPart(events string) string {
	parts := map[string][]string{}
	for _, event := range strings.Split(events, ", ") {
		_, name, _ := strings.Cut(event, " ")
		name = strings.TrimSuffix(name, " 2")
		parts[name] = append(parts[name], event)
	}
	return fmt.Sprint(parts)
}

func TestApplyThatFailsChangesNothing(t *testing.T) {
	change(t, func(t *testing.T, r *router.Router, apply func(router.Plan), s *story) {
		in := newPump("in", s.note)
		a := &openSink{part: part{"a", s.note, nil}}
		routes := []router.Route{{Name: "r", From: []string{"in"}, To: []string{"a"}}}
		apply(router.Plan{
			Sources: map[string]router.Source{"in": in}, Sinks: map[string]router.Sink{"a": a}, Routes: routes,
		})
		s.since()
		locked := errors.New("locked by pid 1")
		err := r.Apply(t.Context(), router.Plan{
			Sources: map[string]router.Source{"more": openSource{part{"more", s.note, locked}}},
			Sinks:   map[string]router.Sink{"b": &openSink{part: part{"b", s.note, nil}}},
		})
		if !errors.Is(err, locked) {
			t.Errorf("Apply gives %v", err)
		}
		if got, want := s.since(), "open b, open more, close b"; got != want {
			t.Errorf("%s\nwant: %s", got, want)
		}
		err = r.Apply(t.Context(), router.Plan{Routes: []router.Route{{Name: "r", To: []string{"nowhere"}}}})
		if err == nil {
			t.Error("a route to nowhere is taken")
		}
		if err := (<-in.next).Signal(t.Context(), router.Signal{ID: 1, Event: "e"}); err != nil || a.got() != "e=" {
			t.Errorf("%v; a got %q", err, a.got())
		}
	})
}

func TestApplyAfterTheStop(t *testing.T) {
	var stopped *router.Router
	change(t, func(t *testing.T, r *router.Router, _ func(router.Plan), _ *story) { stopped = r })
	if err := stopped.Apply(t.Context(), router.Plan{}); !errors.Is(err, router.ErrStopping) {
		t.Errorf("Apply gives %v", err)
	}
}

// traffic is a source that sends signals and streams without a pause.
type traffic struct {
	t     *testing.T
	sent  int           // of each; read it when Run has returned
	sends chan struct{} // is received from when something was sent
}

func (s *traffic) Run(ctx context.Context, next router.Sink) error {
	for ctx.Err() == nil {
		if err := next.Signal(ctx, router.Signal{ID: router.NextID(), Event: "e"}); err != nil {
			s.t.Error(err)
		}
		if err := sendStream(next, router.StreamInfo{ID: router.NextID(), Name: "s"}, "body"); err != nil {
			s.t.Error(err)
		}
		s.sent++
		select {
		case s.sends <- struct{}{}:
		default:
		}
	}
	return nil
}

// What is sent while plans change arrives, and once.
func TestApplyUnderTraffic(t *testing.T) {
	const changes = 200
	in := &traffic{t: t, sends: make(chan struct{})}
	sinks := []*recorder{{}, {}}
	plan := func(i int) router.Plan {
		name := fmt.Sprint("sink ", i%2)
		return router.Plan{
			Sources: map[string]router.Source{"in": in},
			Sinks:   map[string]router.Sink{name: sinks[i%2]},
			Routes:  []router.Route{{Name: "r", From: []string{"in"}, To: []string{name}}},
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := router.New(plan(0), router.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	for i := range changes {
		<-in.sends
		if err := r.Apply(ctx, plan(i)); err != nil {
			t.Error(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	signals := len(sinks[0].signals) + len(sinks[1].signals)
	streams := len(sinks[0].streams) + len(sinks[1].streams)
	if signals != in.sent || streams != in.sent {
		t.Errorf("of %d signals and streams each %d and %d arrived", in.sent, signals, streams)
	}
	if len(sinks[0].signals) == 0 || len(sinks[1].signals) == 0 {
		t.Error("one sink got nothing")
	}
}

// A file that is tried again after a change does not go to the sinks that had it
// before, whatever of the plan has changed.
func TestApplyResendsNothing(t *testing.T) {
	routes := func(to ...[]string) (all []router.Route) {
		for i, names := range to {
			all = append(all, router.Route{Name: fmt.Sprint("r", i), From: []string{"in"}, To: names})
		}
		return all
	}
	together := routes([]string{"good", "bad", "refusing"})
	apart := routes([]string{"good"}, []string{"bad"}, []string{"refusing"})
	for _, test := range []struct {
		name          string
		before, after []router.Route
		replaced      []string // sinks that are new values after the change
		want          string   // what the sinks have in the end
	}{
		{"failing sink", together, together, []string{"bad"}, "good: f=x bad: f=x refusing: third: "},
		{"refusing sink", together, together, []string{"bad", "refusing"}, "good: f=x bad: f=x refusing: f=x third: "},
		{"every sink", together, together, []string{"good", "bad", "refusing"}, "good: f=x bad: f=x refusing: f=x third: "},
		{"failing sink of another route", apart, apart, []string{"bad"}, "good: f=x bad: f=x refusing: third: "},
		{"one route more", apart, append(apart[:3:3], router.Route{Name: "new", From: []string{"in"}, To: []string{"third"}}), nil,
			"good: f=x bad: refusing: third: f=x"},
		{"one sink more", together, routes([]string{"third", "bad", "refusing", "good"}), nil, "good: f=x bad: refusing: third: f=x"},
		{"one sink less", together, routes([]string{"good"}), nil, "good: f=x bad: refusing: third: "},
		{"one route less", apart, apart[:1], nil, "good: f=x bad: refusing: third: "},
	} {
		for _, open := range []bool{false, true} { // whether the first try lasts beyond the change
			t.Run(fmt.Sprintf("%s, open %v", test.name, open), func(t *testing.T) {
				change(t, func(t *testing.T, _ *router.Router, apply func(router.Plan), s *story) {
					in := newPump("in", s.note)
					names := []string{"good", "bad", "refusing", "third"}
					has := map[string]string{}
					sinks := map[string]router.Sink{
						"good": &recorder{}, "third": &recorder{},
						"bad":      &recorder{fail: slices.Repeat([]error{errors.New("disk full")}, 9)},
						"refusing": &recorder{fail: slices.Repeat([]error{router.Permanent(errors.New("no"))}, 9)},
					}
					collect := func(name string) { has[name] += sinks[name].(*recorder).got() }
					info := router.StreamInfo{ID: 7, Event: "e", Name: "f", Replay: func() (io.ReadCloser, error) { return nil, nil }}
					apply(router.Plan{Sources: map[string]router.Source{"in": in}, Sinks: sinks, Routes: test.before})
					next := <-in.next
					w, err := next.Stream(t.Context(), info)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.WriteString(w, "x"); err != nil {
						t.Fatal(err)
					}
					if !open {
						if err := w.Commit(t.Context()); err == nil {
							t.Fatal("the first try succeeds")
						}
					}
					changed := maps.Clone(sinks)
					for _, name := range test.replaced {
						changed[name] = &recorder{}
					}
					apply(router.Plan{Sources: map[string]router.Source{"in": in}, Sinks: changed, Routes: test.after})
					if open {
						if err := w.Commit(t.Context()); err == nil {
							t.Fatal("the first try succeeds")
						}
					}
					for _, name := range test.replaced {
						collect(name)
					}
					sinks = changed
					for range 2 {
						if err := sendStream(next, info, "x"); err == nil || errors.Is(err, router.ErrPermanent) {
							break
						}
					}
					var got []string
					for _, name := range names {
						collect(name)
						got = append(got, strings.TrimSpace(name+": "+has[name]))
					}
					if got := strings.Join(got, " "); got != strings.TrimSpace(test.want) {
						t.Errorf("the sinks have %s\nwant: %s", got, test.want)
					}
				})
			})
		}
	}
}
