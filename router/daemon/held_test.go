package daemon_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/router"
)

// heldSink is a sink that keeps the end of the stream "a" waiting. It collects
// what became of each.
type heldSink struct {
	ended imbtest.Collector[string]
	first chan struct{} // closed when that stream ends
	goOn  chan struct{} // what it waits for
}

func (*heldSink) Signal(context.Context, router.Signal) error { return router.ErrNotTaken }

func (s *heldSink) Stream(_ context.Context, info router.StreamInfo) (router.StreamWriter, error) {
	return &heldStream{sink: s, name: info.Name}, nil
}

type heldStream struct {
	sink *heldSink
	name string
	bytes.Buffer
}

func (w *heldStream) End(context.Context) error {
	if w.name == "a" {
		close(w.sink.first)
		<-w.sink.goOn
	}
	return nil
}

func (w *heldStream) Commit(context.Context) error { w.sink.ended.Add("commit " + w.name); return nil }
func (w *heldStream) Abort(cause error)            { w.sink.ended.Add("abort " + w.name + ": " + cause.Error()) }

// A stop waits for streams whose senders are done, also when a sink takes its
// time to end the one before them.
func TestStopWhileASinkHoldsTheEndOfAStream(t *testing.T) {
	held := &heldSink{first: make(chan struct{}), goOn: make(chan struct{})}
	addr, _ := imbtest.StartHub(t, hub.Options{})
	r := startWith(t, held, `
[connections.hub]
address = "%s"
[sources.in]
type = "imb"
events = ["e"]
queue = "64KiB"
[sinks.held]
type = "own"
[routes.r]
from = ["in"]
to = ["held"]
`, addr)
	sender := connect(t, addr)
	out := publish(t, sender, "e")
	for _, name := range []string{"a", "b"} {
		body := bytes.NewReader(make([]byte, 1<<20))
		if _, err := out.SendStream(t.Context(), name, body, imb.StreamOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := sender.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-held.first
	stopped := make(chan error, 1)
	go func() { stopped <- r.Stop() }()
	<-time.After(3 * time.Second) // more than the source waits for a hub that is silent
	close(held.goOn)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	got := held.ended.All()
	if len(got) != 2 || got[0] != "commit a" || got[1] != "commit b" {
		t.Errorf("%q", got)
	}
}
