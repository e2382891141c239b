package web

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"imbrouter/router/admin"
	"imbrouter/router/config"
	"imbrouter/router/filter"
)

// graph is the routes as a picture: three columns of boxes, and wires between
// them. The boxes of a column have the same height each, so that wires can be
// drawn without knowing it.
type graph struct {
	Sources, Routes, Sinks []box
	In, Out                wires // from sources to routes, and from those to sinks
}

// box is a source, a route or a sink.
type box struct {
	ID, Name, Kind string
	State          string // "idle", "live" or "bad"
	Rate           string // "" when nothing flows
	About          string
	Rules          []string // of a route: what it takes and sets
	Way            string   // of a route: from where to where, in words
	Counts         string
	Waiting        int // files that a source has still to send
	Reason         string
	Sparks         string // see rates.sparks
}

// wires are what is drawn between two columns.
type wires struct {
	Height int // of the picture, whose width is wireWidth
	Wires  []wire
}

type wire struct{ State, Path string }

// The units of a picture of wires: rowHeight is for a box in the longest column.
const (
	wireWidth = 100
	rowHeight = 100
)

// bad returns the number of routes that fail.
func (g graph) bad() (n int) {
	for _, b := range g.Routes {
		if b.State == "bad" {
			n++
		}
	}
	return n
}

func (p *Page) graph(cfg *config.Config, s admin.Status) (g graph) {
	reasons := map[string]string{} // by kind and name of what has no connection
	for _, c := range s.Connections {
		if c.State != "connected" {
			reason := fmt.Sprintf("connection %q is %s", c.Name, c.State)
			if c.Error != "" {
				reason += ": " + c.Error
			}
			reasons[cmp.Or(prefixed("source", c.Source), prefixed("sink", c.Sink))] = reason
		}
	}
	for _, part := range s.Sources {
		g.Sources = append(g.Sources, p.part(cfg, "source", part, reasons))
	}
	for _, part := range s.Sinks {
		g.Sinks = append(g.Sinks, p.part(cfg, "sink", part, reasons))
	}
	for _, route := range s.Routes {
		b := p.box("route", route.Name, route.Counts)
		b.Rules = rules(cfg, route.Name)
		b.Way = strings.Join(route.From, ", ") + " → " + strings.Join(route.To, ", ")
		if route.State != admin.Up && b.Reason == "" {
			b.State, b.Reason = "bad", down(g, route)
		}
		g.Routes = append(g.Routes, b)
	}
	g.Sources, g.Sinks = ordered(g.Sources, s.Routes, func(r admin.Route) []string { return r.From }),
		ordered(g.Sinks, s.Routes, func(r admin.Route) []string { return r.To })
	g.wire(s.Routes)
	return g
}

func prefixed(kind, name string) string {
	if name == "" {
		return ""
	}
	return kind + " " + name
}

// down says which of a route's ends is not up.
func down(g graph, route admin.Route) string {
	var all []string
	for _, end := range []struct {
		kind  string
		boxes []box
		names []string
	}{{"source", g.Sources, route.From}, {"sink", g.Sinks, route.To}} {
		for _, b := range end.boxes {
			if slices.Contains(end.names, b.Name) && b.State == "bad" {
				all = append(all, fmt.Sprintf("%s %q: %s", end.kind, b.Name, b.Reason))
			}
		}
	}
	return strings.Join(all, "; ")
}

func (p *Page) part(cfg *config.Config, kind string, part admin.Part, reasons map[string]string) box {
	b := p.box(kind, part.Name, part.Counts)
	if source, ok := cfg.Sources[part.Name]; ok && kind == "source" {
		b.About = cfg.Describe(source.Traffic(), inDir(cfg))
	}
	if sink, ok := cfg.Sinks[part.Name]; ok && kind == "sink" {
		b.About = cfg.Describe(sink.Traffic(), inDir(cfg))
	}
	if part.Waiting != nil {
		b.Waiting = *part.Waiting
	}
	if part.State != admin.Up {
		b.State = "bad"
		b.Reason = cmp.Or(reasons[kind+" "+part.Name], b.Reason, "it has failed, and is started again soon")
	}
	return b
}

func (p *Page) box(kind, name string, c admin.Counts) box {
	key := kind + " " + name
	b := box{ID: kind + "-" + name, Name: name, Kind: kind, State: "idle", Counts: counted(c)}
	if kind == "route" {
		b.Sparks = p.rates.sparks(key)
	}
	if r := p.rates.of(key); r.messages > 0 || r.bytes > 0 {
		b.State, b.Rate = "live", flowing(r)
	}
	if c.Failing {
		b.State = "bad"
		if c.LastError != nil {
			b.Reason = short(c.LastError.Error)
		}
	}
	return b
}

// flowing is a rate for people: of files the bytes tell more, of signals their
// number.
func flowing(r rate) string {
	bytes := humanize.IBytes(uint64(r.bytes)) + "/s"
	if r.messages < 0.5 {
		return bytes
	}
	return fmt.Sprintf("%s/s · %s", humanize.Comma(int64(math.Ceil(r.messages))), bytes)
}

// counted is what has passed through, for people.
func counted(c admin.Counts) string {
	var all []string
	add := func(n uint64, one, many string) {
		if n == 1 {
			all = append(all, "1 "+one)
		} else if n > 1 {
			all = append(all, humanize.Comma(int64(n))+" "+many)
		}
	}
	add(c.Signals.Messages, "signal", "signals")
	add(c.Streams.Messages, "stream", "streams")
	add(c.Signals.Failed()+c.Streams.Failed(), "failure", "failures")
	return strings.Join(all, ", ")
}

// rules says what a route takes and sets.
func rules(cfg *config.Config, name string) (lines []string) {
	for _, route := range cfg.Routes {
		f, ok := route.Filter.(*filter.Filter)
		if route.Name != name || !ok {
			continue
		}
		if f.When() != "" {
			lines = append(lines, "when "+brief(strings.Join(strings.Fields(f.When()), " ")))
		}
		if fields := f.SetFields(); len(fields) > 0 {
			lines = append(lines, "set "+brief(strings.Join(fields, ", ")))
		}
	}
	return lines
}

// ordered sorts boxes so that wires cross little: by where their routes are.
func ordered(boxes []box, routes []admin.Route, ends func(admin.Route) []string) []box {
	middle := func(b box) float64 {
		sum, n := 0.0, 0.0
		for i, route := range routes {
			if slices.Contains(ends(route), b.Name) {
				sum, n = sum+float64(i), n+1
			}
		}
		if n == 0 {
			return math.Inf(1)
		}
		return sum / n
	}
	slices.SortStableFunc(boxes, func(a, b box) int { return cmp.Compare(middle(a), middle(b)) })
	return boxes
}

// wire draws the wires.
func (g *graph) wire(routes []admin.Route) {
	height := rowHeight * max(len(g.Sources), len(g.Routes), len(g.Sinks), 1)
	g.In.Height, g.Out.Height = height, height
	for _, route := range routes {
		at := slices.IndexFunc(g.Routes, func(b box) bool { return b.Name == route.Name })
		for _, name := range route.From {
			g.In.connect(g.Sources, name, g.Routes, route.Name, g.Routes[at])
		}
		for _, name := range route.To {
			g.Out.connect(g.Routes, route.Name, g.Sinks, name, g.Routes[at])
		}
	}
}

// connect draws a wire of a route between a box of a column and one of the next.
func (w *wires) connect(left []box, from string, right []box, to string, route box) {
	i := slices.IndexFunc(left, func(b box) bool { return b.Name == from })
	k := slices.IndexFunc(right, func(b box) bool { return b.Name == to })
	if i < 0 || k < 0 { // a reload came in between
		return
	}
	height := func(i, of int) float64 { return (float64(i) + 0.5) / float64(of) * float64(w.Height) }
	y1, y2 := height(i, len(left)), height(k, len(right))
	state := "idle"
	switch {
	case route.State == "bad" && (left[i].State == "bad" && right[k].State == "bad"):
		state = "bad"
	case left[i].State == "live" && right[k].State == "live":
		state = "live"
	}
	w.Wires = append(w.Wires, wire{state, fmt.Sprintf("M0 %.1fC%d %.1f %d %.1f %d %.1f", y1, wireWidth/2, y1, wireWidth/2, y2, wireWidth, y2)})
}
