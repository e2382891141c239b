package imb

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/wire"
	"imbrouter/router"
)

// relay is the line for what the sink relays to a hub on which a source of this
// router ignores that; see router.Echoes. It is a line of its own, because files
// that the sink sends from a folder do reach such a source.
type relay struct {
	*line
	echoes *router.EchoRelay
	probe  *imb.Event // the router's relay event

	late   chan struct{} // closed when its connection is waited for no longer
	ending *time.Timer   // closes late

	connected chan struct{} // the hub is to be probed
	probed    chan struct{} // closed when it was for the first time
	echoed    atomic.Bool   // the probe came back
	spares    atomic.Bool   // the hub spares those sources by itself

	cancel  context.CancelFunc
	probing sync.WaitGroup
}

// newRelay connects a relay.
func (s *sink) newRelay() (*relay, error) {
	r := &relay{late: make(chan struct{}), connected: make(chan struct{}, 1), probed: make(chan struct{})}
	l, err := s.connect(s.inFlight, func() {
		r.spares.Store(false)
		select {
		case r.connected <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	r.line = l
	r.ending = time.AfterFunc(relayTimeout, func() { close(r.late) })
	r.echoes = s.echoes.Relay(s.connection.Hub, l.client.Flush)
	r.probe = l.client.FullEvent(s.echoes.RelayEvent())
	r.probe.HandleAll(func(imb.Message) {
		r.echoed.Store(true)
		r.spares.Store(false)
	})
	ctx, cancel := context.WithCancel(s.inFlight)
	r.cancel = cancel
	r.probing.Go(func() { r.keepProbed(ctx) })
	if err := errors.Join(r.probe.Publish(), r.probe.Subscribe()); err != nil {
		return nil, errors.Join(err, r.close(ctx))
	}
	return r, nil
}

func (r *relay) close(ctx context.Context) error {
	r.cancel()
	r.ending.Stop()
	r.probing.Wait()
	r.echoes.Close()
	return r.client.Close(ctx)
}

// keepProbed finds out after each connect whether the hub spares sources by
// itself. Until then they are told of what is sent.
func (r *relay) keepProbed(ctx context.Context) {
	first := sync.OnceFunc(func() { close(r.probed) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.connected:
			r.echoed.Store(false)
			// A hub that gives nothing back to anybody proves nothing. A loss
			// meanwhile ends in a reconnect, which is probed again.
			if r.probe.Signal(ctx, wire.NormalEvent, nil) == nil && r.client.Drain(ctx) == nil {
				r.spares.Store(r.client.Echoes() && !r.echoed.Load())
				first()
			}
			r.echoes.Reconnected()
		}
	}
}

// sending notes a message that is about to be sent, see router.EchoRelay, unless
// that is needless. r may be nil.
func (r *relay) sending(fullEvent string, kind wire.Kind, flags wire.Flags, tick int32, data []byte) (noted bool) {
	if r == nil || r.spares.Load() {
		return false
	}
	r.echoes.Sending(fullEvent, kind, flags, tick, data)
	return true
}
