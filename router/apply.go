package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
)

// Apply puts a plan in the place of the one that runs. Parts that are in both,
// as the same values, go on undisturbed; routes of one name with the same parts
// and filter as well, but one that was stopped takes messages again. It returns
// when the new ones run, or with the error of a part that could not be opened,
// which leaves everything as it was. A message that is tried again does not go to
// those sinks and routes again that had it, or that took the name of one that had.
//
// What a part that is gone has begun is finished: a stream stays on the route
// on which it began. Its source returns by itself then, and its sinks are
// closed when nobody uses them any more. A source that takes another's name
// begins when that has returned, unless it is a Readier: then it begins at once
// and the other stops when it is ready, so that it misses nothing and some may
// come twice.
//
// ctx bounds the opening of parts, and the short wait until they are ready.
func (r *Router) Apply(ctx context.Context, plan Plan) error {
	if err := plan.check(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping {
		return ErrStopping
	}
	if err := r.open(ctx, plan); err != nil {
		return err
	}
	old, oldRoutes := r.plan, r.routes
	awaitReady(ctx, r.log, "sink", added(old.Sinks, plan.Sinks))
	rerouted := r.connect(plan)
	r.watch(plan)
	r.plan = plan
	r.switchSources(ctx, old, plan)
	for _, name := range rerouted {
		if s, ok := plan.Sources[name].(Rerouted); ok {
			s.Rerouted()
		}
	}
	r.leave(old, oldRoutes)
	return nil
}

// added returns the parts of next that are not in old under that name.
func added[P any](old, next map[string]P) map[string]P {
	parts := map[string]P{}
	for name, part := range next {
		if before, ok := old[name]; !ok || !same(before, part) {
			parts[name] = part
		}
	}
	return parts
}

// same tells whether two parts, or filters, are the same value.
func same(a, b any) bool {
	return a == nil && b == nil || a != nil && reflect.ValueOf(a).Comparable() && a == b
}

// open opens the parts that are new, other than sources that must wait for one
// that they replace. When one cannot be opened it closes the others again.
func (r *Router) open(ctx context.Context, plan Plan) (err error) {
	var opened []func()
	defer func() {
		if err != nil {
			for _, undo := range slices.Backward(opened) {
				undo()
			}
		}
	}()
	one := func(kind, name string, part any) error {
		opener, ok := part.(Opener)
		if !ok {
			return nil
		}
		if err := opener.Open(r.withInFlight(ctx)); err != nil {
			return fmt.Errorf("%s %q: %w", kind, name, err)
		}
		opened = append(opened, func() { r.close(part, kind, name) })
		return nil
	}
	sinks := added(r.plan.Sinks, plan.Sinks)
	for _, name := range sorted(sinks) {
		if err := one("sink", name, sinks[name]); err != nil {
			return err
		}
	}
	sources := added(r.plan.Sources, plan.Sources)
	for _, name := range sorted(sources) {
		if r.mustWait(name, sources[name]) {
			continue
		}
		if err := one("source", name, sources[name]); err != nil {
			return err
		}
	}
	return nil
}

// mustWait tells whether a new source can begin only when the one of that name
// has ended: they may hold the same folder.
func (r *Router) mustWait(name string, s Source) bool {
	_, replaces := r.running[name]
	_, listens := s.(Readier)
	return replaces && !listens
}

// close closes a part that is open.
func (r *Router) close(part any, kind, name string) {
	if opener, ok := part.(Opener); ok {
		if err := opener.Close(); err != nil {
			r.log.Warn("closing failed", kind, name, "error", err)
		}
	}
}

// connect makes the routes and leads what sources bring from now on to them. It
// returns the names of sources from which other routes led before.
func (r *Router) connect(plan Plan) (rerouted []string) {
	observed := r.count(plan)
	routes := map[string]*route{}
	bySource := map[string][]branch{}
	for _, definition := range plan.Routes {
		var sinks []branch
		for _, name := range definition.To {
			sink := plan.Sinks[name]
			batcher, _ := sink.(Batcher)
			if r.ledger != nil {
				sink = recorder{sink, definition.Name, name, r.ledger}
			}
			sinks = append(sinks, branch{"sink", name, sink, batcher, observed.sinks[name].counter})
		}
		before, ok := r.routes[definition.Name]
		next := before
		if ok && next.guard.isStopped() {
			r.log.Info("the route takes messages again", "route", definition.Name)
		}
		if !ok || !next.guard.serves(definition.LoopGuard) || !same(next.filter, definition.Filter) || !slices.EqualFunc(next.sinks.branches, sinks, branch.is) {
			next = r.newRoute(definition, sinks, before, observed.routes[definition.Name].counter)
		}
		routes[definition.Name] = next
		observed.routes[definition.Name] = observedPart{next, next.counter}
		for _, name := range definition.From {
			bySource[name] = append(bySource[name], branch{kind: "route", name: definition.Name, sink: next})
		}
	}
	r.routes = routes
	r.observed.Store(observed)
	for name := range plan.Sources {
		e, ok := r.entries[name]
		if !ok {
			e = &entry{
				source: name, hard: r.hard, transfers: &r.transfers, ledger: r.ledger,
				counter: observed.sources[name].counter,
			}
			r.entries[name] = e
		}
		if before := e.table.Load(); before == nil || !slices.EqualFunc(before.next.all.branches, bySource[name], branch.is) {
			e.table.Store(newTable(bySource[name], before))
			if before != nil {
				r.draining = append(r.draining, before.retire())
				rerouted = append(rerouted, name)
			}
		}
	}
	return rerouted
}

// switchSources starts the sources that are new and stops those that are gone.
// Sources that listen start before those that read what lies here already, so
// that what these send is not missed.
func (r *Router) switchSources(ctx context.Context, old, plan Plan) {
	maps.DeleteFunc(r.lives, func(life *run, _ struct{}) bool { return life.hasEnded() })
	fresh := added(old.Sources, plan.Sources)
	stop := func(name string) {
		r.running[name].cancel()
		r.draining = append(r.draining, r.running[name].done)
	}
	listening := map[string]Source{}
	var replaced []func()
	for _, name := range sorted(fresh) {
		if _, ok := fresh[name].(Readier); ok {
			listening[name] = fresh[name]
			if before, ok := r.running[name]; ok {
				replaced = append(replaced, before.cancel)
				r.draining = append(r.draining, before.done)
			}
			r.running[name] = r.begin(name, fresh[name], nil)
		}
	}
	awaitReady(ctx, r.log, "source", listening)
	for _, cancel := range replaced {
		cancel()
	}
	for _, name := range sorted(fresh) {
		if _, ok := listening[name]; ok {
			continue
		}
		before := r.running[name]
		if before != nil {
			stop(name)
		}
		r.running[name] = r.begin(name, fresh[name], before)
	}
	for name := range old.Sources {
		if _, ok := plan.Sources[name]; !ok {
			stop(name)
			delete(r.running, name)
			delete(r.entries, name)
		}
	}
}

// leave closes the sinks of a former plan, and of its routes, those that are not
// in the present one, when nothing can lead there any more.
func (r *Router) leave(old Plan, oldRoutes map[string]*route) {
	r.draining = slices.DeleteFunc(r.draining, func(ended <-chan struct{}) bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	gone, goneRoutes := added(r.plan.Sinks, old.Sinks), added(r.routes, oldRoutes)
	if len(gone)+len(goneRoutes) == 0 {
		return
	}
	draining := slices.Clone(r.draining)
	r.closing.Go(func() {
		for _, ended := range draining {
			<-ended
		}
		for _, name := range sorted(goneRoutes) {
			goneRoutes[name].close()
		}
		for _, name := range sortedBackward(gone) {
			r.close(gone[name], "sink", name)
		}
	})
}

// awaitReady waits a short time for the parts that say when they are ready.
func awaitReady[P any](ctx context.Context, log *slog.Logger, kind string, parts map[string]P) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for _, name := range sorted(parts) {
		readier, ok := any(parts[name]).(Readier)
		if !ok {
			continue
		}
		select {
		case <-readier.Ready():
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				log.Warn("not connected yet; the others start without it", kind, name)
			}
		}
	}
}

func sorted[P any](parts map[string]P) []string { return slices.Sorted(maps.Keys(parts)) }

func sortedBackward[P any](parts map[string]P) []string {
	names := sorted(parts)
	slices.Reverse(names)
	return names
}

// withInFlight returns a context of which InFlight is r.hard.
func (r *Router) withInFlight(ctx context.Context) context.Context {
	return context.WithValue(ctx, inFlightKey{}, r.hard)
}
