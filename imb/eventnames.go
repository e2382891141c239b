package imb

import (
	"context"
	"fmt"
	"sync"

	"imbrouter/imb/wire"
)

// EventNames asks the hub for the events that it knows by a full name or, with
// "*" at the end, by a prefix. bits says which counts it should fill in, such
// as wire.EventNamesSubscribers. Only one question is on its way at a time.
//
// It fails with ErrNoAnswer if the hub does not answer such a question, with
// ErrNotConnected at once when there is no connection, with ErrDisconnected
// when it is lost in the meantime, with wire.ErrTooLarge for a question above
// 10 MiB or an answer above 64 MiB, or with the error of ctx.
func (c *Client) EventNames(ctx context.Context, filter string, bits int32) ([]wire.EventName, error) {
	names, err := c.eventNames(ctx, wire.EventNamesRequest{Filter: filter, Bits: bits})
	if err != nil {
		return nil, fmt.Errorf("event names %q: %w", filter, err)
	}
	return names, nil
}

func (c *Client) eventNames(ctx context.Context, r wire.EventNamesRequest) ([]wire.EventName, error) {
	if size := 8 + len(r.Filter); size > wire.MaxPayload {
		return nil, fmt.Errorf("%w: %d bytes", wire.ErrTooLarge, size)
	}
	n, err := c.connected()
	if err != nil {
		return nil, err
	}
	ctx, release := n.bind(ctx)
	defer release()
	q := &n.query
	select {
	case q.slot <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	buf, err := n.lock(ctx)
	if err != nil {
		<-q.slot
		return nil, err
	}
	answer := make(chan nameAnswer, 1)
	buf = wire.AppendRequestEventNames(buf, r)
	c.out.Unlock(n.flush.append(buf, func() { answer <- q.finish() }))
	select {
	case a := <-answer:
		return a.names, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// nameQuery is the question that is on its way. Answers do not say to which
// question they belong; so the next one waits until a flush after this one
// has come back, even if nobody waits for its answer any more.
type nameQuery struct {
	slot chan struct{} // full while a question is on its way

	mu     sync.Mutex
	answer nameAnswer
	size   int // bytes of the answer's frames
	frames int
}

type nameAnswer struct {
	names []wire.EventName
	err   error
}

// add is called by the read loop for each frame with names.
func (q *nameQuery) add(names []wire.EventName, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.slot) == 0 {
		return // nobody asked
	}
	q.frames++
	if q.size += size; q.size > maxEventNamesBytes {
		q.answer = nameAnswer{err: fmt.Errorf("%w: the answer", wire.ErrTooLarge)}
		return
	}
	q.answer.names = append(q.answer.names, names...)
}

// finish is called by the read loop when the answer must have come.
func (q *nameQuery) finish() nameAnswer {
	q.mu.Lock()
	defer q.mu.Unlock()
	answer := q.answer
	if q.frames == 0 {
		answer.err = ErrNoAnswer
	}
	q.answer, q.size, q.frames = nameAnswer{}, 0, 0
	<-q.slot
	return answer
}
