package router_test

import (
	"context"
	"testing"
	"testing/synctest"

	"imbrouter/router"
)

func TestPassage(t *testing.T) {
	p := new(router.Passage)
	look := func(when string, want bool) {
		t.Helper()
		if got := p.Stuck(); got != want {
			t.Errorf("%s: Stuck is %v", when, got)
		}
	}
	look("nobody has been inside", false)
	first := p.Enter()
	look("one has come in since the last look", false)
	second := p.Enter()
	look("one stays from look to look", true)
	p.Leave(second)
	look("another one has come and gone", true)
	if !p.Busy() {
		t.Error("one is inside, and it is not busy")
	}
	p.Leave(first)
	look("all have left", false)

	// A busy passage that is never empty when somebody looks.
	last := p.Enter()
	for range 10 {
		look("others take turns", false)
		next := p.Enter()
		p.Leave(last)
		last = next
	}
	p.Leave(last)
	if p.Busy() {
		t.Error("all have left, and it is busy")
	}
}

// hangingFilter takes everything, but not before it is let go.
type hangingFilter struct {
	passage router.Passage
	free    chan struct{}
}

func (f *hangingFilter) Passage() *router.Passage { return &f.passage }

func (f *hangingFilter) Signal(s router.Signal) (router.Signal, bool, error) {
	turn := f.passage.Enter()
	defer f.passage.Leave(turn)
	<-f.free
	return s, true, nil
}

func (f *hangingFilter) Stream(info router.StreamInfo) (router.StreamInfo, bool, error) {
	return info, true, nil
}

// The route whose filter hangs is named, also when another route has taken its
// name meanwhile, until it goes on.
func TestStuckRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		filter := &hangingFilter{free: make(chan struct{})}
		source, sink := newPump("in", func(string) {}), &recorder{}
		slow := router.Route{Name: "slow", From: []string{"in"}, To: []string{"out"}, Filter: filter}
		p := plan(map[string]router.Sink{"out": sink}, slow)
		p.Sources = map[string]router.Source{"in": source}
		r, err := router.New(p, router.Options{})
		if err != nil {
			t.Fatal(err)
		}
		look := func(when, want string) {
			t.Helper()
			if _, name := r.Stuck(); name != want {
				t.Errorf("%s: %q is stuck, want %q", when, name, want)
			}
		}
		look("before it runs", "")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		next := <-source.next
		go func() { _ = next.Signal(ctx, router.Signal{Event: "a", Data: []byte("x")}) }()
		synctest.Wait()
		look("at first", "")
		look("later", "slow")
		r.Probe() // no lock is held
		p.Routes = []router.Route{route("slow", "out")}
		if err := r.Apply(ctx, p); err != nil {
			t.Fatal(err)
		}
		look("after it was replaced", "slow")
		close(filter.free)
		synctest.Wait()
		look("when it goes on", "")
		if sink.got() != "a=x" {
			t.Errorf("the sink has %q", sink.got())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
