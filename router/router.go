// Package router carries signals and streams from sources to sinks along
// routes.
//
// A [Source] pushes into a [Sink]; a route is itself a Sink that filters,
// rewrites and fans out to other Sinks, like HTTP middleware. Calls are
// synchronous: the error that a Sink returns is the acknowledgement, its time
// is the backpressure, its context the cancellation, and a buffer is the
// caller's again when the call returns.
//
//	r, err := router.New(router.Plan{
//		Sources: map[string]router.Source{"outbox": outbox},
//		Sinks:   map[string]router.Sink{"broadcast": broadcast},
//		Routes:  []router.Route{{Name: "send", From: []string{"outbox"}, To: []string{"broadcast"}}},
//	}, router.Options{Log: slog.Default()})
//	if err != nil { … }
//	err = r.Run(ctx) // until ctx ends and what was in flight then is done
//
// Package router/daemon builds a Router from a configuration file.
package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// readyTimeout is how long the start of sources that read what lies here
	// already waits for sources that must first be subscribed. A hub that is
	// away for longer does not hold up the others.
	readyTimeout = 3 * time.Second
	// killTimeout is how long parts get to return after their calls were made
	// to fail.
	killTimeout = 5 * time.Second
	// A source that failed is run again after a pause that grows from the
	// first to the second of these.
	minRestart = 500 * time.Millisecond
	maxRestart = 30 * time.Second

	defaultStopTimeout = 20 * time.Second
)

// ErrStopTimeout is returned by Run when what was in flight did not end within
// the stop time-out and was cut off.
var ErrStopTimeout = errors.New("stopped before everything in flight was done")

// Plan says what a Router is made of.
type Plan struct {
	Sources map[string]Source
	Sinks   map[string]Sink
	Routes  []Route
}

// Route names which sources' messages go to which sinks.
type Route struct {
	Name     string
	From, To []string
	Filter   Filter // nil takes every message as it is
}

// Options are a Router's settings. The zero value is usable.
type Options struct {
	Log *slog.Logger // nil discards
	// StopTimeout is how long what is in flight may take after Run's context
	// has ended; 0 means 20 s.
	StopTimeout time.Duration
	// LogProgress logs a line every few seconds for each transfer that takes
	// longer. A caller that shows Transfers in its own way leaves it false.
	LogProgress bool
	// OnReady is called by Run when everything is open and every source runs;
	// nil does nothing.
	OnReady func()
}

// Router runs a Plan. Make one with New; use it for one Run.
type Router struct {
	plan      Plan
	log       *slog.Logger
	options   Options
	transfers Transfers
	entries   map[string]*entry // by source

	hard context.Context // the context of every call to a sink
	kill context.CancelCauseFunc
}

// New checks that every name in the plan's routes exists, and connects the
// parts. Nothing runs and nothing is opened yet.
func New(plan Plan, o Options) (*Router, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = defaultStopTimeout
	}
	r := &Router{plan: plan, log: o.Log, options: o, entries: map[string]*entry{}}
	r.hard, r.kill = context.WithCancelCause(context.Background())

	routes := map[string][]branch{} // by source
	for _, route := range plan.Routes {
		var sinks []branch
		for _, name := range route.To {
			sink, ok := plan.Sinks[name]
			if !ok {
				return nil, fmt.Errorf("route %q: there is no sink %q", route.Name, name)
			}
			sinks = append(sinks, branch{"sink", name, sink})
		}
		b := branch{"route", route.Name, newRoute(route, sinks, o.Log)}
		for _, name := range route.From {
			if _, ok := plan.Sources[name]; !ok {
				return nil, fmt.Errorf("route %q: there is no source %q", route.Name, name)
			}
			routes[name] = append(routes[name], b)
		}
	}
	for name := range plan.Sources {
		r.entries[name] = &entry{
			source: name, next: newFanout(routes[name]), hard: r.hard, transfers: &r.transfers,
		}
	}
	return r, nil
}

// Transfers returns the streams in transit.
func (r *Router) Transfers() []Transfer { return r.transfers.List() }

// StopNow makes Run return at once: what is in flight fails.
func (r *Router) StopNow() { r.kill(ErrStopTimeout) }

// Run opens sinks and then sources, runs the sources until ctx ends, and stops
// in two stages: sources take nothing new in, and what is in flight gets the
// stop time-out to finish. It returns nil after a clean stop, ErrStopTimeout
// after one that was not, or the error of a part that could not be opened, in
// which case everything opened before is closed again.
func (r *Router) Run(ctx context.Context) (err error) {
	defer r.kill(nil)
	closers, err := r.open(ctx)
	defer func() {
		for _, c := range slices.Backward(closers) {
			if err := c.Close(); err != nil {
				r.log.Warn("closing failed", "error", err)
			}
		}
		if err == nil && r.hard.Err() != nil {
			err = context.Cause(r.hard)
		}
	}()
	if err != nil {
		return err
	}
	if r.options.LogProgress {
		stop := r.transfers.logProgress(r.log)
		defer stop()
	}

	// Sources that listen start before those that read what lies here already,
	// so that what these send is not missed, and stop after them.
	var listening, reading []string
	for _, name := range slices.Sorted(maps.Keys(r.plan.Sources)) {
		if _, ok := r.plan.Sources[name].(Readier); ok {
			listening = append(listening, name)
		} else {
			reading = append(reading, name)
		}
	}
	stopListening := r.start(listening)
	r.awaitReady(ctx)
	stopReading := r.start(reading)
	if r.options.OnReady != nil && ctx.Err() == nil {
		r.options.OnReady()
	}

	<-ctx.Done()
	time.AfterFunc(r.options.StopTimeout, func() { r.kill(ErrStopTimeout) }) // also while parts close
	for _, stop := range []func() bool{stopReading, stopListening} {
		if !stop() {
			return fmt.Errorf("%w: a source did not return within %v", ErrStopTimeout, killTimeout)
		}
	}
	return nil
}

// open opens every part and returns those that must be closed.
func (r *Router) open(ctx context.Context) (closers []io.Closer, err error) {
	ctx = r.withInFlight(ctx)
	one := func(kind, name string, part any) error {
		opener, ok := part.(Opener)
		if !ok {
			return nil
		}
		if err := opener.Open(ctx); err != nil {
			return fmt.Errorf("%s %q: %w", kind, name, err)
		}
		closers = append(closers, opener)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(r.plan.Sinks)) {
		if err := one("sink", name, r.plan.Sinks[name]); err != nil {
			return closers, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.plan.Sources)) {
		if err := one("source", name, r.plan.Sources[name]); err != nil {
			return closers, err
		}
	}
	return closers, nil
}

// withInFlight returns a context of which InFlight is r.hard.
func (r *Router) withInFlight(ctx context.Context) context.Context {
	return context.WithValue(ctx, inFlightKey{}, r.hard)
}

// start runs sources, each in a goroutine. The function that it returns stops
// them, and tells whether all have returned in time.
func (r *Router) start(names []string) (stop func() bool) {
	ctx, cancel := context.WithCancel(r.withInFlight(context.Background()))
	var running sync.WaitGroup
	for _, name := range names {
		running.Go(func() { r.keepRunning(ctx, name) })
	}
	return func() bool {
		cancel()
		done := make(chan struct{})
		go func() { running.Wait(); close(done) }()
		select {
		case <-done:
			return true
		case <-r.hard.Done():
		}
		select {
		case <-done:
			return true
		case <-time.After(killTimeout):
			return false
		}
	}
}

// keepRunning runs a source, and again after it has failed.
func (r *Router) keepRunning(ctx context.Context, name string) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = minRestart, maxRestart
	for {
		started := time.Now()
		err := r.plan.Sources[name].Run(ctx, r.entries[name])
		if ctx.Err() != nil || err == nil {
			return
		}
		if time.Since(started) > maxRestart {
			pause.Reset()
		}
		wait := pause.NextBackOff()
		r.log.Error("source failed; it is started again after a pause",
			"source", name, "error", err, "pause", wait.Round(time.Millisecond))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// awaitReady waits a short time for the sinks and sources that say when they
// are ready.
func (r *Router) awaitReady(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	await := func(kind, name string, part any) {
		readier, ok := part.(Readier)
		if !ok {
			return
		}
		select {
		case <-readier.Ready():
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				r.log.Warn("not connected yet; the others start without it", kind, name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.plan.Sinks)) {
		await("sink", name, r.plan.Sinks[name])
	}
	for _, name := range slices.Sorted(maps.Keys(r.plan.Sources)) {
		await("source", name, r.plan.Sources[name])
	}
}

// entry is what a source pushes into: it leads to the source's routes, under
// the router's context.
type entry struct {
	source    string
	next      Sink
	hard      context.Context
	transfers *Transfers
}

func (e *entry) Signal(_ context.Context, s Signal) error {
	s.Source = e.source
	return e.next.Signal(e.hard, s)
}

func (e *entry) Stream(_ context.Context, info StreamInfo) (StreamWriter, error) {
	info.Source = e.source
	w, err := e.next.Stream(e.hard, info)
	if err != nil {
		return nil, err
	}
	return e.transfers.begin(info, &hardWriter{w, e.hard}), nil
}

// hardWriter commits under the router's context.
type hardWriter struct {
	StreamWriter
	hard context.Context
}

func (w *hardWriter) ReadFrom(r io.Reader) (int64, error) { return copyBody(w.StreamWriter, r) }

func (w *hardWriter) End(context.Context) error { return end(w.hard, w.StreamWriter) }

func (w *hardWriter) Commit(context.Context) error { return w.StreamWriter.Commit(w.hard) }
