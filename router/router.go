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
// While it runs, Apply puts another plan in the place of the first.
//
// Package router/daemon builds a Router from a configuration file.
package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"imbrouter/router/deadletter"
	"imbrouter/router/journal"
)

const (
	// readyTimeout is how long the start of sources that read what lies here
	// already waits for sources that must first be subscribed. A hub that is
	// away for longer does not hold up the others.
	readyTimeout = 3 * time.Second
	// killTimeout is how long parts get to return after their calls were made
	// to fail.
	killTimeout = 5 * time.Second

	defaultStopTimeout = 20 * time.Second
)

var (
	// ErrStopTimeout is returned by Run when what was in flight did not end
	// within the stop time-out and was cut off.
	ErrStopTimeout = errors.New("stopped before everything in flight was done")
	// ErrStopping is returned by Apply when Run is about to return.
	ErrStopping = errors.New("the router is stopping")
)

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
	// LoopGuard is for messages that go round through other routers.
	LoopGuard LoopGuard
	// LogLevel is that of the least important lines about the route to show, see
	// RouteLog; nil for that of the log.
	LogLevel *slog.Level
}

// check finds names that stand for nothing.
func (p Plan) check() error {
	for _, route := range p.Routes {
		for _, name := range route.To {
			if _, ok := p.Sinks[name]; !ok {
				return fmt.Errorf("route %q: there is no sink %q", route.Name, name)
			}
		}
		for _, name := range route.From {
			if _, ok := p.Sources[name]; !ok {
				return fmt.Errorf("route %q: there is no source %q", route.Name, name)
			}
		}
	}
	return nil
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
	// Journal records what becomes of every stream, and DeadLetters keeps the
	// signals that fail; nil does not. Both outlive the Router, whose maker
	// closes them.
	Journal     *journal.Journal
	DeadLetters *deadletter.Store
	// Hash says that the journal gets the SHA-256 of every stream. It costs
	// about as much as all else that is done with a stream.
	Hash bool
	// OnReady is called by Run when everything is open and every source runs;
	// nil does nothing.
	OnReady func()
}

// Router runs a Plan. Make one with New; use it for one Run.
type Router struct {
	log       *slog.Logger
	options   Options
	transfers Transfers
	ledger    *ledger                 // nil without a journal
	watched   atomic.Pointer[watched] // nil before the first plan runs
	observed  atomic.Pointer[observed]
	clock     clock

	hard context.Context // the context of every call to a sink
	kill context.CancelCauseFunc

	mu       sync.Mutex // held by Apply
	first    Plan       // for Run
	plan     Plan       // what runs
	stopping bool
	routes   map[string]*route
	entries  map[string]*entry // by source
	running  map[string]*run   // the latest of each source
	lives    map[*run]struct{} // all that have not ended

	draining []<-chan struct{} // closed when what a former plan began has ended
	closing  sync.WaitGroup    // of sinks that no plan has any more
}

// New checks that every name in the plan's routes exists. Nothing runs and
// nothing is opened yet.
func New(plan Plan, o Options) (*Router, error) {
	if err := plan.check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = defaultStopTimeout
	}
	r := &Router{
		log: o.Log, options: o, first: plan,
		clock: clock{begun: time.Now()}, routes: map[string]*route{}, entries: map[string]*entry{},
		running: map[string]*run{}, lives: map[*run]struct{}{},
	}
	if o.Journal != nil {
		r.ledger = newLedger(o)
	}
	r.observed.Store(new(observed))
	r.hard, r.kill = context.WithCancelCause(context.Background())
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
func (r *Router) Run(ctx context.Context) error {
	defer r.kill(nil)
	r.clock.tick()
	defer r.clock.run()()
	if r.options.LogProgress {
		stop := r.transfers.logProgress(r.log)
		defer stop()
	}
	if err := r.Apply(ctx, r.first); err != nil {
		return err
	}
	if r.options.OnReady != nil && ctx.Err() == nil {
		r.options.OnReady()
	}
	<-ctx.Done()
	time.AfterFunc(r.options.StopTimeout, func() { r.kill(ErrStopTimeout) }) // also while parts close
	return r.stop()
}

// stop ends everything. Sources that listen stop after those that read what
// lies here, so that what these send is not missed.
func (r *Router) stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
	defer r.closeLogs()
	for _, listening := range []bool{false, true} {
		var stopped []*run
		for life := range r.lives {
			if life.listening() == listening {
				life.cancel()
				stopped = append(stopped, life)
			}
		}
		if !r.await(stopped) {
			return fmt.Errorf("%w: a source did not return within %v", ErrStopTimeout, killTimeout)
		}
	}
	r.closing.Wait()
	for _, name := range sortedBackward(r.plan.Sinks) {
		r.close(r.plan.Sinks[name], "sink", name)
	}
	if r.hard.Err() != nil {
		return context.Cause(r.hard)
	}
	return nil
}

// closeLogs lets the failures be told that were only counted.
func (r *Router) closeLogs() {
	for _, name := range sorted(r.routes) {
		r.routes[name].close()
	}
	if r.ledger != nil {
		r.ledger.failures.Close()
	}
}

// await waits for sources that are stopping, and returns false when some do not
// end although their calls fail.
func (r *Router) await(stopping []*run) bool {
	late := make(chan struct{})
	defer context.AfterFunc(r.hard, func() { time.AfterFunc(killTimeout, func() { close(late) }) })()
	for _, life := range stopping {
		select {
		case <-life.done:
		case <-late:
			return false
		}
	}
	return true
}
