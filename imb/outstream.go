package imb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"

	"imbrouter/imb/wire"
)

// DefaultChunkSize is the size of the bodies of the known senders, in bytes.
const DefaultChunkSize = 16 << 10

// maxChunkSize is what fits into a frame beside the stream's id.
const maxChunkSize = wire.MaxEventData - wire.StreamHeaderSize

// StreamOptions says how a stream is sent. The zero value of a field means its
// default.
type StreamOptions struct {
	// ChunkSize is the most that one frame carries, in bytes; default
	// DefaultChunkSize, at most 10 MiB less 16 bytes.
	ChunkSize int
	Flags     wire.Flags
	Tick      int32
	// AllowEndMagic lets a frame hold the four bytes at which pyimb takes a
	// frame to end. By default a chunk that holds them is split between them.
	AllowEndMagic bool
	// OnID is told the stream's id before anything of the stream is sent, and
	// so before an echo can come back. It must not block.
	OnID func(id int32)
}

// OutStream is an outgoing stream. It belongs to the connection on which it was
// opened: when that is lost everything fails with ErrDisconnected, and nothing
// of it goes out on a later one. After an error it can only be aborted. It is
// for one goroutine at a time. Close, then Flush: now the hub has it.
type OutStream struct {
	event   *Event
	conn    *connection
	ctx     context.Context // bound to the connection
	release func()
	id      int32
	options StreamOptions
	rest    []byte  // read by ReadFrom and not sent: less than a chunk
	buf     *[]byte // that rest is the beginning of; nil before ReadFrom
	err     error   // why nothing more can be sent
	whole   bool    // the tail was sent
}

// OpenStream begins a stream with a name, which receivers see. ctx bounds the
// whole stream: when it ends, nothing more of it is sent. The caller must call
// Close or Abort.
//
// It fails with ErrNotConnected at once when there is no connection, with
// ErrNotPublished, ErrWildcard, ErrClosed, ErrNameTooLong, wire.ErrTooLarge for
// the chunk size, or the error of ctx while it waits for room in the send queue.
func (e *Event) OpenStream(ctx context.Context, name string, o StreamOptions) (*OutStream, error) {
	if len(name) > wire.MaxStreamNameLength {
		return nil, fmt.Errorf("open a stream on %q: a name of %d bytes, of %d at most: %w",
			e.name, len(name), wire.MaxStreamNameLength, ErrNameTooLong)
	}
	s, err := e.openStream(ctx, name, o)
	if err != nil {
		return nil, fmt.Errorf("open stream %q on %q: %w", name, e.name, err)
	}
	return s, nil
}

func (e *Event) openStream(ctx context.Context, name string, o StreamOptions) (*OutStream, error) {
	if o.ChunkSize == 0 {
		o.ChunkSize = DefaultChunkSize
	}
	if o.ChunkSize < 0 || o.ChunkSize > maxChunkSize {
		return nil, fmt.Errorf("%w: chunk size %d is not between 1 and %d", wire.ErrTooLarge, o.ChunkSize, maxChunkSize)
	}
	n, err := e.client.connected()
	if err != nil {
		return nil, err
	}
	s := &OutStream{event: e, conn: n, id: n.streamIDs.take(), options: o}
	s.ctx, s.release = n.bind(ctx)
	if o.OnID != nil {
		o.OnID(s.id)
	}
	buf, start, err := s.begin(s.ctx, wire.StreamHeader)
	if err != nil {
		s.Abort()
		return nil, err
	}
	s.end(wire.AppendStreamStart(buf, wire.StreamStart{StreamID: s.id, Name: name}), start)
	return s, nil
}

// ID returns the stream's id, drawn at random: no other stream that is open on
// the connection, or was of late, has it.
func (s *OutStream) ID() int32 { return s.id }

// Write sends p at once, in frames of at most the chunk size. It waits for room
// in the send queue. The error wraps ErrDisconnected, ErrClosed, ErrStreamEnded
// or is that of the stream's context.
func (s *OutStream) Write(p []byte) (int, error) {
	if err := s.sendRest(); err != nil {
		return 0, err
	}
	n := 0
	for n < len(p) {
		k := s.frameLen(p[n:min(len(p), n+s.options.ChunkSize)])
		if err := s.sendChunk(s.ctx, wire.StreamBody, p[n:n+k]); err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// frameLen returns how many bytes of p, at most a chunk, go into one frame.
func (s *OutStream) frameLen(p []byte) int {
	if s.options.AllowEndMagic {
		return len(p)
	}
	return wire.SafeLen(p)
}

// ReadFrom sends what it reads from r until its end, in frames of the chunk
// size. What then is left for less than a frame goes out with the tail, or
// before the next Write. It returns the number of bytes read, and the error of
// r or one as Write returns. It does not interrupt a read.
func (s *OutStream) ReadFrom(r io.Reader) (int64, error) {
	if s.buf == nil {
		s.buf = takeChunkBuffer(s.options.ChunkSize)
	}
	buf := *s.buf
	var total int64
	for idle := 0; ; {
		if s.err == nil && s.ctx.Err() != nil {
			s.err = context.Cause(s.ctx)
		}
		if s.err != nil {
			return total, s.err
		}
		n, err := r.Read(buf[len(s.rest):])
		total += int64(n)
		s.rest = buf[:len(s.rest)+n]
		if len(s.rest) == len(buf) {
			if err := s.sendFront(); err != nil {
				return total, err
			}
		}
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			s.err = err // a stream that lacks a part gets no tail
			return total, err
		case n > 0:
			idle = 0
		default:
			if idle++; idle == 100 {
				s.err = io.ErrNoProgress
			}
		}
	}
}

// sendFront sends one frame of the rest, and moves what follows to the front.
func (s *OutStream) sendFront() error {
	k := s.frameLen(s.rest)
	if err := s.sendChunk(s.ctx, wire.StreamBody, s.rest[:k]); err != nil {
		return err
	}
	s.rest = (*s.buf)[:copy(*s.buf, s.rest[k:])]
	return nil
}

// sendRest sends what ReadFrom left.
func (s *OutStream) sendRest() error {
	for len(s.rest) > 0 {
		if err := s.sendFront(); err != nil {
			return err
		}
	}
	return s.err
}

// Close ends the stream as a whole one: it sends the tail, and waits for room
// in the send queue until ctx or the stream's context ends. That the hub has
// it, only Flush tells, which may follow. If Close fails no tail was sent, and
// receivers drop the stream when they have waited for long enough. A second
// Close does nothing but return ErrStreamEnded.
func (s *OutStream) Close(ctx context.Context) error {
	err := s.close(ctx)
	s.Abort()
	if err != nil {
		return fmt.Errorf("close stream on %q: %w", s.event.name, err)
	}
	return nil
}

func (s *OutStream) close(ctx context.Context) error {
	if s.err != nil {
		return s.err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	rest := s.rest
	for {
		k := s.frameLen(rest)
		if k == len(rest) {
			err := s.sendChunk(ctx, wire.StreamTail, rest)
			s.whole = err == nil
			return err
		}
		if err := s.sendChunk(ctx, wire.StreamBody, rest[:k]); err != nil {
			return err
		}
		rest = rest[k:]
	}
}

// Flush returns when the hub has taken what was sent of the stream: after Close
// all of it, with the tail. Before Close that lacks what ReadFrom keeps for the
// next frame. See Client.Flush for how it is found out.
//
// It fails with ErrDisconnected when the stream's connection is gone, even if
// there is another one by now, which leaves open what arrived; with ErrClosed,
// or the error of ctx. For a stream that failed or was aborted it returns the
// error that Write would.
func (s *OutStream) Flush(ctx context.Context) error {
	if err := s.flush(ctx); err != nil {
		return fmt.Errorf("flush stream on %q: %w", s.event.name, err)
	}
	return nil
}

func (s *OutStream) flush(ctx context.Context) error {
	if s.err != nil && !s.whole {
		return s.err
	}
	return s.conn.roundTrip(ctx, func(done func()) { done() })
}

// Abort ends the stream without a tail, so that nobody takes it for a whole
// one. The protocol has no message for that. After Close it does nothing.
func (s *OutStream) Abort() {
	if errors.Is(s.err, ErrStreamEnded) {
		return
	}
	s.err = ErrStreamEnded
	if s.buf != nil {
		chunkBuffers.Put(s.buf)
	}
	s.rest, s.buf = nil, nil
	s.release()
	s.conn.streamIDs.release(s.id)
}

// chunkBuffers holds the buffers of streams that have ended: most streams are
// smaller than a chunk, and a buffer for each would be the most that they cost.
var chunkBuffers sync.Pool // of *[]byte

// takeChunkBuffer returns a buffer of size bytes, with anything in it.
func takeChunkBuffer(size int) *[]byte {
	if buf, ok := chunkBuffers.Get().(*[]byte); ok && cap(*buf) >= size {
		*buf = (*buf)[:size]
		return buf
	}
	buf := make([]byte, size)
	return &buf
}

// sendChunk sends a body or tail.
func (s *OutStream) sendChunk(ctx context.Context, kind wire.Kind, p []byte) error {
	if s.err != nil {
		return s.err
	}
	buf, start, err := s.begin(ctx, kind)
	if err != nil {
		s.err = err
		return err
	}
	s.end(wire.AppendStreamChunk(buf, wire.StreamChunk{StreamID: s.id, Bytes: p}), start)
	return nil
}

// begin locks the send queue and begins a frame of the stream. The caller
// appends the data and calls end.
func (s *OutStream) begin(ctx context.Context, kind wire.Kind) (buf []byte, start int, err error) {
	buf, err = s.conn.lock(ctx)
	if err != nil {
		return nil, 0, err
	}
	if err := s.event.sendable(); err != nil {
		s.event.client.out.Unlock(buf)
		return nil, 0, err
	}
	return wire.BeginEvent(buf, s.event.id, s.options.Tick, kind, s.options.Flags), len(buf), nil
}

func (s *OutStream) end(buf []byte, start int) {
	s.event.client.out.Unlock(wire.EndFrame(buf, start))
}

// idSet draws the ids of a connection's outgoing streams.
type idSet struct {
	mu     sync.Mutex
	used   map[int32]bool
	recent []int32 // the last that were released: a ring
	oldest int
}

// recentIDs is how many ids are not drawn again after their streams ended.
const recentIDs = 1024

// take returns an id that is not in use. It is above 0, because people and
// programs print it.
func (s *idSet) take() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used == nil {
		s.used = make(map[int32]bool)
	}
	for {
		id := 1 + rand.Int32N(1<<31-1)
		if !s.used[id] && wire.SafeStreamID(id) {
			s.used[id] = true
			return id
		}
	}
}

func (s *idSet) release(id int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.recent) < recentIDs {
		s.recent = append(s.recent, id)
		return
	}
	delete(s.used, s.recent[s.oldest])
	s.recent[s.oldest] = id
	s.oldest = (s.oldest + 1) % recentIDs
}

// SendStream sends a whole stream: the header, what it reads from r, and the
// tail. It returns how many bytes it read. If r or ctx ends with an error, or
// the connection is lost, no tail is sent. It does not interrupt a read.
//
// It does not wait until the hub has the stream, and no later call can tell,
// because the connection may be another one by then. Who needs to know uses
// OpenStream, and OutStream.Flush after its Close.
func (e *Event) SendStream(ctx context.Context, name string, r io.Reader, o StreamOptions) (int64, error) {
	s, err := e.OpenStream(ctx, name, o)
	if err != nil {
		return 0, err
	}
	n, err := s.ReadFrom(r)
	if err == nil {
		err = s.close(ctx)
	}
	s.Abort()
	if err != nil {
		return n, fmt.Errorf("stream %q on %q: %w", name, e.name, err)
	}
	return n, nil
}
