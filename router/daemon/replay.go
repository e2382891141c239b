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

// Again sends dead letters once more, each along its route and to the sinks that
// have not got it, and returns for each why it did not get through, or nil. It
// is Replay for the process that runs the routes, while Run runs.
func (d *Daemon) Again(ctx context.Context, letters []deadletter.Letter) []error {
	d.mu.Lock()
	plan := d.plan
	d.mu.Unlock()
	failed := make([]error, len(letters))
	took := map[string][]int{} // letters by sink
	for i, l := range letters {
		if failed[i] = d.router.Again(ctx, l.Route, signal(l), l.Sinks); failed[i] != nil {
			continue
		}
		for _, route := range plan.Routes {
			for _, name := range route.To {
				if route.Name == l.Route && isFor(l, name) {
					took[name] = append(took[name], i)
				}
			}
		}
	}
	for name, some := range took {
		confirm(ctx, &replaySink{name: name, sink: plan.Sinks[name], took: some}, failed)
	}
	return failed
}

// Replay sends dead letters of one route through its filter and to its sinks
// once more, and returns for each why it did not get through, or nil. A letter
// goes to the sinks that have not got it. The error is for all of them.
//
// It works beside a Daemon that runs in another process, to whose hub it
// connects like everybody else.
func Replay(ctx context.Context, cfg *config.Config, route string, letters []deadletter.Letter, log *slog.Logger) ([]error, error) {
	i := slices.IndexFunc(cfg.Routes, func(r router.Route) bool { return r.Name == route })
	if i < 0 {
		return nil, fmt.Errorf("there is no route %q in %s any more", route, cfg.Path)
	}
	r := &replay{route: cfg.Routes[i], failed: make([]error, len(letters))}
	if err := r.open(ctx, cfg, letters, log); err != nil {
		r.finish(ctx)
		return nil, err
	}
	for i, l := range letters {
		r.failed[i] = r.send(ctx, l, i)
	}
	r.finish(ctx)
	return r.failed, nil
}

type replay struct {
	route  router.Route
	sinks  []*replaySink
	failed []error // by letter
}

// replaySink is a sink that is open.
type replaySink struct {
	name string
	sink router.Sink
	took []int // letters
}

// open opens the sinks that are to get letters. Those that write to a folder
// take streams only, and the daemon has locked it.
func (r *replay) open(ctx context.Context, cfg *config.Config, letters []deadletter.Letter, log *slog.Logger) error {
	env := router.Env{Connections: outsideConnections(cfg), Echoes: new(router.Echoes)}
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
		r.sinks = append(r.sinks, &replaySink{name: name, sink: sink})
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

// outsideConnections are the connections of a configuration as another process
// has them: to the hub in the daemon by its address.
func outsideConnections(cfg *config.Config) map[string]router.Connection {
	all := map[string]router.Connection{}
	for name, c := range cfg.Connections {
		o := imb.Options{Address: c.Address, Federation: c.Federation, OwnerID: c.OwnerID, OwnerName: c.OwnerName}
		if c.Internal {
			o.Address = cfg.Hub.Listen
		}
		all[name] = router.Connection{Name: name, Hub: c.Hub(), Options: o}
	}
	return all
}

// send sends letter i.
func (r *replay) send(ctx context.Context, l deadletter.Letter, i int) error {
	s := signal(l)
	if r.route.Filter != nil {
		out, pass, err := r.route.Filter.Signal(s)
		if err != nil {
			return err
		}
		if !pass {
			return fmt.Errorf("%w: its `when` is false", router.ErrNotTaken)
		}
		s = out
	}
	var failures []error
	taken := false
	for _, sink := range r.sinks {
		if !isFor(l, sink.name) {
			continue
		}
		switch err := sink.sink.Signal(ctx, s); {
		case err == nil:
			taken = true
			sink.took = append(sink.took, i)
		case !errors.Is(err, router.ErrNotTaken):
			failures = append(failures, fmt.Errorf("sink %q: %w", sink.name, err))
		}
	}
	if !taken && len(failures) == 0 {
		return fmt.Errorf("%w: none of its sinks does", router.ErrNotTaken)
	}
	return errors.Join(failures...)
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
		confirm(ctx, sink, r.failed)
		if opener, ok := sink.sink.(router.Opener); ok {
			if err := opener.Close(); err != nil {
				sink.unconfirmed(err, r.failed)
			}
		}
	}
}

// confirm waits until what a sink took is where it belongs.
func confirm(ctx context.Context, sink *replaySink, failed []error) {
	if f, ok := sink.sink.(flusher); ok {
		if err := f.Flush(ctx); err != nil {
			sink.unconfirmed(err, failed)
		}
	}
}

// unconfirmed notes that what a sink took may not be where it belongs.
func (s *replaySink) unconfirmed(err error, failed []error) {
	for _, i := range s.took {
		failed[i] = errors.Join(failed[i], fmt.Errorf("sink %q: perhaps sent, but not confirmed: %w", s.name, err))
	}
}
