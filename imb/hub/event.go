package hub

import (
	"container/heap"
	"math"
	"slices"
	"strings"
	"sync/atomic"
)

// event is a name that some connection subscribes to or publishes.
type event struct {
	id   int32
	name string // as it was spelled first
	key  string // folded

	// subscribers holds the links with a target. It is read by every sender
	// and replaced, never changed, under Hub.mu.
	subscribers atomic.Pointer[[]*link]
	// epoch grows with each subscription, after it can be found in subscribers.
	epoch atomic.Uint64

	// Guarded by Hub.mu.
	links      map[*conn]*link
	publishers int // links with pubs
}

// noTarget is the target of a link without a subscription, and the client id
// that takes a translation back.
const noTarget int32 = -1

// The least and the greatest of what link.since is compared with.
const (
	anyEpoch = math.MaxUint64 - 1 // of what is not part of a stream
	notAtAll = math.MaxUint64     // since, of a link without a subscription
)

// link is what one connection has to do with one event.
type link struct {
	conn  *conn
	event *event

	// Guarded by Hub.mu.
	subs, pubs []claim // the latest last; no two of a kind share a name or an id
	target     int32   // the client id that the hub has translated the event's id to
	// told is what the connection was told last about the others.
	toldPublished, toldSubscribed bool

	// Guarded by the lock of conn.queue.
	since    uint64 // event.epoch of the subscription
	announce bool   // it is by a filter, and the event's name has not been told since

	// streams holds, by stream id, those that the connection has begun to send
	// on the event. Its reader's own.
	streams map[int32]*stream
}

// claim is a name as its client spells it, with the id that it gave it.
type claim struct {
	name string
	id   int32
}

func (c claim) spelling() string { return c.name }

func named(name string) func(claim) bool {
	return func(c claim) bool { return c.name == name }
}

// spelled returns the index of the one that a client means by name: the one
// with that spelling, or else the latest that differs only in case, or −1.
func spelled[T interface{ spelling() string }](list []T, name string) int {
	if i := slices.IndexFunc(list, func(t T) bool { return t.spelling() == name }); i >= 0 {
		return i
	}
	key := fold(name)
	for i, t := range slices.Backward(list) {
		if fold(t.spelling()) == key {
			return i
		}
	}
	return -1
}

// filter is a subscription to all names with a prefix.
type filter struct {
	claim
	prefix string // folded
	conn   *conn
}

// enter adds a claim to subs or pubs, in place of those that share its name or
// id.
func (l *link) enter(list *[]claim, n claim) {
	l.leave(list, func(old claim) bool { return old.name == n.name || old.id == n.id })
	*list = append(*list, n)
	l.conn.table.set(n.id, l)
}

// leave removes claims from subs or pubs. Ids that none is left for stand for
// nothing from then on.
func (l *link) leave(list *[]claim, gone func(claim) bool) {
	before := slices.Clone(*list)
	*list = slices.DeleteFunc(*list, gone)
	for _, c := range before {
		if !l.uses(c.id) {
			l.conn.table.set(c.id, nil)
		}
	}
}

// held tells whether the link is there for its client's sake, and not only
// because a filter matches.
func (l *link) held() bool { return len(l.subs) > 0 || len(l.pubs) > 0 }

// uses tells whether the client's id stands for the event.
func (l *link) uses(id int32) bool {
	is := func(c claim) bool { return c.id == id }
	return slices.ContainsFunc(l.subs, is) || slices.ContainsFunc(l.pubs, is)
}

// wanted returns the client id under which the event goes to the connection:
// that of the latest subscription to its name, else of the latest filter.
func (l *link) wanted() (target int32, byFilter bool) {
	if n := len(l.subs); n > 0 {
		return l.subs[n-1].id, false
	}
	for _, f := range slices.Backward(l.conn.filters) {
		if strings.HasPrefix(l.event.key, f.prefix) {
			return f.id, true
		}
	}
	return noTarget, false
}

// names returns what the client calls the event, in the spellings of claims.
func (l *link) names(claims []claim) []string {
	if len(claims) == 0 {
		return []string{l.event.name}
	}
	names := make([]string, len(claims))
	for i, c := range claims {
		names[i] = c.name
	}
	return names
}

// othersPublish tells whether any other connection publishes the event.
func (l *link) othersPublish() bool {
	return l.event.publishers > 1 || l.event.publishers == 1 && len(l.pubs) == 0
}

// othersSubscribe tells whether any other connection subscribes to the event.
func (l *link) othersSubscribe() bool {
	n := len(*l.event.subscribers.Load())
	return n > 1 || n == 1 && l.target == noTarget
}

// held tells whether any connection subscribes to or publishes the event by name.
func (e *event) held() bool {
	for _, l := range e.links {
		if l.held() {
			return true
		}
	}
	return false
}

func (e *event) addSubscriber(l *link) {
	old := *e.subscribers.Load()
	list := append(slices.Grow([]*link(nil), len(old)+1), old...)
	list = append(list, l)
	e.subscribers.Store(&list)
}

func (e *event) removeSubscriber(l *link) {
	list := slices.Clone(*e.subscribers.Load())
	list = slices.DeleteFunc(list, func(other *link) bool { return other == l })
	e.subscribers.Store(&list)
}

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
	e := &event{name: name, key: key, links: make(map[*conn]*link)}
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
	if len(r.filters) == 0 {
		return conns
	}
	for n := range len(e.key) + 1 {
		for _, f := range r.filters[e.key[:n]] {
			conns[f.conn] = struct{}{}
		}
	}
	return conns
}

// matching returns the events whose key has the prefix, by id.
func (r *registry) matching(prefix string) []*event {
	var events []*event
	for key, e := range r.events {
		if strings.HasPrefix(key, prefix) {
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b *event) int { return int(a.id - b.id) })
	return events
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
