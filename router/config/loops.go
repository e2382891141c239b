package config

import (
	"fmt"
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
	folder   string
	hub      string
	events   string // a full name, or a prefix that ends in "*"
	kept     bool   // events keep their names, beside the federation
	computed bool   // an expression gives the names
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
		l.warnSet(r)
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
	l.warnTwice(hops)
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
	_, isConstant, renamed := h.route.sets("event")
	_, isKnown, redirected := h.route.sets("federation")
	renamed = renamed && len(out.Events) == 0
	kept := len(out.Events) == 0 && !renamed && !redirected
	computed := renamed && !isConstant || redirected && !isKnown
	for _, name := range names {
		all = append(all, channel{hub: connection.hub, events: name, kept: kept, computed: computed})
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

// warnSet warns of a set.event that a sink with an event of its own hides, and
// of one that begins with the federation that is put before it.
func (l *loader) warnSet(r *route) {
	event, _, sets := r.sets("event")
	if !sets {
		return
	}
	_, _, redirected := r.sets("federation")
	at := l.placeOf("routes", r.name, "set", "event").name
	for _, sink := range r.To {
		out := l.sinks[sink]
		if out.Connection == "" {
			continue
		}
		federation := l.config.federation(out.Connection)
		if len(out.Events) > 0 {
			l.warn(at, "sink %q publishes everything as %q, whatever event is set here; remove one of the two", sink, out.Events[0])
		} else if rest, twice := repeats(federation, event); twice && !redirected {
			l.warn(at, "event: %q becomes %q on sink %q, because its connection's federation is put before it; set '%q'",
				event, router.FullName(federation, event), sink, rest)
		}
	}
}

// warnTwice warns of relays between two hubs or federations of which only one
// source ignores what was relayed. What others publish where that one
// subscribes goes over, is taken for news by the other, and comes back: no
// further, but whoever listens there has it twice.
func (l *loader) warnTwice(hops []*hop) {
	told := map[string]bool{}
	for _, a := range hops {
		for _, b := range hops {
			there, isThere := l.reaches(a, b)
			back, isBack := l.reaches(b, a)
			if !isThere || !isBack || !a.ignores(b) || b.ignores(a) || told[b.source] || !comesBack(a, there, back) {
				continue
			}
			told[b.source] = true
			l.warn(l.placeOf("sources", b.source).start,
				"what route %q relays comes back by route %q, because source %q does not ignore it: who listens to %s gets it twice; "+
					"set ignore_relayed = true on source %q too",
				a.route.name, b.route.name, b.source, l.name(back), b.source)
		}
	}
}

// comesBack tells whether what a takes in, gives out there and gets back has
// the name again that it had.
func comesBack(a *hop, there, back channel) bool {
	return there.kept && back.kept || slices.ContainsFunc(a.in.Events, func(event string) bool {
		return !strings.HasSuffix(event, wire.Wildcard) && wire.MatchName(event, back.events)
	})
}

// feeds returns through which channel what a gives out gets into b, if it does.
func (l *loader) feeds(a, b *hop) (through channel, ok bool) {
	if b.ignores(a) {
		return channel{}, false
	}
	return l.reaches(a, b)
}

// ignores tells whether b does not take what a gives out to its hub.
func (b *hop) ignores(a *hop) bool { return b.in.IgnoreRelayed && a.in.Connection != "" }

// reaches returns a channel on which b can see what a gives out, if there is
// one, whether or not it ignores that.
func (l *loader) reaches(a, b *hop) (through channel, ok bool) {
	in, onHub := l.config.Connections[b.in.Connection]
	for _, c := range a.out {
		switch {
		case c.folder != "":
			ok = b.in.Folder != "" && (lies(b.in.Folder, c.folder) || b.in.reads(c.folder))
		case onHub && c.hub == in.hub:
			ok = slices.ContainsFunc(b.in.Events, func(e string) bool { return overlap(e, c.events) })
		}
		if ok {
			return c, true
		}
	}
	return channel{}, false
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
		fmt.Fprintf(&way, "route %q → %s → ", h.route.name, l.name(through.seenBy(next)))
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

// seenBy returns the channel with the events in it that a hop takes in, where
// these are fewer.
func (c channel) seenBy(next *hop) channel {
	for _, event := range next.in.Events {
		if wire.MatchName(c.events, strings.TrimSuffix(event, wire.Wildcard)) {
			c.events = event
			break
		}
	}
	return c
}

// name returns how a channel is named in messages.
func (l *loader) name(c channel) string {
	if c.folder != "" {
		return "folder " + l.folderName(c.folder)
	}
	hub := "the hub of this file"
	if c.hub != internalHub {
		hub = "the hub at " + c.hub
	}
	if c.computed {
		return fmt.Sprintf("event %q, if that is what set makes of it, on %s", c.events, hub)
	}
	return fmt.Sprintf("event %q on %s", c.events, hub)
}
