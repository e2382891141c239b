// Package imb is the source that subscribes on an IMB hub: signals and streams
// of its events go to its routes in the order in which they come.
//
//	[sources.incoming]
//	type = "imb"
//	connection = "local"
//	events = ["files", "alarms.*"]
//
// A route that is slow fills the source's queue, and then the hub waits. What
// a hub sends cannot be had again: a stream that a sink refuses, or that is cut
// off, is lost here, and the log says so.
package imb

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"imbrouter/imb"
	"imbrouter/router"
)

// closeTimeout is how long saying good-bye to the hub may take.
const closeTimeout = 2 * time.Second

type source struct {
	config     Config
	connection router.Connection
	relays     *router.Echoes       // nil when relayed messages are taken
	echoes     *router.EchoListener // likewise
	log        *slog.Logger
	inFlight   context.Context // see router.InFlight
	client     *imb.Client
	ready      chan struct{}
	readyOnce  sync.Once
	losses     *router.FailureLog
	receiver   atomic.Pointer[receiver] // of the present Run
}

// Open implements router.Opener. It begins to connect; a hub that is away is
// waited for in the background.
func (s *source) Open(ctx context.Context) error {
	o := s.connection.Options
	o.ReceiveQueue = int(s.config.Queue)
	o.BlockTimeout = time.Duration(s.config.BlockTimeout)
	o.MaxStreams = s.config.MaxStreams
	o.StreamIdleTimeout = time.Duration(s.config.StreamTimeout)
	o.OnDrop = func(m imb.Message) {
		if r := s.receiver.Load(); r != nil {
			r.drop(m)
		}
	}
	o.Log = s.log
	o.Retry = true
	o.OnState = func(state imb.State, _ error) {
		if state == imb.Connected && s.echoes != nil {
			s.echoes.Reconnected()
		}
	}
	if s.relays != nil {
		s.echoes = s.relays.Listen(s.connection.Hub, s.subscribed)
	}
	client, err := imb.Connect(ctx, o)
	if err != nil {
		s.ignoreNoMore()
		return fmt.Errorf("connection %q: %w", s.connection.Name, err)
	}
	s.client, s.inFlight = client, router.InFlight(ctx)
	if s.relays != nil {
		return client.FullEvent(s.relays.RelayEvent()).Subscribe()
	}
	return nil
}

// ignoreNoMore takes back that relayed messages are left out.
func (s *source) ignoreNoMore() {
	if s.echoes != nil {
		s.echoes.Close()
	}
}

// Close implements router.Opener.
func (s *source) Close() error {
	ctx, cancel := context.WithTimeout(s.inFlight, closeTimeout)
	defer cancel()
	s.ignoreNoMore()
	s.losses.Close()
	return s.client.Close(ctx)
}

// Ready implements router.Readier: the hub has taken the subscriptions.
func (s *source) Ready() <-chan struct{} { return s.ready }

// Links implements router.Linked.
func (s *source) Links() []router.Link {
	return []router.Link{{
		Connection: s.connection.Name, State: s.client.State(), Err: s.client.Err(), Stats: s.client.Stats(),
	}}
}

// Run implements router.Source.
func (s *source) Run(ctx context.Context, next router.Sink) error {
	r := s.newReceiver(ctx, next)
	s.receiver.Store(r)
	remove, err := s.subscribe(r)
	if err != nil {
		remove()
		r.wait()
		return err
	}
	var sweeping sync.WaitGroup
	if s.echoes != nil {
		sweeping.Go(func() { s.keepSwept(ctx) })
		s.echoes.Reconnected() // what was noted before the subscriptions does not come
	}
	s.awaitSubscribed(ctx)
	<-ctx.Done()
	sweeping.Wait()
	if !r.settle() {
		_ = s.client.Close(s.inFlight) // which ends the streams with an error, and tells OnDrop of what is left
	}
	r.wait()
	remove()
	return nil
}

// subscribe leads what comes of the source's events to r, until remove is called.
func (s *source) subscribe(r *receiver) (remove func(), err error) {
	var handlers []func()
	remove = func() {
		for _, handler := range handlers {
			handler()
		}
	}
	for _, name := range s.config.names {
		e := s.client.FullEvent(name)
		handlers = append(handlers, e.HandleBatches(r.signals), e.HandleStreams(r.stream))
		if err := e.Subscribe(); err != nil {
			return remove, fmt.Errorf("subscribe %q: %w", name, err)
		}
	}
	return remove, nil
}

// keepSwept forgets what was relayed and does not come back. Run calls it when
// relayed messages are left out.
func (s *source) keepSwept(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.echoes.Wake():
			if n, err := s.echoes.Sweep(ctx, s.client.Drain); err == nil && n > 0 {
				s.log.Debug("what this router relayed and the hub has not handed back is no longer waited for", "count", n)
			}
		}
	}
}

// awaitSubscribed waits until the hub has taken the subscriptions.
func (s *source) awaitSubscribed(ctx context.Context) {
	const pause = 50 * time.Millisecond // while the hub is away
	for ctx.Err() == nil {
		if s.client.Flush(ctx) == nil {
			s.readyOnce.Do(func() { close(s.ready) })
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
