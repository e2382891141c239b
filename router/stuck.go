package router

import "slices"

// watched is what Stuck and Probe look at. It is replaced, never changed, so
// that they need not wait for Apply, which waits for disks and hubs.
type watched struct {
	passages []watchedPart
	fanouts  []*fanout
}

// watchedPart is a filter or sink that can be told to be stuck.
type watchedPart struct {
	kind, name string // "route", "alarms"
	passage    *Passage
}

// Stuck names a part whose expression has not returned since Stuck was called
// last: kind is "route" or "sink". Both are "" when there is none.
// A part that waits for a hub, a disk or another part is not stuck. One
// goroutine at a time may call it.
func (r *Router) Stuck() (kind, name string) {
	w := r.watched.Load()
	if w == nil {
		return "", ""
	}
	for _, part := range w.passages {
		// Every passage is asked, because asking begins its next turn.
		if part.passage.Stuck() && kind == "" {
			kind, name = part.kind, part.name
		}
	}
	return kind, name
}

// Probe returns when it has held each lock that messages go through. These are
// held for moments only, so it hangs when one of them is not given back.
func (r *Router) Probe() {
	r.Transfers()
	if w := r.watched.Load(); w != nil {
		for _, f := range w.fanouts {
			f.pass()
		}
	}
}

func (f *fanout) pass() {
	f.memory.mu.Lock()
	defer f.memory.mu.Unlock()
}

// watch makes the parts of a plan those that Stuck looks at. Of those from
// before it keeps the ones that are busy: they may be stuck.
func (r *Router) watch(plan Plan) {
	next := &watched{}
	add := func(kind, name string, part any) {
		if w, ok := part.(Watched); ok {
			next.passages = append(next.passages, watchedPart{kind, name, w.Passage()})
		}
	}
	for _, route := range plan.Routes {
		add("route", route.Name, route.Filter)
		next.fanouts = append(next.fanouts, r.routes[route.Name].sinks)
	}
	for _, name := range sorted(plan.Sinks) {
		add("sink", name, plan.Sinks[name])
	}
	for _, e := range r.entries {
		next.fanouts = append(next.fanouts, e.table.Load().next.all)
	}
	if before := r.watched.Load(); before != nil {
		for _, part := range before.passages {
			if part.passage.Busy() && !slices.Contains(next.passages, part) {
				next.passages = append(next.passages, part)
			}
		}
	}
	r.watched.Store(next)
}
