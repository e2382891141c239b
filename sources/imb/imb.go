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
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/wire"
	"imbrouter/router"
)

const (
	// closeTimeout is how long saying good-bye to the hub may take.
	closeTimeout = 2 * time.Second
	// stopQuiet is how long nothing may have come for the end of the router to
	// wait for more. Most senders of streams that are still open are gone by then.
	stopQuiet = 2 * time.Second
)

var errOverflow = errors.New("the route was too slow: the source's queue was full for longer than its block_timeout")

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
	r := &receiver{source: s, ctx: ctx, next: next, commits: newCommits(s.config.Parallel), finished: make(chan struct{})}
	s.receiver.Store(r)
	defer r.finish(router.InFlight(ctx))
	for _, name := range s.config.names {
		e := s.client.FullEvent(name)
		defer e.HandleAll(r.signal)()
		defer e.HandleStreams(r.stream)()
		if err := e.Subscribe(); err != nil {
			return fmt.Errorf("subscribe %q: %w", name, err)
		}
	}
	if s.echoes != nil {
		var sweeping sync.WaitGroup
		sweeping.Go(func() { s.keepSwept(ctx) })
		defer sweeping.Wait()
		s.echoes.Reconnected() // what was noted before the subscriptions does not come
	}
	s.awaitSubscribed(ctx)
	<-ctx.Done()
	r.drain(router.InFlight(ctx))
	return nil
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

// receiver hands what one Run receives to its routes. The client calls it from
// one goroutine.
type receiver struct {
	source  *source
	ctx     context.Context // of Run
	next    router.Sink
	commits *commits

	open       atomic.Int64 // streams and signals
	finishing  atomic.Bool  // nothing new is taken any more
	finished   chan struct{}
	finishOnce sync.Once // closes finished, when nothing is open any more

	heard atomic.Uint64 // how often something came
	calls atomic.Int32  // of next and what it returned, that are under way
}

// call notes a call of next, which may take its time; called ends it.
func (r *receiver) call() { r.calls.Add(1) }

func (r *receiver) called() {
	r.heard.Add(1)
	r.calls.Add(-1)
}

// begin notes a signal or stream, unless nothing new is taken any more.
func (r *receiver) begin() bool {
	r.open.Add(1)
	if r.finishing.Load() {
		r.end()
		return false
	}
	r.heard.Add(1)
	return true
}

// end is called once for each that began.
func (r *receiver) end() {
	if r.open.Add(-1) == 0 && r.finishing.Load() {
		r.finishOnce.Do(func() { close(r.finished) })
	}
}

// drain takes what the hub has sent by now.
func (r *receiver) drain(inFlight context.Context) {
	ctx, cancel := context.WithCancel(inFlight)
	drained := make(chan struct{})
	go func() {
		_ = r.source.client.Drain(ctx) // fails when nothing comes any more
		close(drained)
	}()
	r.await(drained, inFlight)
	cancel()
	<-drained
}

// finish waits for the open streams, and cuts off those that do not end.
func (r *receiver) finish(inFlight context.Context) {
	r.open.Add(1)
	r.finishing.Store(true)
	r.end()
	if !r.await(r.finished, inFlight) {
		_ = r.source.client.Close(inFlight) // ends them with an error
		<-r.finished
	}
}

// await waits until done, and returns false when inFlight ends before or
// nothing comes from the hub any more.
func (r *receiver) await(done <-chan struct{}, inFlight context.Context) bool {
	heard, quiet := r.heard.Load(), time.Now()
	look := time.NewTicker(stopQuiet / 10)
	defer look.Stop()
	for time.Since(quiet) < stopQuiet {
		select {
		case <-done:
			return true
		case <-inFlight.Done():
			return false
		case <-look.C:
		}
		if now := r.heard.Load(); now != heard || r.calls.Load() > 0 {
			heard, quiet = now, time.Now()
		}
	}
	return false
}

func (r *receiver) relayed(name string, kind wire.Kind, flags wire.Flags, tick int32, data []byte) bool {
	return r.source.echoes != nil && r.source.echoes.Relayed(name, kind, flags, tick, data)
}

func (r *receiver) signal(m imb.Message) {
	if r.relayed(m.Name, m.Kind, m.Flags, m.Tick, m.Data) || !r.begin() {
		return
	}
	defer r.end()
	r.call()
	defer r.called()
	// An error other than ErrNotTaken is possible only when the router stops:
	// routes keep the signals that they cannot deliver.
	_ = r.next.Signal(r.ctx, r.received(m))
}

func (r *receiver) received(m imb.Message) router.Signal {
	federation, event := router.SplitName(r.source.connection.Options.Federation, m.Name)
	return router.Signal{
		ID: router.NextID(), Federation: federation, Event: event, Relayed: true,
		Kind: m.Kind, Flags: m.Flags, Tick: m.Tick, Data: m.Data,
	}
}

// drop is called for each signal that the client could not keep.
func (r *receiver) drop(m imb.Message) {
	if r.relayed(m.Name, m.Kind, m.Flags, m.Tick, m.Data) {
		return
	}
	if d, ok := r.next.(router.Dropper); ok {
		d.Drop(r.received(m), errOverflow)
	}
}

func (r *receiver) stream(in imb.IncomingStream) imb.StreamReceiver {
	if r.relayed(in.Name, wire.StreamHeader, in.Flags, in.Tick, wire.AppendInt32(nil, in.StreamID)) || !r.begin() {
		return nil
	}
	federation, event := router.SplitName(r.source.connection.Options.Federation, in.Name)
	// A stream of a name that is still on its way to its place waits for that,
	// so that those of one name arrive in order.
	key := in.Name + "\x00" + in.StreamName
	r.commits.await(key)
	r.call()
	w, err := r.next.Stream(r.ctx, router.StreamInfo{
		ID: router.NextID(), Federation: federation, Event: event, Relayed: true,
		Name: in.StreamName, Flags: in.Flags, Tick: in.Tick, Size: -1,
	})
	r.called()
	if err != nil {
		if !errors.Is(err, router.ErrNotTaken) {
			r.lost(in, err)
		}
		r.end()
		return nil
	}
	return &stream{receiver: r, in: in, key: key, w: w}
}

func (r *receiver) lost(in imb.IncomingStream, err error) {
	r.source.losses.Failure(in.Name+"\x00"+in.StreamName, err, "event", in.Name, "stream", in.StreamName)
}

// stream is one incoming stream that a route has taken.
type stream struct {
	receiver *receiver
	in       imb.IncomingStream
	key      string
	w        router.StreamWriter
}

func (s *stream) Write(p []byte) (int, error) {
	s.receiver.call()
	defer s.receiver.called()
	return s.w.Write(p)
}

// End implements imb.StreamReceiver. Making a whole stream durable takes a
// while, in which the next ones come in already.
func (s *stream) End(err error) {
	r := s.receiver
	r.call()
	defer r.called()
	if err != nil {
		s.w.Abort(err)
		r.lost(s.in, err)
		r.end()
		return
	}
	if e, ok := s.w.(router.Ender); ok {
		if err := e.End(r.ctx); err != nil {
			s.w.Abort(err)
			r.lost(s.in, err)
			r.end()
			return
		}
	}
	r.commits.begin(s.key, func() {
		defer r.end()
		r.call()
		defer r.called()
		if err := s.w.Commit(r.ctx); err != nil {
			r.lost(s.in, err)
			return
		}
		r.source.losses.Success()
	})
}
