package hub

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"imbrouter/imb/wire"
)

// event is a name that some connection subscribes to or publishes.
type event struct {
	id   int32
	name string // as it was spelled first
	key  string // folded

	private bool // only who subscribes it by its name may see it
	relay   bool // and does not get what comes from those who publish it

	// subscribers holds the links with a target. It is read by every sender
	// and replaced, never changed, under Hub.mu.
	subscribers atomic.Pointer[[]*link]
	// epoch grows with each subscription, after it can be found in subscribers.
	epoch atomic.Uint64

	// Guarded by Hub.mu.
	links      map[*conn]*link
	publishers int // links with pubs

	streams sync.Mutex        // nothing else is locked under it
	running map[int32]*stream // by stream id; guarded by streams

	timers map[string]*timer // by name; guarded by Hub.timers
}

// noTarget is the target of a link without a subscription, and the client id
// that takes a translation back.
const noTarget int32 = -1

// never is since of a link without a subscription.
const never uint64 = math.MaxUint64

// link is what one connection has to do with one event.
type link struct {
	conn  *conn
	event *event

	// Guarded by Hub.mu. Of subs, and of pubs, no two share a name or an id,
	// and the latest is the last.
	subs, pubs []claim
	target     int32 // the client id that the event's id is translated to

	// Guarded by the lock of conn.queue.
	since    uint64 // event.epoch of the subscription
	announce bool   // it is a filter's, and the event's name is still to be told

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

// holds tells whether one of the claims has the name in that spelling.
func holds(claims []claim, name string) bool {
	return slices.ContainsFunc(claims, func(c claim) bool { return c.name == name })
}

// spelled returns the index of the one that a client means by name: the one
// with that spelling, or else the latest that differs only in case, or −1.
func spelled[T interface{ spelling() string }](list []T, name string) int {
	if i := slices.IndexFunc(list, func(t T) bool { return t.spelling() == name }); i >= 0 {
		return i
	}
	key := wire.FoldName(name)
	for i, t := range slices.Backward(list) {
		if wire.FoldName(t.spelling()) == key {
			return i
		}
	}
	return -1
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
	if l.event.private {
		return noTarget, false
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

// othersPublish tells whether any other connection publishes the event, as far
// as clients may know.
func (l *link) othersPublish() bool {
	n := l.event.publishers
	return !l.event.private && (n > 1 || n == 1 && len(l.pubs) == 0)
}

// othersSubscribe tells whether any other connection subscribes to the event,
// as far as clients may know.
func (l *link) othersSubscribe() bool {
	n := len(*l.event.subscribers.Load())
	return !l.event.private && (n > 1 || n == 1 && l.target == noTarget)
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
	list := slices.Concat(*e.subscribers.Load(), []*link{l})
	e.subscribers.Store(&list)
}

func (e *event) removeSubscriber(l *link) {
	list := slices.Clone(*e.subscribers.Load())
	list = slices.DeleteFunc(list, func(other *link) bool { return other == l })
	e.subscribers.Store(&list)
}
