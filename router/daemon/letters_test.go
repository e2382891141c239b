package daemon_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/deadletter"
)

// stuckSink takes no signal before it is released.
type stuckSink struct {
	took    imbtest.Collector[string]
	release chan struct{}
}

var stuck *stuckSink // of the test that runs

type stuckConfig struct{}

func (stuckConfig) Check(*config.Check)                   {}
func (stuckConfig) Traffic() config.Traffic               { return config.Traffic{} }
func (stuckConfig) Build(router.Env) (router.Sink, error) { return stuck, nil }

func (s *stuckSink) Signal(ctx context.Context, m router.Signal) error {
	select {
	case <-s.release:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.took.Add(string(m.Data))
	return nil
}

func (*stuckSink) Stream(context.Context, router.StreamInfo) (router.StreamWriter, error) {
	return nil, router.ErrNotTaken
}

// Each signal that a source's queue has no room for is a dead letter of the
// routes that want it.
func TestOverflowBecomesDeadLetters(t *testing.T) {
	const signals = 600
	stuck = &stuckSink{release: make(chan struct{})}
	addr, _ := imbtest.StartHub(t, hub.Options{})
	r := start(t, `
[connections.hub]
address = "%s"
[sources.in]
type = "imb"
events = ["e"]
queue = "64KiB"
block_timeout = "100ms"
[sinks.stuck]
type = "stuck"
[routes.all]
from = ["in"]
to = ["stuck"]
[routes.none]
from = ["in"]
to = ["stuck"]
when = 'event == "other"'
`, addr)
	sender := connect(t, addr)
	out := publish(t, sender, "e")
	for i := range signals {
		send(t, out, fmt.Sprintf("%-1000d", i))
	}
	dir := filepath.Join(r.dir, ".imbrouter", "test.dead")
	letters := func() (found map[string]string) {
		found = map[string]string{}
		for l, err := range deadletter.List(dir, "") {
			if err != nil {
				t.Fatal(err)
			}
			found[string(l.Data)] = l.Route + ": " + l.Error
		}
		return found
	}
	imbtest.Eventually(t, func() bool { return len(letters()) > signals/2 }, "the queue overflows")
	close(stuck.release)
	imbtest.Eventually(t, func() bool { return len(stuck.took.All())+len(letters()) == signals },
		"every signal is either delivered or a dead letter")
	for data, letter := range letters() {
		if want := "all: the route was too slow: the source's queue was full for longer than its block_timeout"; letter != want {
			t.Fatalf("letter of %.20q is of %s", data, letter)
		}
	}
}

// A signal that fails makes its route one that fails; sent again when the cause is
// gone it gets where it did not, and the route fails no more.
func TestAgain(t *testing.T) {
	const text = `
[connections.hub]
address = "%s"
[sources.in]
type = "imb"
events = ["in"]
[sinks.out]
type = "imb"
event = "out"
[routes.all]
from = ["in"]
to = ["out"]
when = '%s'
`
	addr, _ := imbtest.StartHub(t, hub.Options{})
	r := start(t, text, addr, "json.level > 3")
	l := listen(t, addr)
	failing := func() bool { return r.router.Observe().Routes[0].Failing }
	letters := func() (all []deadletter.Letter) {
		for l, err := range deadletter.List(filepath.Join(r.dir, ".imbrouter", "test.dead"), "") {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		return all
	}
	in := publish(t, connect(t, addr), "in")
	send(t, in, "no JSON")
	imbtest.Eventually(t, func() bool { return len(letters()) == 1 && failing() }, "the signal is a dead letter, and the route fails")
	send(t, in, `{"level": 1}`)
	imbtest.Eventually(t, func() bool { return r.router.Observe().Routes[0].Signals.NotTaken == 1 }, "another signal is left out")
	if !failing() {
		t.Error("a signal that is left out mends the route")
	}
	if err := r.daemon.Again(t.Context(), letters())[0]; err == nil || len(letters()) != 1 {
		t.Errorf("again with the same expression: %v, with %d letters", err, len(letters()))
	}
	cfg, err := config.Parse(filepath.Join(r.dir, "test.toml"), fmt.Appendf(nil, text, addr, "true"), kinds)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.daemon.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := r.daemon.Again(t.Context(), letters())[0]; err != nil {
		t.Errorf("again: %v", err)
	}
	if failing() {
		t.Error("the route still fails")
	}
	imbtest.Eventually(t, func() bool {
		return slices.ContainsFunc(l.signals.All(), func(s string) bool { return strings.HasPrefix(s, "out ") && strings.Contains(s, "no JSON") })
	}, "it gets to the hub; there are %v", l.signals.All())
	gone := letters()[0]
	gone.Route = "gone"
	if err := r.daemon.Again(t.Context(), []deadletter.Letter{gone})[0]; err == nil {
		t.Error("a route that is gone takes a letter")
	}
}
