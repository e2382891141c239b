package imb

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"imbrouter/imb"
	"imbrouter/imb/wire"
	"imbrouter/router"
)

// line is one of a sink's connections with the events that it publishes.
type line struct {
	client    *imb.Client
	maxEvents int
	ready     chan struct{} // closed at the first connection

	mu     sync.Mutex
	events map[string]*imb.Event // published, by full name
}

// connect makes a line. A hub that is away is waited for in the background.
func (s *sink) connect(ctx context.Context, onConnected func()) (*line, error) {
	l := &line{maxEvents: s.config.MaxEvents, ready: make(chan struct{}), events: map[string]*imb.Event{}}
	first := sync.OnceFunc(func() { close(l.ready) })
	o := s.connection.Options
	o.SendQueue = int(s.config.Queue)
	o.Log = s.log
	o.Retry = true
	o.OnState = func(state imb.State, _ error) {
		if state == imb.Connected {
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
// their number has a limit.
func (l *line) event(full string) (*imb.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.events[full]; ok {
		return e, nil
	}
	if len(l.events) >= l.maxEvents {
		return nil, router.Permanent(fmt.Errorf("event %q: the sink publishes %d events already, and `max_events` allows no more",
			full, len(l.events)))
	}
	e := l.client.FullEvent(full)
	switch err := e.Publish(); {
	case errors.Is(err, imb.ErrWildcard), errors.Is(err, wire.ErrTooLarge):
		return nil, router.Permanent(err)
	case err != nil:
		return nil, err
	}
	l.events[full] = e
	return e, nil
}
