package hub

import (
	"container/heap"
	"slices"
	"strings"

	"imbrouter/imb/wire"
)

// registry holds the events and filters of a hub, under its mu.
type registry struct {
	events  map[string]*event    // by key
	filters map[string][]*filter // by prefix
	free    idHeap               // event ids below next that are not in use
	next    int32
}

func newRegistry() registry {
	return registry{events: make(map[string]*event), filters: make(map[string][]*filter)}
}

// add makes an event of a name that has none. Its id is the lowest that is
// free, because clients use ids as array indexes.
func (r *registry) add(name, key string) *event {
	e := &event{
		name:    name,
		key:     key,
		private: wire.IsPrivate(name),
		relay:   strings.HasPrefix(key, relayKey),
		links:   make(map[*conn]*link),
	}
	e.subscribers.Store(new([]*link))
	if len(r.free) > 0 {
		e.id = heap.Pop(&r.free).(int32)
	} else {
		e.id = r.next
		r.next++
	}
	r.events[key] = e
	return e
}

// remove forgets an event and frees its id.
func (r *registry) remove(e *event) {
	delete(r.events, e.key)
	heap.Push(&r.free, e.id)
}

func (r *registry) addFilter(f *filter) {
	r.filters[f.prefix] = append(r.filters[f.prefix], f)
}

func (r *registry) removeFilter(f *filter) {
	rest := slices.DeleteFunc(r.filters[f.prefix], func(other *filter) bool { return other == f })
	if len(rest) == 0 {
		delete(r.filters, f.prefix)
	} else {
		r.filters[f.prefix] = rest
	}
}

// filtered returns the connections that have a filter for the event.
func (r *registry) filtered(e *event) map[*conn]struct{} {
	conns := make(map[*conn]struct{})
	if len(r.filters) == 0 || e.private {
		return conns
	}
	for n := range len(e.key) + 1 {
		for _, f := range r.filters[e.key[:n]] {
			conns[f.conn] = struct{}{}
		}
	}
	return conns
}

// matching returns the events whose key has the prefix, by id, without those
// that are private.
func (r *registry) matching(prefix string) []*event {
	var events []*event
	for key, e := range r.events {
		if strings.HasPrefix(key, prefix) && !e.private {
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b *event) int { return int(a.id - b.id) })
	return events
}

// filter is a subscription to all names with a prefix.
type filter struct {
	claim
	prefix string // folded
	conn   *conn
}

// idHeap is a heap of ids, the lowest first.
type idHeap []int32

func (h idHeap) Len() int           { return len(h) }
func (h idHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h idHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *idHeap) Push(x any)        { *h = append(*h, x.(int32)) }
func (h *idHeap) Pop() any {
	last := len(*h) - 1
	id := (*h)[last]
	*h = (*h)[:last]
	return id
}
