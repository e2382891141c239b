package imb

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"imbrouter/imb"
	"imbrouter/imb/wire"
	"imbrouter/router"
)

// Why a signal is dropped.
var (
	errOverflow = errors.New("the route took nothing for longer than block_timeout while the source's queue was full, or it was full when the hub was lost")
	errStopped  = errors.New("the router stopped before its route took it")
)

// receiver hands what one Run receives to its routes. The client's dispatcher
// calls signals and stream, one at a time. drop is called by the read loop as
// well, beside them.
type receiver struct {
	source   *source
	ctx      context.Context // of Run
	next     router.Sink
	commits  *commits
	activity activity

	progress func()          // of the client
	batch    []router.Signal // room for what the dispatcher brings
	latest   splitName       // of the signal before

	open       atomic.Int64 // streams and signals
	finishing  atomic.Bool  // nothing new is taken any more
	finished   chan struct{}
	finishOnce sync.Once // closes finished, when nothing is open any more
}

func (s *source) newReceiver(ctx context.Context, next router.Sink) *receiver {
	return &receiver{
		source: s, ctx: ctx, next: next, commits: newCommits(s.config.Parallel), progress: s.client.Progress,
		finished: make(chan struct{}),
	}
}

// begin notes a signal or stream, unless nothing new is taken any more.
func (r *receiver) begin() bool {
	r.open.Add(1)
	if r.finishing.Load() {
		r.end()
		return false
	}
	r.activity.note()
	return true
}

// end is called once for each that began.
func (r *receiver) end() {
	if r.open.Add(-1) == 0 && r.finishing.Load() {
		r.finishOnce.Do(func() { close(r.finished) })
	}
}

// takeNoMore makes finished close when what is open has ended.
func (r *receiver) takeNoMore() {
	r.open.Add(1)
	r.finishing.Store(true)
	r.end()
}

// wait takes nothing new, and waits until what is open has ended.
func (r *receiver) wait() {
	r.takeNoMore()
	<-r.finished
}

// settle takes what the hub has sent by now, or without a connection what has
// come, and then nothing new, and waits until the open streams have ended. It
// returns false when inFlight ends before or nothing goes on any more.
func (r *receiver) settle() bool {
	ctx, cancel := context.WithCancel(r.source.inFlight)
	drained := make(chan struct{})
	go func() {
		_ = r.source.client.Drain(ctx) // what has come is handled also when the hub is away
		close(drained)
	}()
	settled := r.activity.await(r.source.inFlight, drained)
	cancel()
	<-drained
	if !settled {
		return false
	}
	r.takeNoMore()
	return r.activity.await(r.source.inFlight, r.finished)
}

func (r *receiver) relayed(name string, kind wire.Kind, flags wire.Flags, tick int32, data []byte) bool {
	return r.source.echoes != nil && r.source.echoes.Relayed(name, kind, flags, tick, data)
}

// signals hands those on that this router did not relay itself.
func (r *receiver) signals(messages []imb.Message) {
	r.batch = r.batch[:0]
	id := router.NextIDs(len(messages))
	for i := range messages {
		m := &messages[i]
		if r.relayed(m.Name, m.Kind, m.Flags, m.Tick, m.Data) {
			continue
		}
		if r.latest.full != m.Name {
			r.latest = r.split(m.Name)
		}
		r.batch = append(r.batch, router.Signal{})
		fill(&r.batch[len(r.batch)-1], m, id+uint64(i), &r.latest)
	}
	if len(r.batch) == 0 || !r.begin() {
		return
	}
	defer r.end()
	r.activity.begin()
	defer r.activity.end()
	r.next.(router.Passer).Pass(r.batch, r.progress)
	clear(r.batch) // it would hold on to data
}

// splitName is an event's full name in its parts.
type splitName struct{ full, federation, event string }

func (r *receiver) split(full string) splitName {
	federation, event := router.SplitName(r.source.connection.Options.Federation, full)
	return splitName{full, federation, event}
}

// fill makes s, which is empty, the signal that came as m.
func fill(s *router.Signal, m *imb.Message, id uint64, name *splitName) {
	s.ID, s.Federation, s.Event, s.Relayed = id, name.federation, name.event, true
	s.Kind, s.Flags, s.Tick, s.Data = m.Kind, m.Flags, m.Tick, m.Data
}

// drop is called for each signal that the client could not keep: because its
// queue was full, or because what was in flight had to end.
func (r *receiver) drop(m imb.Message) {
	if r.relayed(m.Name, m.Kind, m.Flags, m.Tick, m.Data) || !r.begin() {
		return
	}
	defer r.end()
	cause := errOverflow
	if r.source.inFlight.Err() != nil {
		cause = errStopped
	}
	if d, ok := r.next.(router.Dropper); ok {
		name := r.split(m.Name)
		var s router.Signal
		fill(&s, &m, router.NextID(), &name)
		d.Drop(s, cause)
	}
}

func (r *receiver) stream(in imb.IncomingStream) imb.StreamReceiver {
	if r.relayed(in.Name, wire.StreamHeader, in.Flags, in.Tick, wire.AppendInt32(nil, in.StreamID)) || !r.begin() {
		return nil
	}
	name := r.split(in.Name)
	// A stream of a name that is still on its way to its place waits for that,
	// so that those of one name arrive in order.
	key := in.Name + "\x00" + in.StreamName
	r.commits.await(key)
	r.activity.begin()
	w, err := r.next.Stream(r.ctx, router.StreamInfo{
		ID: router.NextID(), Federation: name.federation, Event: name.event, Relayed: true,
		Name: in.StreamName, Flags: in.Flags, Tick: in.Tick, Size: -1,
	})
	r.activity.end()
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
	s.receiver.activity.begin()
	defer s.receiver.activity.end()
	return s.w.Write(p)
}

// End implements imb.StreamReceiver. Making a whole stream durable takes a
// while, in which the next ones come in already.
func (s *stream) End(err error) {
	r := s.receiver
	r.activity.begin()
	defer r.activity.end()
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
		r.activity.begin()
		defer r.activity.end()
		if err := s.w.Commit(r.ctx); err != nil {
			if !errors.Is(err, router.ErrNotTaken) { // such as that it was only shown
				r.lost(s.in, err)
			}
			return
		}
		r.source.losses.Success()
	})
}
