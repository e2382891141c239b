package hub

import (
	"container/list"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"imbrouter/imb/internal/outbox"
	"imbrouter/imb/wire"
)

const (
	// drainTimeout bounds how long what is queued is written out to a
	// connection that ends in good order.
	drainTimeout = 2 * time.Second
	// lingerTimeout bounds how long a client is given, after that, to close
	// its side. Closing before it has read everything could take it back.
	lingerTimeout = 250 * time.Millisecond
	// passing is how long a connection may stay without a word and be none that
	// anybody wants to read of: something looked whether the port is open.
	passing = 5 * time.Second
)

// Why a connection ends.
var (
	errEndSession   = errors.New("client ended its session")
	errEndedByOther = errors.New("session ended by another client")
	errSlowConsumer = errors.New("slow consumer")
	errNotIMB       = errors.New("sends no IMB")
)

// conn is one connection with its two goroutines: serve reads, and the other
// one writes what is in queue.
type conn struct {
	hub      *Hub
	net      net.Conn
	peer     string
	accepted time.Time
	log      *slog.Logger
	identity wire.UniqueClientID
	queue    *outbox.Queue
	ctx      context.Context // done when nothing more shall be read; its cause is why
	cancel   context.CancelCauseFunc

	problems          problems
	framesIn, bytesIn atomic.Uint64

	// The reader's own; table and relays are changed under Hub.mu.
	source  source
	reader  *wire.Reader
	table   table
	run     run
	streams list.List // of *stream: those that are open, the oldest first
	relays  []*event  // the relay events that it publishes
	group   *group    // see relayGroup

	unflushed *outbox.Queue // see deliverUnflushed; nil when there is nothing in any

	// Guarded by Hub.mu.
	links    map[*event]*link
	filters  []*filter           // the latest last
	told     map[notice]struct{} // what it was told and not corrected
	watching bool                // wants to be told of variables
	monitors bool                // wants to be told of the hub
	owner    string
	ownerID  int32
}

func newConn(h *Hub, nc net.Conn, peer string, n uint32) *conn {
	c := &conn{
		hub:      h,
		net:      nc,
		peer:     peer,
		accepted: time.Now(),
		identity: identity(n),
		queue:    outbox.New(h.o.QueueBytes),
		links:    make(map[*event]*link),
		told:     make(map[notice]struct{}),
	}
	c.log = h.log.With("peer", peer, "client", c.prefix(wire.PrefixUniqueClientID))
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.source.conn = c
	c.reader = wire.NewReader(&c.source)
	return c
}

// serve runs the connection from its greeting to its end.
func (c *conn) serve() {
	written := make(chan struct{})
	go func() {
		defer close(written)
		if err := c.queue.Run(direct(c.net), nil); err != nil {
			c.abort(err)
		}
	}()
	c.cancel(c.read()) // the cause is the first one, which may be another's
	c.finish(written)
	c.hub.detach(c)
}

// read takes in frames until the connection or the session ends.
func (c *conn) read() error {
	defer c.flush()
	var frame wire.Frame
	for {
		var err error
		if frame, err = c.reader.Next(); err != nil {
			return err
		}
		for ok := true; ok; ok = c.reader.Buffered(&frame) {
			if frame.Command == wire.CmdEvent {
				err = c.event(&frame)
			} else if err = c.forward(); err == nil {
				c.flush()
				err = c.command(frame)
			}
			if err != nil {
				return err
			}
		}
		if err := c.forward(); err != nil {
			return err
		}
		c.flush()
	}
}

// finish ends the connection as gently as its state permits. When it has been
// aborted, everything here fails at once.
func (c *conn) finish(written <-chan struct{}) {
	cause := context.Cause(c.ctx)
	c.queue.Close(cause)
	c.hub.release(c)
	c.net.SetDeadline(time.Now().Add(drainTimeout))
	<-written
	if half, ok := c.net.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		c.net.SetReadDeadline(time.Now().Add(lingerTimeout))
		io.Copy(io.Discard, c.net)
	}
	c.net.Close()

	problems := c.problems.attrs()
	level := slog.LevelDebug
	if c.owner != "" || len(problems) > 0 || time.Since(c.accepted) >= passing {
		level = slog.LevelInfo
	}
	attrs := append([]any{"owner", c.owner, "reason", reason(cause)}, problems...)
	c.log.Log(context.Background(), level, "client disconnected", attrs...)
}

func reason(cause error) string {
	if errors.Is(cause, io.EOF) {
		return "closed by the client"
	}
	return cause.Error()
}

// endSession tells the client that its session ends and makes serve finish.
// Called under Hub.mu.
func (c *conn) endSession(cause error) {
	c.tell(wire.AppendFrame(nil, wire.CmdEndSession, nil))
	c.cancel(cause)
	c.net.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
}

// abort ends the connection at once.
func (c *conn) abort(cause error) {
	c.cancel(cause)
	c.net.Close()
}

// abortSlow ends a connection that does not take what is sent to it. Called
// under Hub.mu.
func (c *conn) abortSlow(why string) {
	if c.ctx.Err() != nil {
		return
	}
	c.hub.count.slow.Add(1)
	c.log.Warn("client disconnected: "+why, "owner", c.owner, "size", c.queue.Len())
	c.abort(errSlowConsumer)
}
