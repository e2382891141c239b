package router

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
)

// NameFilter is implemented by a Filter that knows of some events by their
// name that it takes no signal of them. It is asked once for many signals, so
// that a thousand routes, of which each wants another event, cost no more than
// one.
type NameFilter interface {
	// MayTake returns false only if Signal would not pass any signal with that
	// name, nor fail on it.
	MayTake(federation, event string) bool
}

// maxInterests is the number of event names of which a source remembers the
// routes. Beyond it, it begins anew.
const maxInterests = 4096

// interests finds the routes that may take a signal.
type interests struct {
	all *fanout

	latest atomic.Pointer[interest] // of the signal before
	mu     sync.Mutex
	byName map[eventName]*interest
}

type eventName struct{ federation, event string }

// interest is the routes that may take the signals of one event. Their fan-out
// may be forgotten with what it remembers, because a route has always taken a
// signal for good when its Signal returns.
type interest struct {
	name   eventName
	routes *fanout
}

func newInterests(routes []branch, before *fanout) *interests {
	return &interests{all: newFanout(routes, before), byName: map[eventName]*interest{}}
}

// Signal calls the routes that may take s.
func (i *interests) Signal(ctx context.Context, s Signal) error {
	if len(i.all.branches) < 2 {
		return i.all.Signal(ctx, s)
	}
	return i.of(eventName{s.Federation, s.Event}).Signal(ctx, s)
}

// of returns the routes that may take signals of an event.
func (i *interests) of(name eventName) *fanout {
	if latest := i.latest.Load(); latest != nil && latest.name == name {
		return latest.routes
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	found := i.byName[name]
	if found == nil {
		if len(i.byName) >= maxInterests {
			clear(i.byName)
		}
		name = eventName{strings.Clone(name.federation), strings.Clone(name.event)} // not a part of a message
		found = &interest{name, i.find(name)}
		i.byName[name] = found
	}
	i.latest.Store(found)
	return found.routes
}

func (i *interests) find(name eventName) *fanout {
	var routes []branch
	for _, b := range i.all.branches {
		if r, ok := b.sink.(*route); !ok || r.mayTake(name) {
			routes = append(routes, b)
		}
	}
	return newFanout(routes, nil)
}

func (r *route) mayTake(name eventName) bool {
	f, ok := r.filter.(NameFilter)
	return !ok || f.MayTake(name.federation, name.event)
}
