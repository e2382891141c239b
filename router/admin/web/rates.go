package web

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"imbrouter/router/admin"
)

const (
	// kept is how many looks at a part are remembered, one an interval.
	kept = 91
	// smooth is over how many intervals a rate is told.
	smooth = 3
)

// rates remembers what had passed through each source, route, sink and transfer at
// the last looks.
type rates struct {
	mu     sync.Mutex
	series map[string][]look // oldest first; by kind and name
}

// look is what had passed through something at a time.
type look struct {
	at       time.Time
	messages uint64
	bytes    uint64
}

func (r *rates) add(at time.Time, s admin.Status) {
	next := map[string]look{}
	of := func(kind, name string, c admin.Counts) {
		next[kind+" "+name] = look{at, c.Signals.Messages + c.Streams.Messages, c.Signals.Bytes + c.Streams.Bytes}
	}
	for _, p := range s.Sources {
		of("source", p.Name, p.Counts)
	}
	for _, route := range s.Routes {
		of("route", route.Name, route.Counts)
	}
	for _, p := range s.Sinks {
		of("sink", p.Name, p.Counts)
	}
	for _, t := range s.Transfers {
		next[transferKey(t)] = look{at: at, bytes: uint64(max(t.Done, 0))}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.series
	r.series = map[string][]look{}
	for key, l := range next {
		all := before[key]
		if len(all) > 0 && (l.bytes < all[len(all)-1].bytes || l.messages < all[len(all)-1].messages) {
			all = nil // another of that name
		}
		all = append(all, l)
		r.series[key] = all[max(0, len(all)-kept):]
	}
}

func transferKey(t admin.Transfer) string {
	return fmt.Sprintf("transfer %s %s %s %d", t.Source, t.Event, t.Name, t.Started.UnixNano())
}

// rate is per second.
type rate struct{ messages, bytes float64 }

// of returns the present rate of something.
func (r *rates) of(key string) rate {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.series[key]
	if len(all) < 2 {
		return rate{}
	}
	now, then := all[len(all)-1], all[max(0, len(all)-1-smooth)]
	seconds := now.at.Sub(then.at).Seconds()
	if seconds <= 0 {
		return rate{}
	}
	return rate{float64(now.messages-then.messages) / seconds, float64(now.bytes-then.bytes) / seconds}
}

// The size of a line of sparks, in units of its picture.
const (
	sparkWidth  = kept - 2
	sparkHeight = 20
)

// sparks returns the points of a line of the bytes in each interval, the newest at
// the right; "" when there were none.
func (r *rates) sparks(key string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.series[key]
	var top uint64
	for i := 1; i < len(all); i++ {
		top = max(top, all[i].bytes-all[i-1].bytes)
	}
	if top == 0 {
		return ""
	}
	var points strings.Builder
	for i := 1; i < len(all); i++ {
		x := sparkWidth - (len(all) - 1 - i)
		y := sparkHeight - float64(all[i].bytes-all[i-1].bytes)/float64(top)*(sparkHeight-2) - 1
		fmt.Fprintf(&points, "%d,%.1f ", x, y)
	}
	return strings.TrimSpace(points.String())
}
