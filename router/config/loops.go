package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"imbrouter/imb/wire"
	"imbrouter/router"
)

// hop is a route together with one of its sources: what a message goes through
// at once.
type hop struct {
	route  *route
	source string
	in     Traffic // of the source
	out    []channel
	next   []*hop // those that it feeds
}

// channel is a way between two hops: a folder, or events on a hub.
type channel struct {
	folder string
	hub    string
	events string // a full name, or a prefix that ends in "*"
}

// loops reports routes that feed each other, and routes to a hub whose messages
// have no event name there.
func (l *loader) loops(routes []route) {
	var hops []*hop
	for i := range routes {
		r := &routes[i]
		if r.broken {
			continue
		}
		l.warnHidden(r)
		for _, source := range r.From {
			in, ok := l.sources[source]
			if !ok {
				continue
			}
			h := &hop{route: r, source: source, in: in}
			for _, sink := range r.To {
				if out, ok := l.sinks[sink]; ok {
					h.out = append(h.out, l.channels(h, sink, out)...)
				}
			}
			hops = append(hops, h)
		}
	}
	for _, h := range hops {
		for _, next := range hops {
			if _, ok := l.feeds(h, next); ok {
				h.next = append(h.next, next)
			}
		}
	}
	told := map[*hop]bool{}
	for _, start := range hops {
		if told[start] {
			continue
		}
		if loop := shortestLoop(start); loop != nil {
			l.reportLoop(loop)
			for _, h := range loop {
				told[h] = true
			}
		}
	}
}

// channels returns what a hop gives out through one of its sinks.
func (l *loader) channels(h *hop, sink string, out Traffic) (all []channel) {
	if out.Folder != "" {
		all = append(all, channel{folder: out.Folder})
	}
	connection, ok := l.config.Connections[out.Connection]
	if !ok {
		return all
	}
	names := l.namesOut(h, out)
	if len(names) == 0 {
		c := &Check{document: l.document, path: []string{"routes", h.route.name}}
		l.problem(c.item("to", slices.Index(h.route.To, sink)),
			"what source %q brings has no event name; give sink %q an event, or add set = { event = '\"NAME\"' } to [routes.%s]",
			h.source, sink, h.route.name)
	}
	for _, name := range names {
		all = append(all, channel{hub: connection.hub, events: name})
	}
	return all
}

// namesOut returns the full names under which a hop's messages appear on a
// sink's hub; nothing when they have none.
func (l *loader) namesOut(h *hop, out Traffic) (full []string) {
	own := l.config.federation(out.Connection)
	federation, isKnown, redirected := h.route.sets("federation")
	if !redirected {
		if len(out.Events) > 0 {
			return out.Events
		}
		federation, isKnown = own, true
	}
	var names []string
	switch event, isConstant, sets := h.route.sets("event"); {
	case len(out.Events) > 0:
		names = ownNames(own, out.Events)
	case isConstant:
		names = []string{event}
	case sets:
		names = []string{wire.Wildcard}
	default:
		names = ownNames(l.config.federation(h.in.Connection), h.in.Events)
	}
	if len(names) > 0 && !isKnown {
		return []string{wire.Wildcard}
	}
	for _, name := range names {
		full = append(full, router.FullName(federation, name))
	}
	return full
}

// ownNames returns the event names, without the federation, that patterns of
// full names stand for.
func ownNames(federation string, patterns []string) []string {
	names := make([]string, len(patterns))
	for i, p := range patterns {
		_, names[i] = router.SplitName(federation, p)
		if strings.HasSuffix(p, wire.Wildcard) && federation != "" && wire.MatchName(p, federation+".") {
			names[i] = wire.Wildcard // names inside the federation, and maybe outside
		}
	}
	return names
}

// sets is filter.Filter.Sets for a route that may have none.
func (r *route) sets(field string) (constant string, isConstant, sets bool) {
	if r.filter == nil {
		return "", false, false
	}
	return r.filter.Sets(field)
}

// warnHidden warns of a set.event that a sink with an event of its own hides.
func (l *loader) warnHidden(r *route) {
	if _, _, sets := r.sets("event"); !sets {
		return
	}
	for _, sink := range r.To {
		if out := l.sinks[sink]; out.Connection != "" && len(out.Events) > 0 {
			l.warn(l.placeOf("routes", r.name, "set", "event").name,
				"sink %q publishes everything as %q, whatever event is set here; remove one of the two", sink, out.Events[0])
		}
	}
}

// feeds returns through which channel what a gives out gets into b, if it does.
func (l *loader) feeds(a, b *hop) (through channel, ok bool) {
	in, onHub := l.config.Connections[b.in.Connection]
	for _, c := range a.out {
		switch {
		case c.folder != "":
			ok = b.in.Folder != "" && (lies(b.in.Folder, c.folder) || !b.in.Flat && lies(c.folder, b.in.Folder))
		case !onHub || c.hub != in.hub || b.in.IgnoreRelayed && a.in.Connection != "":
			ok = false
		default:
			ok = slices.ContainsFunc(b.in.Events, func(e string) bool { return overlap(e, c.events) })
		}
		if ok {
			return c, true
		}
	}
	return channel{}, false
}

// lies tells whether a folder is another or lies below it.
func lies(folder, in string) bool {
	rel, err := filepath.Rel(in, folder)
	return err == nil && filepath.IsLocal(rel)
}

// overlap tells whether there is a name that both patterns take.
func overlap(a, b string) bool {
	return wire.MatchName(a, strings.TrimSuffix(b, wire.Wildcard)) || wire.MatchName(b, strings.TrimSuffix(a, wire.Wildcard))
}

// shortestLoop returns the hops of a shortest loop through start, which is the
// first of them; nil when there is none.
func shortestLoop(start *hop) (loop []*hop) {
	before := map[*hop]*hop{}
	for queue := []*hop{start}; len(queue) > 0; queue = queue[1:] {
		for _, next := range queue[0].next {
			if next == start {
				for h := queue[0]; h != nil; h = before[h] {
					loop = append(loop, h)
				}
				slices.Reverse(loop)
				return loop
			}
			if _, known := before[next]; !known {
				before[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// reportLoop names a loop and what breaks it.
func (l *loader) reportLoop(loop []*hop) {
	var way strings.Builder
	var ignorers []string
	for i, h := range loop {
		next := loop[(i+1)%len(loop)]
		through, _ := l.feeds(h, next)
		fmt.Fprintf(&way, "route %q → %s → ", h.route.name, l.name(through))
		if through.hub != "" && h.in.Connection != "" && !slices.Contains(ignorers, next.source) {
			ignorers = append(ignorers, next.source)
		}
	}
	remedy := "use another folder or event"
	if len(ignorers) > 0 {
		remedy = fmt.Sprintf("set ignore_relayed = true on source %s, or use another event or federation",
			strings.ReplaceAll(quoteAll(ignorers), ", ", " and on source "))
	}
	first := loop[0].route.name
	l.problem(l.placeOf("routes", first).start, "a message would go round for ever: %sroute %q; %s", way.String(), first, remedy)
}

// name returns how a channel is named in messages.
func (l *loader) name(c channel) string {
	switch {
	case c.folder != "":
		if rel, err := filepath.Rel(l.config.Dir, c.folder); err == nil && filepath.IsLocal(rel) {
			return fmt.Sprintf("folder %q", filepath.ToSlash(rel))
		}
		return fmt.Sprintf("folder %q", c.folder)
	case c.hub == internalHub:
		return fmt.Sprintf("event %q on the hub of this file", c.events)
	default:
		return fmt.Sprintf("event %q on the hub at %s", c.events, c.hub)
	}
}
