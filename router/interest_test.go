package router_test

import (
	"errors"
	"fmt"
	"testing"

	"imbrouter/router"
)

// oneEvent is a filter that takes one event, and counts what it is asked.
type oneEvent struct {
	event string
	asked int
}

func (f *oneEvent) MayTake(_, event string) bool { return event == f.event }

func (f *oneEvent) Signal(s router.Signal) (router.Signal, bool, error) {
	f.asked++
	return s, s.Event == f.event, nil
}

func (f *oneEvent) Stream(info router.StreamInfo) (router.StreamInfo, bool, error) {
	f.asked++
	return info, info.Event == f.event, nil
}

// A signal concerns the routes only that may take its event.
func TestSignalsAreKeptFromRoutesThatDoNotWantTheirEvent(t *testing.T) {
	const events = 5000 // more than are remembered
	all, one := &recorder{}, &recorder{}
	wanted := &oneEvent{event: "e7"}
	p := plan(map[string]router.Sink{"all": all, "one": one}, route("all", "all"),
		router.Route{Name: "one", From: []string{"in"}, To: []string{"one"}, Filter: wanted})
	err := deliver(p, router.Options{}, func(next router.Sink) {
		for range 2 {
			for n := range events {
				s := router.Signal{ID: router.NextID(), Event: fmt.Sprint("e", n)}
				if err := next.Signal(t.Context(), s); err != nil {
					t.Error(err)
				}
			}
		}
		if err := sendStream(next, router.StreamInfo{ID: router.NextID(), Event: "e7", Name: "s"}, "x"); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if all.count() != 2*events+1 {
		t.Errorf("the route without a filter got %d of %d", all.count(), 2*events+1)
	}
	if got := one.got(); got != "e7= e7= s=x" {
		t.Errorf("the other got %q", got)
	}
	if wanted.asked != 3 {
		t.Errorf("its filter was asked %d times, want 3", wanted.asked)
	}
}

func TestSignalThatNoRouteWantsIsNotTaken(t *testing.T) {
	out := &recorder{}
	filtered := func(name string) router.Route {
		return router.Route{Name: name, From: []string{"in"}, To: []string{"out"}, Filter: &oneEvent{event: name}}
	}
	p := plan(map[string]router.Sink{"out": out}, filtered("a"), filtered("b"))
	err := deliver(p, router.Options{}, func(next router.Sink) {
		err := next.Signal(t.Context(), router.Signal{ID: router.NextID(), Event: "c"})
		if !errors.Is(err, router.ErrNotTaken) {
			t.Errorf("Signal gives %v", err)
		}
	})
	if err != nil || out.count() != 0 {
		t.Errorf("%v; the sink was called %d times", err, out.count())
	}
}
