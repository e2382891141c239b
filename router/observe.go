package router

import (
	"maps"
	"slices"
	"time"

	"imbrouter/imb"
)

// Observation is what a Router runs and what has passed through it, for those who
// watch. Of what is tried again each try counts.
type Observation struct {
	Sources, Routes, Sinks []Observed // by name
}

// Observed is one source, route or sink. Its counts begin when a plan has its
// name, and are gone with the name.
type Observed struct {
	Name             string
	Signals, Streams Flow
	Transfers        int64     // streams in transit
	Succeeded        time.Time // last, to the second; zero for never
	Failed           *Failure  // last; nil for never
	Failing          bool      // the last message failed, but for those that a filter left out
	Restarts         uint64    // how often a source has failed
	Down             bool      // a source has Failed and is started again soon, or a route is stopped by its LoopGuard
	Links            []Link    // of a Linked
	Waiting          int       // of a Backlogged; −1 for others
}

// Flow is what came of one kind of message. What is in none of the counts but
// Messages was taken, or is on its way.
type Flow struct {
	Messages uint64
	Bytes    uint64 // of a stream as they pass
	NotTaken uint64
	Failures map[Cause]uint64 // has every cause
	Took     Durations        // of those that were taken; of signals a sample
}

// Failure is one that happened.
type Failure struct {
	At  time.Time
	Err error
}

// Link is one connection to a hub.
type Link struct {
	Connection string // its name in the configuration
	Relay      bool   // the sink's other connection, for what it relays, see Echoes
	State      imb.State
	Err        error // why it is not Connected; nil before the first attempt has failed
	Stats      imb.Stats
}

// Linked is implemented by sources and sinks with connections to hubs.
type Linked interface {
	// Links returns them once the part is open. It waits for nothing.
	Links() []Link
}

// Backlogged is implemented by a source that knows what it has still to bring.
type Backlogged interface {
	// Waiting returns how many files there are to be sent. It waits for nothing.
	Waiting() int
}

// observed are the parts of a plan and what counts them. It is replaced, never
// changed, so that who watches need not wait for Apply.
type observed struct {
	sources, routes, sinks map[string]observedPart
}

type observedPart struct {
	part    any // of a route, a *route
	counter *counter
}

// count returns the parts of a plan with what counts them. What has a name that was
// there goes on with its counts. Routes are to be filled in.
func (r *Router) count(plan Plan) *observed {
	next := &observed{sources: map[string]observedPart{}, routes: map[string]observedPart{}, sinks: map[string]observedPart{}}
	add := func(before, parts map[string]observedPart, name string, part any) {
		c := before[name].counter
		if c == nil {
			c = &counter{clock: &r.clock}
		}
		parts[name] = observedPart{part, c}
	}
	before := r.observed.Load()
	for name, source := range plan.Sources {
		add(before.sources, next.sources, name, source)
	}
	for _, route := range plan.Routes {
		add(before.routes, next.routes, route.Name, nil)
	}
	for name, sink := range plan.Sinks {
		add(before.sinks, next.sinks, name, sink)
	}
	return next
}

// Observe returns what runs. It waits for no lock that anything holds for longer
// than moments.
func (r *Router) Observe() Observation {
	o := r.observed.Load()
	return Observation{Sources: observeAll(o.sources), Routes: observeAll(o.routes), Sinks: observeAll(o.sinks)}
}

func observeAll(parts map[string]observedPart) []Observed {
	all := make([]Observed, 0, len(parts))
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		o := parts[name].counter.load()
		o.Name, o.Waiting = name, -1
		part := parts[name].part
		if linked, ok := part.(Linked); ok {
			o.Links = linked.Links()
		}
		if backlogged, ok := part.(Backlogged); ok {
			o.Waiting = backlogged.Waiting()
		}
		if route, ok := part.(*route); ok {
			o.Down = route.guard.isStopped()
		}
		all = append(all, o)
	}
	return all
}

func (c *counter) load() Observed {
	down := c.down.Load() // before the failure, see restart
	o := Observed{
		Signals: c.signals.load(), Streams: c.streams.load(), Transfers: c.transfers.Load(),
		Failed: c.failed.Load(), Failing: c.failing.Load(), Restarts: c.restarts.Load(), Down: down,
	}
	if at := c.succeeded.Load(); at != 0 {
		o.Succeeded = time.Unix(at, 0)
	}
	return o
}

// load reads failures before messages, which are counted first: so there are
// never more of them.
func (f *flow) load() Flow {
	all := Flow{NotTaken: f.notTaken.Load(), Failures: map[Cause]uint64{}, Took: f.took.load()}
	for cause := range causes {
		all.Failures[cause] = f.failures[cause].Load()
	}
	all.Messages, all.Bytes = f.came.load()
	return all
}
