// Package imb is the sink that publishes on an IMB hub: signals as they are,
// and streams as streams with ids of their own.
//
//	[sinks.broadcast]
//	type = "imb"
//	connection = "local"
//	event = "files"
//
// A signal is acknowledged when the bounded queue of the sink's own connection
// has it; a stream when the hub has taken its tail, which a Flush confirms. A
// hub that is away makes streams fail with router.ErrUnavailable at once, so
// that a file stays where it is, and lets signals wait in the queue.
package imb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/journal"
)

// closeTimeout is how long queued signals may take to leave when the router
// stops and has not used up its stop time-out.
const closeTimeout = 5 * time.Second

// relayTimeout is how long after a relay was made messages wait for its
// connection.
const relayTimeout = 2 * time.Second

type sink struct {
	config     Config
	connection router.Connection
	echoes     *router.Echoes
	log        *slog.Logger
	inFlight   context.Context // see router.InFlight
	own        *line           // for all but what the relay is for
	relay      atomic.Pointer[relay]

	mu    sync.Mutex
	alone map[string]bool // events of which it was told that nobody subscribes
}

// Open implements router.Opener. It begins to connect; a hub that is away is
// waited for in the background.
func (s *sink) Open(ctx context.Context) (err error) {
	s.inFlight = router.InFlight(ctx)
	if s.own, err = s.connect(ctx, func() {}); err != nil {
		return err
	}
	if s.config.Event != "" { // so that the hub can tell in time whether anyone listens
		_, err = s.own.event(s.connection.Options.Federation, s.config.Event)
	}
	return err
}

// Ready implements router.Readier.
func (s *sink) Ready() <-chan struct{} { return s.own.ready }

// Links implements router.Linked.
func (s *sink) Links() []router.Link {
	links := []router.Link{s.own.link(s.connection.Name)}
	if r := s.relay.Load(); r != nil {
		link := r.link(s.connection.Name)
		link.Relay = true
		links = append(links, link)
	}
	return links
}

// Close implements router.Opener.
func (s *sink) Close() error {
	ctx, cancel := context.WithTimeout(s.inFlight, closeTimeout)
	defer cancel()
	var relayErr error
	var closing sync.WaitGroup
	if r := s.relay.Load(); r != nil {
		closing.Go(func() { relayErr = r.close(ctx) })
	}
	err := s.own.client.Close(ctx)
	closing.Wait()
	return errors.Join(err, relayErr)
}

// relayIfHeard returns the relay, which it makes for the first message that
// needs it, or nil when no source ignores what is relayed to the hub. For a
// short time after it was made it waits for its connection, without which a
// stream fails, and until the hub was probed: what is sent before that is noted,
// and the note would keep back an equal message of somebody else.
func (s *sink) relayIfHeard(ctx context.Context) (*relay, error) {
	r := s.relay.Load()
	if r == nil {
		if !s.echoes.Listening(s.connection.Hub) {
			return nil, nil
		}
		var err error
		if r, err = s.theRelay(); err != nil {
			return nil, err
		}
	}
	select {
	case <-r.probed:
		return r, nil
	default:
	}
	select {
	case <-r.probed:
	case <-r.late:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return r, nil
}

// theRelay returns the relay, which it makes when there is none. It waits for no
// connection.
func (s *sink) theRelay() (*relay, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.relay.Load(); r != nil {
		return r, nil
	}
	r, err := s.newRelay()
	if err != nil {
		return nil, err
	}
	s.relay.Store(r)
	return r, nil
}

// line returns the line for a message, and the relay when it is that one's.
func (s *sink) line(ctx context.Context, relayed bool) (*line, *relay, error) {
	if !relayed {
		return s.own, nil, nil
	}
	switch r, err := s.relayIfHeard(ctx); {
	case err != nil:
		return nil, nil, err
	case r == nil:
		return s.own, nil, nil
	default:
		return r.line, r, nil
	}
}

// Signal implements router.Sink.
func (s *sink) Signal(ctx context.Context, m router.Signal) error {
	target, err := s.config.SignalTarget(m)
	if err != nil {
		return err
	}
	l, relay, err := s.line(ctx, m.Relayed)
	if err != nil {
		return err
	}
	e, err := l.event(target.Federation, target.Event)
	if err != nil {
		return err
	}
	if s.config.WhenDown == "fail" && l.client.State() != imb.Connected {
		return unavailable(s.connection, imb.ErrNotConnected)
	}
	noted := relay.sending(e.Name(), m.Kind, m.Flags, m.Tick, m.Data)
	err = e.Send(ctx, imb.Message{Kind: m.Kind, Flags: m.Flags, Tick: m.Tick, Data: m.Data})
	if err != nil && noted {
		relay.echoes.NotSent(e.Name(), m.Kind, m.Flags, m.Tick, m.Data)
	}
	return signalError(err)
}

// signalError says what an error of a signal means to the router.
func signalError(err error) error {
	switch {
	case errors.Is(err, wire.ErrTooLarge), errors.Is(err, imb.ErrStreamKind):
		return router.Permanent(err)
	}
	return err
}

// Stream implements router.Sink.
func (s *sink) Stream(ctx context.Context, info router.StreamInfo) (router.StreamWriter, error) {
	target, err := s.config.StreamTarget(info)
	if err != nil {
		return nil, err
	}
	l, relay, err := s.line(ctx, info.Relayed)
	if err != nil {
		return nil, err
	}
	e, err := l.event(target.Federation, target.Event)
	if err != nil {
		return nil, err
	}
	if info.Replay != nil && l.awaitsSubscribers(e) {
		return nil, unavailable(s.connection, errSubscribersLost)
	}
	out, err := e.OpenStream(ctx, info.Name, imb.StreamOptions{
		ChunkSize: int(s.config.ChunkSize), Flags: info.Flags, Tick: info.Tick, AllowEndMagic: !s.config.PyimbSafe,
		OnID: func(id int32) {
			relay.sending(e.Name(), wire.StreamHeader, info.Flags, info.Tick, wire.AppendInt32(nil, id))
		},
	})
	if err != nil {
		return nil, s.streamError(err)
	}
	return &stream{sink: s, event: e, info: info, begun: time.Now(), out: out}, nil
}

// streamError says what an error of a stream means to the router. The client's
// errors name the event.
func (s *sink) streamError(err error) error {
	switch {
	// Without the name of the stream, so that what waits for one hub for one
	// reason can be told to be the same.
	case errors.Is(err, imb.ErrNotConnected):
		return unavailable(s.connection, imb.ErrNotConnected)
	case errors.Is(err, imb.ErrDisconnected):
		return unavailable(s.connection, imb.ErrDisconnected)
	case errors.Is(err, imb.ErrNameTooLong):
		return router.Permanent(err)
	}
	return err
}

func unavailable(c router.Connection, err error) error {
	return fmt.Errorf("%w: hub of connection %q: %w", router.ErrUnavailable, c.Name, err)
}

// stream is one outgoing stream.
type stream struct {
	sink  *sink
	event *imb.Event
	info  router.StreamInfo
	begun time.Time
	out   *imb.OutStream
	size  int64 // bytes written
	ended bool
	alone bool // nobody subscribed when the hub had it
}

func (w *stream) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	w.size += int64(n)
	if err != nil {
		err = w.sink.streamError(err)
	}
	return n, err
}

// ReadFrom reads straight into the frames. It passes an error of r on as it is.
func (w *stream) ReadFrom(r io.Reader) (int64, error) {
	n, err := w.out.ReadFrom(r)
	w.size += n
	if errors.Is(err, imb.ErrDisconnected) {
		err = w.sink.streamError(err)
	}
	return n, err
}

// End implements router.Ender: it sends the tail.
func (w *stream) End(ctx context.Context) error {
	if err := w.out.Close(ctx); err != nil {
		return w.sink.streamError(err)
	}
	w.ended = true
	return nil
}

// Commit sends the tail, and returns nil when the hub has taken it.
func (w *stream) Commit(ctx context.Context) error {
	if !w.ended {
		if err := w.End(ctx); err != nil {
			return err
		}
	}
	if err := w.out.Flush(ctx); err != nil {
		return w.sink.streamError(fmt.Errorf("sent, but not confirmed: %w", err))
	}
	w.alone = !w.event.HasSubscribers()
	if w.info.Relayed { // of a file its source tells
		w.sink.log.Info("stream relayed", "event", w.event.Name(), "stream", w.info.Name, "size", w.size,
			"took", time.Since(w.begun).Round(time.Millisecond))
	}
	w.sink.warnIfAlone(w)
	return nil
}

func (w *stream) Abort(error) { w.out.Abort() }

// Delivery implements router.Deliverer.
func (w *stream) Delivery() router.Delivery {
	d := router.Delivery{Outcome: journal.Sent, Event: w.event.Name()}
	if w.alone {
		d.Outcome = journal.SentToNobody
	}
	return d
}

// warnIfAlone says once that nobody subscribes to an event, and once that
// somebody does again.
func (s *sink) warnIfAlone(w *stream) {
	event := w.event.Name()
	s.mu.Lock()
	changed := s.alone[event] != w.alone
	s.alone[event] = w.alone
	s.mu.Unlock()
	switch {
	case changed && w.alone:
		s.log.Warn("sent to nobody: the hub knows no subscriber of the event", "event", event, "stream", w.info.Name)
	case changed:
		s.log.Info("the event has subscribers again", "event", event)
	}
}

// Flush returns when the hub has taken every signal that the sink took.
func (s *sink) Flush(ctx context.Context) error {
	err := s.own.client.Flush(ctx)
	if r := s.relay.Load(); r != nil {
		err = errors.Join(err, r.client.Flush(ctx))
	}
	return err
}
