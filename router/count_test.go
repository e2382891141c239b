package router_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router"
)

// observing runs a route from "in" to sinks while do pushes into it, and returns
// what was observed when do was done.
func observing(t *testing.T, p router.Plan, do func(ctx context.Context, next router.Sink)) (o router.Observation) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var r *router.Router
	p.Sources = map[string]router.Source{"in": sourceFunc(func(ctx context.Context, next router.Sink) error {
		defer cancel()
		do(ctx, next)
		o = r.Observe()
		return nil
	})}
	r, err := router.New(p, router.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return o
}

func find(t *testing.T, parts []router.Observed, name string) router.Observed {
	t.Helper()
	for _, part := range parts {
		if part.Name == name {
			return part
		}
	}
	t.Fatalf("%q is not observed", name)
	return router.Observed{}
}

// failures returns the causes that there were.
func failures(f router.Flow) string {
	var all []string
	for cause := range router.Cause(len(f.Failures)) {
		if n := f.Failures[cause]; n > 0 {
			all = append(all, fmt.Sprint(n, " ", cause))
		}
	}
	return strings.Join(all, ", ")
}

// broken is a filter that fails on everything.
type broken struct{}

func (broken) Signal(s router.Signal) (router.Signal, bool, error) {
	return s, false, router.Permanent(errors.New("broken"))
}

func (broken) Stream(i router.StreamInfo) (router.StreamInfo, bool, error) {
	return i, false, errors.New("broken")
}

func TestCausesOfFailures(t *testing.T) {
	for _, tt := range []struct {
		name         string
		fail         []error // of the sink
		filter       router.Filter
		signal       bool
		body         string
		route, sinks string // failures
	}{
		{name: "signal", signal: true},
		{name: "signal refused", signal: true, fail: []error{router.Permanent(errors.New("no"))}, route: "1 refused", sinks: "1 refused"},
		{name: "signal unavailable", signal: true, fail: []error{router.ErrUnavailable}, route: "1 unavailable", sinks: "1 unavailable"},
		{name: "signal at the second try", signal: true, fail: []error{errors.New("no")}, sinks: "1 other"},
		{name: "signal cut off", signal: true, fail: []error{router.Permanent(context.Canceled)}, route: "1 stopped", sinks: "1 stopped"},
		{name: "signal not taken", signal: true, fail: []error{router.ErrNotTaken}},
		{name: "signal only shown", signal: true, fail: []error{router.ErrShown}},
		{name: "signal, expression", signal: true, filter: broken{}, route: "1 expression"},
		{name: "stream", body: "whole"},
		{name: "stream refused", fail: []error{router.Permanent(errors.New("no"))}, route: "1 refused", sinks: "1 refused"},
		{name: "stream breaks", body: "POISON", route: "1 other", sinks: "1 other"},
		{name: "stream, expression", filter: broken{}, route: "1 expression"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := plan(map[string]router.Sink{"out": &recorder{fail: tt.fail}}, router.Route{Name: "r", From: []string{"in"}, To: []string{"out"}, Filter: tt.filter})
			o := observing(t, p, func(ctx context.Context, next router.Sink) {
				if tt.signal {
					_ = next.Signal(ctx, router.Signal{ID: router.NextID(), Data: []byte("12345")})
				} else {
					_ = sendStream(next, router.StreamInfo{ID: router.NextID(), Name: "s"}, tt.body)
				}
			})
			route, sink, source := find(t, o.Routes, "r"), find(t, o.Sinks, "out"), find(t, o.Sources, "in")
			flow := func(part router.Observed) router.Flow {
				if tt.signal {
					return part.Signals
				}
				return part.Streams
			}
			if got := failures(flow(route)); got != tt.route {
				t.Errorf("the route has failures %q, want %q", got, tt.route)
			}
			if got := failures(flow(sink)); got != tt.sinks {
				t.Errorf("the sink has failures %q, want %q", got, tt.sinks)
			}
			if flow(source).Messages != 1 || flow(route).Messages != 1 || tt.signal && flow(source).Bytes != 5 {
				t.Errorf("source %+v, route %+v", flow(source), flow(route))
			}
			notTaken := uint64(0)
			if len(tt.fail) > 0 && errors.Is(tt.fail[0], router.ErrNotTaken) {
				notTaken = 1
			}
			if flow(route).NotTaken != notTaken || flow(source).NotTaken != notTaken {
				t.Errorf("not taken: %d by the route, %d by the source, want %d", flow(route).NotTaken, flow(source).NotTaken, notTaken)
			}
			failed := tt.route != ""
			if (route.Failed != nil) != failed || failed && route.Failed.Err == nil {
				t.Errorf("the route's last failure is %+v", route.Failed)
			}
			if succeeded := !failed && (notTaken == 0 || errors.Is(tt.fail[0], router.ErrShown)); route.Succeeded.IsZero() == succeeded {
				t.Errorf("the route's last success is %v", route.Succeeded)
			}
			if source.Transfers != 0 || route.Transfers != 0 || sink.Transfers != 0 {
				t.Error("a stream is in transit at the end")
			}
		})
	}
}

func TestStreamThatItsSourceAbortsIsIncomplete(t *testing.T) {
	p := plan(map[string]router.Sink{"out": &recorder{}}, route("r", "out"))
	o := observing(t, p, func(ctx context.Context, next router.Sink) {
		w, err := next.Stream(ctx, router.StreamInfo{ID: router.NextID(), Name: "s"})
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(w, "half")
		w.Abort(errors.New("cut off"))
	})
	for _, part := range []router.Observed{find(t, o.Sources, "in"), find(t, o.Routes, "r"), find(t, o.Sinks, "out")} {
		if got := failures(part.Streams); got != "1 incomplete" || part.Streams.Bytes != 4 || part.Transfers != 0 {
			t.Errorf("%s: %q, %d bytes, %d in transit", part.Name, got, part.Streams.Bytes, part.Transfers)
		}
	}
}

// Each sink of a route counts for itself.
func TestStreamToTwoSinks(t *testing.T) {
	p := plan(map[string]router.Sink{"a": &recorder{}, "b": &recorder{}}, route("r", "a", "b"))
	o := observing(t, p, func(ctx context.Context, next router.Sink) {
		w, err := next.Stream(ctx, router.StreamInfo{ID: router.NextID(), Name: "s"})
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(w, strings.NewReader("some bytes"))
		_ = w.Commit(ctx)
	})
	for _, name := range []string{"a", "b"} {
		sink := find(t, o.Sinks, name)
		if sink.Streams.Bytes != 10 || sink.Streams.Messages != 1 || sink.Transfers != 0 {
			t.Errorf("sink %s: %+v", name, sink)
		}
		var timed uint64
		for _, n := range sink.Streams.Took.Counts {
			timed += n
		}
		if timed != 1 {
			t.Errorf("sink %s has timed %d streams", name, timed)
		}
	}
}

// All signals are timed while there are few, and one of many when there are
// many; the last success is right to a second.
func TestSignalsAreTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 30
		p := plan(map[string]router.Sink{"out": &recorder{}}, route("r", "out"))
		var last time.Time
		o := observing(t, p, func(ctx context.Context, next router.Sink) {
			for range slow {
				time.Sleep(1500 * time.Millisecond)
				_ = next.Signal(ctx, router.Signal{ID: router.NextID()})
			}
			last = time.Now()
			for range 6400 {
				_ = next.Signal(ctx, router.Signal{ID: router.NextID()})
			}
		})
		sink := find(t, o.Sinks, "out")
		var timed uint64
		for _, n := range sink.Signals.Took.Counts {
			timed += n
		}
		if timed < slow || timed > slow+6400/64+1 {
			t.Errorf("%d signals are timed", timed)
		}
		if d := last.Sub(sink.Succeeded); d < 0 || d > time.Second {
			t.Errorf("the last success was %v before the last signal", d)
		}
	})
}

// A source that has failed is down until it runs again.
func TestSourceThatFailsIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		runs := 0
		p := plan(map[string]router.Sink{"out": &recorder{}}, route("r", "out"))
		p.Sources = map[string]router.Source{"in": sourceFunc(func(ctx context.Context, _ router.Sink) error {
			if runs++; runs == 1 {
				return errors.New("no luck")
			}
			<-ctx.Done()
			return nil
		})}
		r, err := router.New(p, router.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		synctest.Wait()
		source := find(t, r.Observe().Sources, "in")
		if !source.Down || source.Restarts != 1 || source.Failed == nil || source.Failed.Err.Error() != "no luck" {
			t.Errorf("after a failure it is %+v", source)
		}
		time.Sleep(time.Minute)
		if source := find(t, r.Observe().Sources, "in"); source.Down || source.Restarts != 1 {
			t.Errorf("when it runs again it is %+v", source)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Who finds a source down finds why, however soon he looks.
func TestSourceIsNotDownWithoutAFailure(t *testing.T) {
	p := plan(map[string]router.Sink{"out": &recorder{}}, route("r", "out"))
	p.Sources = map[string]router.Source{"in": sourceFunc(func(context.Context, router.Sink) error { return errors.New("no luck") })}
	for i := range 1000 {
		p.Sources[fmt.Sprint("in", i)] = p.Sources["in"]
	}
	r, err := router.New(p, router.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	for down := 0; down < len(p.Sources); {
		down = 0
		for _, source := range r.Observe().Sources {
			if !source.Down {
				continue
			}
			if down++; source.Failed == nil {
				t.Fatalf("%s is down, and has not failed", source.Name)
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Many signals from several goroutines are all counted, while somebody looks on.
func TestCountsAreExact(t *testing.T) {
	const each, size = 50_000, 1000
	p := plan(map[string]router.Sink{"out": discard{}}, route("r", "out"))
	ctx, cancel := context.WithCancel(t.Context())
	var r *router.Router
	p.Sources = map[string]router.Source{"in": sourceFunc(func(ctx context.Context, next router.Sink) error {
		defer cancel()
		var sending sync.WaitGroup
		for range 4 {
			sending.Go(func() {
				s := router.Signal{Data: make([]byte, size)}
				for range each {
					if err := next.Signal(ctx, s); err != nil {
						t.Error(err)
					}
				}
			})
		}
		sent := make(chan struct{})
		go func() { sending.Wait(); close(sent) }()
		before := uint64(0)
		for {
			now := find(t, r.Observe().Sinks, "out").Signals
			if now.Messages < before || now.Bytes != now.Messages*size {
				t.Errorf("%d messages and %d bytes after %d messages", now.Messages, now.Bytes, before)
			}
			before = now.Messages
			select {
			case <-sent:
				return nil
			default:
			}
		}
	})}
	r, err := router.New(p, router.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for _, part := range []router.Observed{find(t, r.Observe().Sources, "in"), find(t, r.Observe().Routes, "r"), find(t, r.Observe().Sinks, "out")} {
		if part.Signals.Messages != 4*each || part.Signals.Bytes != 4*each*size {
			t.Errorf("%s: %d messages and %d bytes", part.Name, part.Signals.Messages, part.Signals.Bytes)
		}
	}
}
