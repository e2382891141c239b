package router_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"imbrouter/router"
	"imbrouter/router/deadletter"
)

// moody is a sink whose mood a signal's data tells: what is to become of it.
type moody struct {
	router.Sink
	mu    sync.Mutex
	got   []string
	tries map[uint64]int
	calls int
}

func (m *moody) Signal(_ context.Context, s router.Signal) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	return m.take(s)
}

func (m *moody) take(s router.Signal) error {
	if m.tries == nil {
		m.tries = map[uint64]int{}
	}
	m.tries[s.ID]++
	switch mood, _, _ := strings.Cut(string(s.Data), " "); {
	case mood == "declined":
		return router.ErrNotTaken
	case mood == "refused":
		return router.Permanent(errors.New("refused"))
	case mood == "away":
		return router.ErrUnavailable
	case mood == "later" && m.tries[s.ID] < 3:
		return errors.New("not yet")
	}
	m.got = append(m.got, fmt.Sprintf("%s %s=%s", s.Source, s.FullName(), s.Data))
	return nil
}

// batching is a moody sink that takes batches, though not always all of one.
type batching struct{ moody }

func (b *batching) Signals(_ context.Context, batch []router.Signal) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if begunSieves > 0 { // a sink may take long, a filter may not
		return 0, errors.New("a filter has not ended")
	}
	for _, s := range batch[:1+b.calls%len(batch)] {
		if err := b.take(s); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// picky is a filter that leaves out, fails and rewrites.
type picky struct{ router.Filter }

func (picky) Signal(s router.Signal) (router.Signal, bool, error) {
	if strings.Contains(string(s.Data), "broken") {
		return s, false, errors.New("broken")
	}
	pass := !strings.Contains(string(s.Data), "left out")
	s.Event = "new." + s.Event
	return s, pass, nil
}

// pickyBatches is picky for batches.
type pickyBatches struct{ picky }

func (f pickyBatches) Begin() router.SignalFilter {
	begunSieves++
	return sieve(f)
}

// begunSieves is how many have begun and not ended.
var begunSieves int

type sieve pickyBatches

func (s sieve) Signal(in, out *router.Signal) (pass bool, err error) {
	*out, pass, err = s.picky.Signal(*in)
	return pass, err
}

func (sieve) End() { begunSieves-- }

// TestBatches has signals handed on one by one and in batches, through one route
// and several: all the rest is the same.
func TestBatches(t *testing.T) {
	moods := []string{"good", "good", "good", "good", "declined", "refused", "away", "later", "left out", "broken"}
	for _, routes := range [][]router.Route{
		{{Name: "r", To: []string{"a"}}},
		{{Name: "r", To: []string{"a"}, Filter: picky{}}},
		{{Name: "r", To: []string{"a"}, Filter: pickyBatches{}}},
		{{Name: "r", To: []string{"a"}, LoopGuard: router.LoopGuardStop, Filter: picky{}}},
		{{Name: "r", To: []string{"a", "b"}, Filter: picky{}}},
		{{Name: "r", To: []string{"a"}, Filter: onlyOf("e1")}, {Name: "s", To: []string{"b"}, Filter: onlyOf("e2")}},
		{{Name: "r", To: []string{"a"}, Filter: onlyOf("e1")}, {Name: "s", To: []string{"b"}}},
	} {
		for i := range routes {
			routes[i].From = []string{"in"}
		}
		for seed := range uint64(20) {
			random := rand.New(rand.NewPCG(seed, 0))
			var signals []router.Signal
			for i := range 300 {
				text := fmt.Sprintf("%s %d", moods[random.IntN(len(moods))], i)
				if seed%4 == 0 {
					text = "good, and the same" // which the guard stops
				}
				signals = append(signals, router.Signal{
					ID: uint64(i) + 1, Federation: "north", Event: fmt.Sprint("e", random.IntN(3)), Relayed: true, Data: []byte(text),
				})
			}
			send := func(batches bool) (got []string, o router.Observation) {
				synctest.Test(t, func(t *testing.T) { // for the pauses between tries
					got, o = sendMoody(t, routes, slices.Clone(signals), batches, random)
				})
				return got, o
			}
			want, wantObserved := send(false)
			got, observed := send(true)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%v, seed %d: what became of the signals (-one by one, +in batches)\n%s", routes, seed, diff)
			}
			times := cmpopts.IgnoreFields(router.Observed{}, "Succeeded", "Failed")
			if diff := cmp.Diff(wantObserved, observed, times, cmpopts.IgnoreTypes(router.Durations{})); diff != "" {
				t.Fatalf("%v, seed %d: what was counted (-one by one, +in batches)\n%s", routes, seed, diff)
			}
		}
	}
}

// sendMoody sends signals along routes to moody sinks, and returns what these got
// and the dead letters.
func sendMoody(t *testing.T, routes []router.Route, signals []router.Signal, batches bool, random *rand.Rand) (got []string, o router.Observation) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dead")
	store, err := deadletter.Open(dir, deadletter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := new(batching), new(batching)
	p := router.Plan{Routes: routes, Sinks: map[string]router.Sink{"a": a, "b": b}}
	ctx, cancel := context.WithCancel(t.Context())
	var r *router.Router
	p.Sources = map[string]router.Source{"in": sourceFunc(func(_ context.Context, next router.Sink) error {
		defer cancel()
		for rest := signals; len(rest) > 0; {
			n := 1
			if batches {
				n = 1 + random.IntN(min(len(rest), 64))
				next.(router.Passer).Pass(rest[:n], func() {})
			} else if err := next.Signal(t.Context(), rest[0]); err != nil && !errors.Is(err, router.ErrNotTaken) {
				t.Error(err)
			}
			rest = rest[n:]
		}
		o = r.Observe()
		return nil
	})}
	if r, err = router.New(p, router.Options{DeadLetters: store}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Run(ctx), store.Close()); err != nil {
		t.Fatal(err)
	}
	for i, sink := range []*batching{a, b} {
		for _, line := range sink.got {
			got = append(got, fmt.Sprint(i, " ", line))
		}
	}
	for l, err := range deadletter.List(dir, "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("dead %s %v %s=%s: %s", l.Route, l.Sinks, l.FullName(), l.Data, l.Error))
	}
	return got, o
}

// onlyOf takes the signals of one event.
type onlyOf string

func (e onlyOf) Signal(s router.Signal) (router.Signal, bool, error) {
	return s, e.MayTake("", s.Event), nil
}

func (e onlyOf) Stream(info router.StreamInfo) (router.StreamInfo, bool, error) {
	return info, e.MayTake("", info.Event), nil
}

func (e onlyOf) MayTake(_, event string) bool { return event == string(e) }

// TestBatchesReachTheSinkTogether: one call of the sink for those of a batch.
func TestBatchesReachTheSinkTogether(t *testing.T) {
	sink := &together{}
	p := router.Plan{Sinks: map[string]router.Sink{"out": sink}, Routes: []router.Route{{Name: "r", From: []string{"in"}, To: []string{"out"}}}}
	err := deliver(p, router.Options{}, func(next router.Sink) {
		next.(router.Passer).Pass(make([]router.Signal, 64), func() {})
	})
	if err != nil || !slices.Equal(sink.batches, []int{64}) {
		t.Errorf("%v, batches of %d", err, sink.batches)
	}
}

// together is a sink that takes batches whole.
type together struct {
	router.Sink
	batches []int
}

func (s *together) Signals(_ context.Context, batch []router.Signal) (n int, err error) {
	s.batches = append(s.batches, len(batch))
	return len(batch), nil
}

// TestProgressOfABatch: whatever becomes of the signals of a batch, its source is
// told of progress after each that takes long.
func TestProgressOfABatch(t *testing.T) {
	for _, routes := range [][]router.Route{
		{{Name: "r", From: []string{"in"}, To: []string{"slow"}}},
		{{Name: "r", From: []string{"in"}, To: []string{"slow", "other"}}},
		{{Name: "r", From: []string{"in"}, To: []string{"slow"}, Filter: onlyOf("e")}, {Name: "s", From: []string{"in"}, To: []string{"other"}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := router.Plan{Sinks: map[string]router.Sink{"slow": slow{}, "other": new(recorder)}, Routes: routes}
			err := deliver(p, router.Options{}, func(next router.Sink) {
				batch := make([]router.Signal, 64)
				for i := range batch {
					batch[i] = router.Signal{ID: router.NextID(), Event: "e", Data: []byte{byte(i)}}
				}
				last := time.Now()
				next.(router.Passer).Pass(batch, func() {
					if since := time.Since(last); since > 6*time.Second {
						t.Errorf("%v without progress", since)
					}
					last = time.Now()
				})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDurationsOfABatch: signals of a batch that a sink takes one after the other
// have not taken as long as all of them.
func TestDurationsOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := router.Plan{Sinks: map[string]router.Sink{"slow": slow{}}, Routes: []router.Route{{Name: "r", From: []string{"in"}, To: []string{"slow"}}}}
		o := observing(t, p, func(_ context.Context, next router.Sink) {
			batch := make([]router.Signal, 64)
			for i := range batch {
				batch[i].Data = []byte{byte(3*(i/3) + min(i%3, 1))} // no failures
			}
			<-time.After(time.Second) // since the router's beginning
			next.(router.Passer).Pass(batch, func() {})
		})
		for name, f := range map[string]router.Flow{"route": o.Routes[0].Signals, "sink": o.Sinks[0].Signals} {
			count := uint64(0)
			for _, n := range f.Took.Counts {
				count += n
			}
			if count != 1 || f.Took.Sum > 2*time.Second {
				t.Errorf("%s: %d of 64 signals took %v, want one that took 2 s at most", name, count, f.Took.Sum)
			}
		}
	})
}

// slow is a sink that takes a second for a signal, and at most two at a time. Of
// some it says that they may be tried again.
type slow struct{ router.Sink }

func (slow) Signal(_ context.Context, s router.Signal) error {
	<-time.After(time.Second)
	if s.Data[0]%3 == 2 {
		return errors.New("not now")
	}
	return nil
}

func (s slow) Signals(ctx context.Context, batch []router.Signal) (n int, err error) {
	for _, signal := range batch[:min(len(batch), 2)] {
		if err := s.Signal(ctx, signal); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
