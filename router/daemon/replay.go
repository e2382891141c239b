package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"imbrouter/imb"
	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/deadletter"
)

// replayReadyTimeout is how long Replay waits for a hub.
const replayReadyTimeout = 5 * time.Second

// flusher is implemented by a sink that can tell when what it took has got
// where it belongs.
type flusher interface {
	Flush(ctx context.Context) error
}

// Replayed is what became of a dead letter that was sent again.
type Replayed struct {
	Err error // why it did not get through, or not everywhere; nil when it did
	// Sinks are those that failed: the letter is for these alone from now on. None
	// when it did not come to them.
	Sinks []string
}

// Settle removes the letters that got through from their folder, and keeps of the
// others what is left to do. It returns how many it removed.
func Settle(dir string, letters []deadletter.Letter, replayed []Replayed) (removed int, err error) {
	var through []string
	var partly []deadletter.Letter
	for i, r := range replayed {
		l := letters[i]
		if r.Err == nil {
			through = append(through, l.ID)
		} else if len(r.Sinks) > 0 {
			l.Sinks, l.Error = r.Sinks, r.Err.Error()
			partly = append(partly, l)
		}
	}
	removed, err = deadletter.Remove(dir, through...)
	return removed, errors.Join(err, deadletter.Update(dir, partly...))
}

// Again sends dead letters once more, each along its route and to the sinks that
// have not got it, and returns what became of each. It is Replay for the process
// that runs the routes, while Run runs.
func (d *Daemon) Again(ctx context.Context, letters []deadletter.Letter) []Replayed {
	d.mu.Lock()
	plan := d.plan
	d.mu.Unlock()
	tries := make([]*try, len(letters))
	for i, l := range letters {
		err := d.router.Again(ctx, l.Route, signal(l), l.Sinks)
		t := &try{failed: router.FailedSinks(err)}
		tries[i] = t
		if err != nil {
			t.failures = append(t.failures, err)
			if len(t.failed) == 0 { // it came to none
				continue
			}
		}
		for _, route := range plan.Routes {
			for _, name := range route.To {
				if route.Name == l.Route && isFor(l, name) && !slices.Contains(t.failed, name) {
					t.took = append(t.took, name)
				}
			}
		}
	}
	for name, sink := range plan.Sinks {
		confirm(ctx, replaySink{name, sink}, tries)
	}
	return results(tries)
}

// Replay sends dead letters of one route through its filter and to its sinks
// once more, and returns what became of each. A letter goes to the sinks that
// have not got it. The error is for all of them.
//
// It works beside a Daemon that runs in another process, to whose hub it
// connects like everybody else. A hub of this project tells by the relay event
// that it belongs to that Daemon; from others what it relays comes back to it.
func Replay(ctx context.Context, cfg *config.Config, route string, letters []deadletter.Letter, log *slog.Logger) ([]Replayed, error) {
	i := slices.IndexFunc(cfg.Routes, func(r router.Route) bool { return r.Name == route })
	if i < 0 {
		return nil, fmt.Errorf("there is no route %q in %s any more", route, cfg.Path)
	}
	r := &replay{route: cfg.Routes[i]}
	if err := r.open(ctx, cfg, letters, log); err != nil {
		r.finish(ctx)
		return nil, err
	}
	for _, l := range letters {
		r.tries = append(r.tries, r.send(ctx, l))
	}
	r.finish(ctx)
	return results(r.tries), nil
}

type replay struct {
	route router.Route
	sinks []replaySink
	tries []*try // by letter
}

// replaySink is a sink that is open.
type replaySink struct {
	name string
	sink router.Sink
}

// try is what has become of a letter by now.
type try struct {
	took, failed []string // sinks; in neither are those that do not want it
	failures     []error
}

func (t *try) fail(sink string, err error) {
	t.failed = append(t.failed, sink)
	t.failures = append(t.failures, fmt.Errorf("sink %q: %w", sink, err))
}

func results(tries []*try) []Replayed {
	replayed := make([]Replayed, len(tries))
	for i, t := range tries {
		replayed[i] = Replayed{errors.Join(t.failures...), t.failed}
	}
	return replayed
}

// open opens the sinks that are to get letters. Those that write to a folder
// take streams only, and the daemon has locked it.
func (r *replay) open(ctx context.Context, cfg *config.Config, letters []deadletter.Letter, log *slog.Logger) error {
	echoes, err := outsideEchoes(cfg)
	if err != nil {
		return err
	}
	byAddress := func(o *imb.Options) { o.Address = cfg.Hub.Listen }
	env := router.Env{Connections: connections(cfg, byAddress), Echoes: echoes}
	for _, name := range r.route.To {
		wanted := slices.ContainsFunc(letters, func(l deadletter.Letter) bool { return isFor(l, name) })
		if !wanted || cfg.Sinks[name].Traffic().Folder != "" {
			continue
		}
		env.Name, env.Log = name, log.With("sink", name)
		sink, err := cfg.Sinks[name].Build(env)
		if err == nil {
			err = openReady(ctx, sink)
		}
		if err != nil {
			return fmt.Errorf("sink %q: %w", name, err)
		}
		r.sinks = append(r.sinks, replaySink{name, sink})
	}
	return nil
}

func isFor(l deadletter.Letter, sink string) bool {
	return len(l.Sinks) == 0 || slices.Contains(l.Sinks, sink)
}

// openReady opens a sink and waits until it is ready.
func openReady(ctx context.Context, sink router.Sink) error {
	opener, ok := sink.(router.Opener)
	if !ok {
		return nil
	}
	if err := opener.Open(ctx); err != nil {
		return err
	}
	readier, ok := sink.(router.Readier)
	if !ok {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, replayReadyTimeout)
	defer cancel()
	select {
	case <-readier.Ready():
		return nil
	case <-wait.Done():
	}
	err := ctx.Err()
	if err == nil {
		err = fmt.Errorf("%w: %w for %v", router.ErrUnavailable, imb.ErrNotConnected, replayReadyTimeout)
	}
	return errors.Join(err, opener.Close())
}

// send sends a letter.
func (r *replay) send(ctx context.Context, l deadletter.Letter) *try {
	s, t := signal(l), new(try)
	if r.route.Filter != nil {
		out, pass, err := r.route.Filter.Signal(s)
		if err == nil && !pass {
			err = fmt.Errorf("%w: its `when` is false", router.ErrNotTaken)
		}
		if err != nil {
			t.failures = append(t.failures, err)
			return t
		}
		s = out
	}
	for _, sink := range r.sinks {
		if !isFor(l, sink.name) {
			continue
		}
		switch err := sink.sink.Signal(ctx, s); {
		case err == nil, errors.Is(err, router.ErrShown):
			t.took = append(t.took, sink.name)
		case !errors.Is(err, router.ErrNotTaken):
			t.fail(sink.name, err)
		}
	}
	if len(t.took)+len(t.failed) == 0 {
		t.failures = append(t.failures, fmt.Errorf("%w: none of its sinks does", router.ErrNotTaken))
	}
	return t
}

// signal returns the message in a letter, as a new one.
func signal(l deadletter.Letter) router.Signal {
	return router.Signal{
		ID: router.NextID(), Source: l.Source, Federation: l.Federation, Event: l.Event,
		Redirected: l.Redirected, Relayed: l.Relayed, Kind: l.Kind, Flags: l.Flags, Tick: l.Tick, Data: l.Data,
	}
}

// finish waits until what the sinks took is where it belongs, and closes them.
func (r *replay) finish(ctx context.Context) {
	for _, sink := range r.sinks {
		confirm(ctx, sink, r.tries)
		if opener, ok := sink.sink.(router.Opener); ok {
			if err := opener.Close(); err != nil {
				sink.unconfirmed(err, r.tries)
			}
		}
	}
}

// confirm waits until what a sink took is where it belongs.
func confirm(ctx context.Context, sink replaySink, tries []*try) {
	f, ok := sink.sink.(flusher)
	if !ok || !slices.ContainsFunc(tries, func(t *try) bool { return slices.Contains(t.took, sink.name) }) {
		return
	}
	if err := f.Flush(ctx); err != nil {
		sink.unconfirmed(err, tries)
	}
}

// unconfirmed notes that what a sink took may not be where it belongs.
func (s replaySink) unconfirmed(err error, tries []*try) {
	for _, t := range tries {
		if i := slices.Index(t.took, s.name); i >= 0 {
			t.took = slices.Delete(t.took, i, i+1)
			t.fail(s.name, fmt.Errorf("perhaps sent, but not confirmed: %w", err))
		}
	}
}
