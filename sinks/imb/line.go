package imb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"imbrouter/imb"
	"imbrouter/router"
)

// line is one of a sink's connections with the events that it publishes.
type line struct {
	client    *imb.Client
	maxEvents int
	ready     chan struct{}             // closed at the first connection
	connected atomic.Pointer[time.Time] // when the present connection was made, or the last one

	latest atomic.Pointer[published] // what event returned last
	mu     sync.Mutex
	events map[name]*published
}

// subscriberWait is how long a file waits for those who subscribed its event
// before the connection was lost. A hub that starts again loses them all, and
// they come back one by one.
const subscriberWait = 5 * time.Second

var errSubscribersLost = errors.New("those who subscribed the event are not back yet since the connection was lost")

// awaitsSubscribers tells whether a file for an event is to wait.
func (l *line) awaitsSubscribers(e *imb.Event) bool {
	connected := l.connected.Load()
	return e.LostSubscribers() && connected != nil && time.Since(*connected) < subscriberWait
}

// name is an event's full name in its two parts, so that nobody joins them for
// each message.
type name struct{ federation, event string }

// published is an event that the line publishes.
type published struct {
	*imb.Event
	name name
}

// connect makes a line. A hub that is away is waited for in the background.
func (s *sink) connect(ctx context.Context, onConnected func()) (*line, error) {
	l := &line{maxEvents: s.config.MaxEvents, ready: make(chan struct{}), events: map[name]*published{}}
	first := sync.OnceFunc(func() { close(l.ready) })
	o := s.connection.Options
	o.SendQueue = int(s.config.Queue)
	o.Log = s.log
	o.Retry = true
	o.OnState = func(state imb.State, _ error) {
		if state == imb.Connected {
			now := time.Now()
			l.connected.Store(&now)
			first()
			onConnected()
		}
	}
	client, err := imb.Connect(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("connection %q: %w", s.connection.Name, err)
	}
	l.client = client
	return l, nil
}

// event returns a published event. Names may be computed from messages, so
// their number has a limit. Most messages have the name of the one before.
func (l *line) event(federation, event string) (*imb.Event, error) {
	n := name{federation, event}
	if p := l.latest.Load(); p != nil && p.name == n {
		return p.Event, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.events[n]
	if !ok {
		e, err := l.publish(router.FullName(federation, event))
		if err != nil {
			return nil, err
		}
		p = &published{e, n}
		l.events[n] = p
	}
	l.latest.Store(p)
	return p.Event, nil
}

// publish publishes one more event. The caller holds mu.
func (l *line) publish(full string) (*imb.Event, error) {
	if len(l.events) >= l.maxEvents {
		return nil, router.Permanent(fmt.Errorf("event %q: the sink publishes %d events already, and `max_events` allows no more",
			full, len(l.events)))
	}
	e := l.client.FullEvent(full)
	switch err := e.Publish(); {
	case errors.Is(err, imb.ErrWildcard), errors.Is(err, imb.ErrNameTooLong):
		return nil, router.Permanent(err)
	case err != nil:
		return nil, err
	}
	return e, nil
}

func (l *line) link(connection string) router.Link {
	return router.Link{Connection: connection, State: l.client.State(), Err: l.client.Err(), Stats: l.client.Stats()}
}
