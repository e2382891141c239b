package imb

import (
	"context"
	"sync"

	"imbrouter/imb"
	"imbrouter/router"
)

var messagesPool = sync.Pool{New: func() any { return new([]imb.Message) }}

// Signals implements router.Batcher. Those at the front that go to one event go
// into the queue together.
func (s *sink) Signals(ctx context.Context, batch []router.Signal) (n int, err error) {
	first := &batch[0]
	target, err := s.config.SignalTarget(*first)
	if err != nil {
		return 0, err
	}
	l, relay, err := s.line(ctx, first.Relayed)
	if err != nil {
		return 0, err
	}
	if relay != nil && !relay.spares.Load() || s.config.WhenDown == "fail" { // then there is more to do for each
		if err := s.Signal(ctx, *first); err != nil {
			return 0, err
		}
		return 1, nil
	}
	e, err := l.event(target.Federation, target.Event)
	if err != nil {
		return 0, err
	}
	pooled := messagesPool.Get().(*[]imb.Message)
	messages := (*pooled)[:0]
	for i := range batch {
		m := &batch[i]
		if m.Event != first.Event || m.Federation != first.Federation || m.Redirected != first.Redirected || m.Relayed != first.Relayed {
			break
		}
		messages = append(messages, imb.Message{})
		to := &messages[len(messages)-1]
		to.Kind, to.Flags, to.Tick, to.Data = m.Kind, m.Flags, m.Tick, m.Data
	}
	n, err = e.SendBatch(ctx, messages)
	*pooled = messages
	messagesPool.Put(pooled)
	return n, signalError(err)
}
