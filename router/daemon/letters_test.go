package daemon_test

import (
	"context"
	"fmt"
	"path/filepath"
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
