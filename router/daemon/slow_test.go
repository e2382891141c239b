package daemon_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
	"imbrouter/router"
)

// slowSink is a sink that takes a while for each of its first signals.
type slowSink struct{ got imbtest.Collector[int] }

func (s *slowSink) Signal(_ context.Context, m router.Signal) error {
	if len(s.got.All()) < 100 {
		<-time.After(10 * time.Millisecond)
	}
	s.got.Add(len(m.Data))
	return nil
}

// Signals implements router.Batcher.
func (s *slowSink) Signals(ctx context.Context, batch []router.Signal) (n int, err error) {
	return 1, s.Signal(ctx, batch[0])
}

func (*slowSink) Stream(context.Context, router.StreamInfo) (router.StreamWriter, error) {
	return nil, errors.New("no streams")
}

// A sink takes longer than block_timeout for the signals that came together, but
// not for one: nothing is dropped.
func TestSlowSinkLosesNothing(t *testing.T) {
	slow := new(slowSink)
	addr, _ := imbtest.StartHub(t, hub.Options{})
	startWith(t, slow, `
[connections.hub]
address = "%s"
[sources.in]
type = "imb"
events = ["e"]
queue = "64KiB"
block_timeout = "300ms"
[sinks.slow]
type = "own"
[routes.r]
from = ["in"]
to = ["slow"]
`, addr)
	sender := connect(t, addr)
	out := publish(t, sender, "e")
	const count, size = 600, 200 // more than the queue holds
	for range count {
		if err := out.Signal(t.Context(), wire.NormalEvent, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	slow.got.Wait(t, count)
}
