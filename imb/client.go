package imb

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"imbrouter/imb/internal/outbox"
	"imbrouter/imb/wire"
)

// State is what a Client is doing.
type State int32

// The states of a Client. It begins with Connecting, changes to and fro
// between the first two, and ends with Closed.
const (
	Connecting State = iota // there is no connection; it is being made
	Connected               // the hub has answered the greeting
	Closed                  // Close was called
)

// String returns "connecting", "connected" or "closed".
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	}
	return "closed"
}

// Client is one connection to a hub, made again whenever it is lost. It is safe
// for concurrent use. See the package comment.
type Client struct {
	opt       Options
	out       *outbox.Queue
	inbox     *inbox
	faults    faultLog
	overflows overflowLog
	stats     counters

	variables variables

	state    atomic.Int32
	failure  atomic.Pointer[error]      // see Err
	live     atomic.Pointer[connection] // the connection, while Connected
	identity atomic.Pointer[wire.UniqueClientID]

	closing   chan struct{} // closed by Close
	hurry     chan struct{} // closed when Close has waited for as long as it may
	hurryOnce sync.Once
	cut       context.CancelCauseFunc // ends the connection, or the attempt to make one
	ended     chan struct{}           // closed when no goroutine is left

	// mu is taken before the lock of the send queue, and never while waiting
	// for room in it.
	mu      sync.Mutex
	conn    *connection // the connection, from the moment of its greeting
	events  map[string]*Event
	byID    []*Event
	flushID int32 // id of the event by which connections flush; −1 before the first
}

// Connect connects to a hub. It returns when the hub has answered, or with
// Options.Retry at once. ctx bounds the call, not the life of the Client: that
// lasts until Close.
func Connect(ctx context.Context, o Options) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	lifetime, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	c := &Client{
		opt:       o,
		out:       outbox.New(o.SendQueue),
		inbox:     newInbox(o.ReceiveQueue),
		faults:    faultLog{log: o.Log},
		overflows: overflowLog{log: o.Log},
		closing:   make(chan struct{}),
		hurry:     make(chan struct{}),
		cut:       cut,
		ended:     make(chan struct{}),
		events:    make(map[string]*Event),
		flushID:   -1,
	}
	first := make(chan error, 1)
	go c.run(lifetime, first)
	if o.Retry {
		return c, nil
	}
	select {
	case err = <-first:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		cut(err)
		<-c.ended
		return nil, fmt.Errorf("connect to the hub at %s: %w", o.Address, err)
	}
	return c, nil
}

// Close ends the client. It writes out what is queued, as long as ctx lets it
// and the connection stands, tells the hub that the session ends, lets the
// handlers have what was received, again as long as ctx lets it, and returns
// when no goroutine of the client is left. The handler that is being called is
// always waited for; so Close must not be called by one.
//
// The error tells of signals that were not written. That the hub got those
// that were, only a Flush before tells. A second Close waits for the first.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	if !c.isClosing() {
		close(c.closing)
		c.out.Close(ErrClosed)
		if c.conn == nil {
			c.cut(ErrClosed)
		}
	}
	c.mu.Unlock()
	select {
	case <-c.ended:
	case <-ctx.Done():
		c.hurryOnce.Do(func() { close(c.hurry) })
		c.cut(context.Cause(ctx))
		<-c.ended
	}
	if n := c.out.Len(); n > 0 {
		err := context.Cause(ctx)
		if err == nil {
			err = ErrNotConnected
		}
		return fmt.Errorf("close the connection to the hub at %s: %w; %d bytes were not sent", c.opt.Address, err, n)
	}
	return nil
}

// isClosing tells whether Close was called.
func (c *Client) isClosing() bool { return isDone(c.closing) }

// isHurried tells whether Close has waited for as long as it may.
func (c *Client) isHurried() bool { return isDone(c.hurry) }

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// State returns what the client is doing.
func (c *Client) State() State { return State(c.state.Load()) }

// Err returns why there is no connection: what the last one was lost for, or the
// last attempt failed with. It is nil while there is one, and before the first
// attempt has ended.
func (c *Client) Err() error {
	if err := c.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// UniqueID returns the id and the handle by which the hub knows the client;
// zeros until the hub has told. They change when the client reconnects.
func (c *Client) UniqueID() (id, handle uint32) {
	if u := c.identity.Load(); u != nil {
		return u.ID, u.Handle
	}
	return 0, 0
}

// Federation returns what is put before short event names.
func (c *Client) Federation() string { return c.opt.Federation }

// FullName puts the federation, if there is one, and a dot before a short name.
func (c *Client) FullName(short string) string {
	if c.opt.Federation == "" {
		return short
	}
	return c.opt.Federation + "." + short
}

// Event returns the event with a short name: one in the client's federation. It
// is always the same for the same name. A client keeps its events until it is
// closed, a few hundred bytes each: a program that takes names from strangers
// must bound how many. See LookupEvent.
func (c *Client) Event(name string) *Event { return c.FullEvent(c.FullName(name)) }

// FullEvent is Event for a full name, in whatever federation.
func (c *Client) FullEvent(full string) *Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := wire.FoldName(full)
	e := c.events[key]
	if e == nil {
		e = c.newEvent(full)
		c.events[key] = e
	}
	return e
}

// LookupEvent returns the event with a full name if it was made before.
func (c *Client) LookupEvent(full string) (e *Event, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok = c.events[wire.FoldName(full)]
	return e, ok
}

func (c *Client) newEvent(full string) *Event {
	e := &Event{client: c, id: int32(len(c.byID)), name: full}
	c.byID = append(c.byID, e)
	return e
}

// Publish is Event and its Publish in one.
func (c *Client) Publish(name string) (*Event, error) {
	e := c.Event(name)
	return e, e.Publish()
}

// Subscribe is Event and its Subscribe in one.
func (c *Client) Subscribe(name string) (*Event, error) {
	e := c.Event(name)
	return e, e.Subscribe()
}

// Unpublish calls Unpublish of the event with that short name. It returns nil,
// and no error, when there is none.
func (c *Client) Unpublish(name string) (*Event, error) {
	e, ok := c.LookupEvent(c.FullName(name))
	if !ok {
		return nil, nil
	}
	return e, e.Unpublish()
}

// Unsubscribe calls Unsubscribe of the event with that short name. It returns
// nil, and no error, when there is none.
func (c *Client) Unsubscribe(name string) (*Event, error) {
	e, ok := c.LookupEvent(c.FullName(name))
	if !ok {
		return nil, nil
	}
	return e, e.Unsubscribe()
}

// connected returns the connection, or why there is none.
func (c *Client) connected() (*connection, error) {
	if n := c.live.Load(); n != nil {
		return n, nil
	}
	if c.isClosing() {
		return nil, ErrClosed
	}
	return nil, ErrNotConnected
}
