// Package hub is an IMB 3 hub for use inside any Go program. It is made for all
// known clients of the protocol (Python, TypeScript, Java, Delphi, C#), each of
// which fails on something else. They connect to a socket that it serves on;
// this process may do without one, see [Hub.Dial].
//
//	h := hub.New(hub.Options{Log: slog.Default()})
//	defer h.Close()
//	l, err := net.Listen("tcp", "127.0.0.1:4000")
//	if err != nil {
//		return err
//	}
//	go h.Serve(l)                  // until Close
//	conn, err := h.Dial(ctx)       // a connection from within
//
// A hub has no notion of users: who reaches its port may read and send
// everything. Listen on loopback unless the network is trusted.
//
// # What it does
//
// Events go from each sender to every subscriber, the sender included, in the
// order sent. Names are matched without regard to case; the first spelling is
// the one that is shown. A subscription that ends in "*" is to all names that
// begin so. Publishers and subscribers of an event learn when the first of the
// others comes and when the last one goes. Variables are kept, and a client's
// own, which begin with its unique client id as eight hexadecimal digits, are
// removed when it goes.
//
// A stream goes to those who were there for its header, and to nobody else. Its
// id is its sender's choice, and two senders may choose one. So on each event a
// stream runs under an id until its tail or until another connection begins one
// under that id, which overtakes it: nobody gets a part of the older one after
// the header of the newer.
//
// # Relays
//
// A program that relays both ways between federations of one hub must not get
// back what it relays: it would have to tell that from the rest, and under
// load each direction would wait for the other to take its echo. So what comes
// from a connection that publishes an event whose name begins with
// [wire.RelayPrefix] is not delivered to connections that subscribe to the same
// event, nor does the sender ever wait for these. It is the counterpart of MQTT
// 5's "No Local", for several connections of one program, which draws the rest
// of the name at random. A connection may have several such events. Of a
// stream, what was so at its header holds to its end. A signal on the relay event
// itself does not come back either, as it would from other hubs, and that is
// how to find out which kind of hub this is. Variables go to everyone.
//
// Events whose names begin so are private, as those are with [wire.FlushPrefix]:
// no prefix subscription matches them, no query tells their names, and nobody
// is told that others publish or subscribe to them.
//
// # Timers
//
// A client that publishes or subscribes an event can create timers on it, which
// tick to all who subscribe the event. The clients' documentation says what the
// commands are for; where it leaves something open, this hub's choice is:
//
//   - A timer belongs to the connection that created it. It ends with that
//     connection, when that neither publishes nor subscribes the event any more,
//     and when anybody cancels it. Its creator may create it anew; a second one
//     of its name on the event is refused to others. Names are compared exactly.
//   - The events by which timers are started, acknowledged and so on go to all
//     subscribers, as every event does, and then the hub obeys them, whoever
//     sent them. A tick that is on its way then still arrives.
//   - A timer does nothing before it is started. The first tick, number 0, comes
//     at once, and shows the start time. That is the present for a start time of
//     0, and as far ahead of it as a negative one says; a positive one is shown
//     as it is, and not waited for.
//   - Then there is a tick after each resolution divided by the speed, as long as
//     all on the acknowledge list have acknowledged the one before. A tick that
//     is late by more than that puts the following ones off: none is made up for.
//   - At speed 0 a timer runs in simulation time: a tick comes as soon as all have
//     acknowledged the one before. The tick's number then grows by the least step
//     that was proposed, in ticks; 0 proposes none. Otherwise it grows by 1. The
//     clock shows the start time and the number times the resolution.
//   - Stop pauses, and start goes on from there. Prepare and reInit stop a timer
//     and put it back to number 0; the speed and the acknowledge list stay.
//   - A timer that has given the ticks that it was asked for, or whose numbers are
//     used up, stops until it is prepared.
//   - Who is put on the acknowledge list counts from the next tick on. A name
//     leaves it together with the connection that put it there.
//
// Ticks come at intervals of at least [Options.MinTickInterval]. A subscriber
// whose queue is full makes the timer wait.
//
// # Locator
//
// Clients can look for a hub on their network with a UDP broadcast, which
// [Hub.StartLocator] answers. Whoever answers first gets them.
//
// # Monitoring
//
// A client that sends setMonitor is told who is connected (statusClientPlus) and
// who subscribes and publishes what (statusEventPlus), and again when that has
// changed, but not what is no more. With it, and then each second, come the
// figures of the hub (statusHUB) and of each client (statusClient). A report that
// would fill more than half of a queue is cut off there. Up to eight connections
// may monitor.
//
// The published clients show the layout of these commands and not their use,
// which is this hub's choice, as is that lengths of queues are in bytes, and the
// largest is the limit. It does not count the commands that it writes to a
// client, nor heartbeats: they are 0.
//
// # What it does not do
//
// There are no gateways, no statusEvent and no statusTimer, and no log: such
// commands are ignored, as unknown ones are. So are setState, setThrottle and
// setNoDelay: frames are gathered while a write is under way, and leave at once
// otherwise.
//
// # Slow and broken clients
//
// Each connection has a queue of at most [Options.QueueBytes]. A full one
// makes those who send to it wait, and so on back to the clients that cause
// the traffic. A connection whose queue stays more than half full for
// [Options.SlowConsumerTimeout] is disconnected, and it alone.
//
// Whatever a client sends that is not IMB is skipped and counted. It is logged
// once, and with the count when the client goes. A client that sends 32 MiB
// without one whole frame is disconnected. One that sends nothing may stay for
// ever; the log tells of it when it goes.
package hub

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"imbrouter/imb/wire"
)

// Options are the limits of a Hub. A zero value stands for the default.
type Options struct {
	// Log gets a line about each client that comes and goes, and about each
	// fault. The default is to discard them.
	Log *slog.Logger
	// MaxConnections is how many connections may be open at once. More are
	// closed at once. Default 2,048.
	MaxConnections int
	// MaxEvents is how many event ids one connection may have in use, and how
	// many events it may have to do with, those that its filters match
	// included. What goes beyond is refused, as are names of more than 1 KiB.
	// Default 20,000.
	MaxEvents int
	// QueueBytes is how much may wait to be written to one connection before
	// its senders have to wait. A queue may exceed it by one frame, at most
	// 10 MiB. Default 8 MiB.
	QueueBytes int
	// SlowConsumerTimeout is how long a queue may stay more than half full
	// before its connection is disconnected. Default 10 s.
	SlowConsumerTimeout time.Duration
	// MaxStreams is how many streams one connection may have open, that is
	// begun and not ended, as a sender. A new one beyond takes the place of
	// the oldest, which then arrives incomplete. Default 20,000.
	MaxStreams int
	// MaxVariables and MaxVariableBytes, names and values together, bound what
	// is kept of variables. What goes beyond is refused. Defaults 10,000 and
	// 4 MiB.
	MaxVariables     int
	MaxVariableBytes int
	// MaxTimers is how many timers there may be, in all. Default 1000.
	MaxTimers int
	// MinTickInterval is the least time between two ticks of one timer, however
	// fast it is asked to run. Default 1 ms.
	MinTickInterval time.Duration
	// AllowControl lets clients end the sessions of others.
	AllowControl bool
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.MaxConnections = cmp.Or(o.MaxConnections, 2048)
	o.MaxEvents = cmp.Or(o.MaxEvents, 20_000)
	o.QueueBytes = cmp.Or(o.QueueBytes, 8<<20)
	o.SlowConsumerTimeout = cmp.Or(o.SlowConsumerTimeout, 10*time.Second)
	o.MaxStreams = cmp.Or(o.MaxStreams, 20_000)
	o.MaxVariables = cmp.Or(o.MaxVariables, 10_000)
	o.MaxVariableBytes = cmp.Or(o.MaxVariableBytes, 4<<20)
	o.MaxTimers = cmp.Or(o.MaxTimers, 1000)
	o.MinTickInterval = cmp.Or(o.MinTickInterval, time.Millisecond)
	return o
}

// ErrClosed is returned by Serve and Dial after Close.
var ErrClosed = errors.New("hub closed")

// ErrTooManyConnections is returned by Dial when [Options.MaxConnections] are open.
var ErrTooManyConnections = errors.New("hub has as many connections as it may")

// Hub is a hub. It is safe for concurrent use.
type Hub struct {
	o       Options
	log     *slog.Logger
	done    chan struct{}  // closed by Close
	running sync.WaitGroup // every goroutine of the hub
	count   counters
	timers  timers

	mu        sync.Mutex
	closed    bool
	listeners map[io.Closer]struct{}
	conns     map[*conn]struct{}
	accepted  uint64 // connections so far
	refusing  bool   // the last connection was refused
	registry  registry
	variables variables
	monitors  int     // connections that monitor
	reporting bool    // there is a goroutine that tells them
	changes   uint64  // to who is connected, and to what they subscribe and publish
	crowded   []*conn // whose queues went over the limit by what is told now
}

// New returns a Hub. It does nothing until Serve or Dial is called; then it is
// to be closed.
func New(o Options) *Hub {
	o = o.withDefaults()
	return &Hub{
		o:         o,
		log:       o.Log,
		done:      make(chan struct{}),
		listeners: make(map[io.Closer]struct{}),
		conns:     make(map[*conn]struct{}),
		timers:    timers{least: o.MinTickInterval},
		registry:  newRegistry(),
		variables: newVariables(o.MaxVariables, o.MaxVariableBytes),
	}
}

// Dial returns a connection to the hub without a socket.
func (h *Hub) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	if err := h.attach(server, "in-process"); err != nil {
		client.Close()
		server.Close()
		return nil, err
	}
	return client, nil
}

// attach takes a connection into the hub and starts to serve it.
func (h *Hub) attach(nc net.Conn, peer string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	if len(h.conns) >= h.o.MaxConnections {
		h.count.refused.Add(1)
		if !h.refusing {
			h.refusing = true
			h.log.Warn("connections are refused: too many are open; raise the limit if they are all wanted",
				"peer", peer, "limit", h.o.MaxConnections)
		}
		return ErrTooManyConnections
	}
	if h.accepted == 0 { // the first one
		h.running.Go(h.watchSlowConsumers)
	}
	h.refusing = false
	h.accepted++
	c := newConn(h, nc, peer, uint32(h.accepted))
	h.conns[c] = struct{}{}
	h.changes++
	c.log.Debug("connection accepted")
	c.tell(wire.AppendUniqueClientID(nil, c.identity))
	h.running.Go(c.serve)
	return nil
}

// detach is the reverse of attach, when the connection has been closed.
func (h *Hub) detach(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
	h.changes++
}

// Close ends every session: it sends endSession to all, writes out what is
// queued for at most two seconds, closes the connections and the listeners,
// and waits until all is done.
func (h *Hub) Close() error {
	var errs []error
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.done)
		for l := range h.listeners {
			errs = append(errs, l.Close())
		}
		for c := range h.conns {
			c.endSession(ErrClosed)
		}
	}
	h.mu.Unlock()
	h.running.Wait()
	return errors.Join(errs...)
}

// watchSlowConsumers disconnects, until Close, those who do not take what is
// sent to them.
func (h *Hub) watchSlowConsumers() {
	ticker := time.NewTicker(min(max(h.o.SlowConsumerTimeout/10, 10*time.Millisecond), time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-h.done:
			return
		case now := <-ticker.C:
			h.mu.Lock()
			for c := range h.conns {
				if since, ok := c.queue.MoreThanHalfFull(); ok && now.Sub(since) >= h.o.SlowConsumerTimeout {
					c.abortSlow("its queue has been more than half full for too long")
				}
			}
			h.mu.Unlock()
		}
	}
}

// Stats tells what a hub holds and has done.
type Stats struct {
	Connections int // open now
	Events      int // names in use now
	Variables   int // kept now
	Queued      int // bytes that wait to be written to clients now
	Timers      int // there now

	Accepted, Refused   uint64 // connections
	FramesIn, BytesIn   uint64 // read from clients: frames in good order, all bytes
	FramesOut, BytesOut uint64 // events handed to subscribers' queues
	Dropped             uint64 // events under an unknown id, parts of streams without a header or overtaken
	Malformed           uint64 // bytes, frames and payloads that are not IMB
	SlowConsumers       uint64 // disconnected
	Located             uint64 // answers to those who look for a hub
}

// counters are the counts of Stats that grow outside of Hub.mu.
type counters struct {
	refused, framesIn, bytesIn, framesOut, bytesOut, dropped, malformed, slow, located atomic.Uint64
}

// Stats returns the state and the counts of now.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	queued := 0
	for c := range h.conns {
		queued += c.queue.Len()
	}
	return Stats{
		Connections:   len(h.conns),
		Queued:        queued,
		Events:        len(h.registry.events),
		Variables:     len(h.variables.values),
		Timers:        h.timers.number(),
		Accepted:      h.accepted,
		Refused:       h.count.refused.Load(),
		FramesIn:      h.count.framesIn.Load(),
		BytesIn:       h.count.bytesIn.Load(),
		FramesOut:     h.count.framesOut.Load(),
		BytesOut:      h.count.bytesOut.Load(),
		Dropped:       h.count.dropped.Load(),
		Malformed:     h.count.malformed.Load(),
		SlowConsumers: h.count.slow.Load(),
		Located:       h.count.located.Load(),
	}
}

// identity returns the ids of the nth connection, from 1. Clients print the
// unique client id as hexadecimal without padding where eight digits are
// expected, so it has them; and pyimb takes the end magic within a payload for
// the payload's end, so no id is that.
func identity(n uint32) wire.UniqueClientID {
	const lowest = 0x1000_0000
	id := lowest + n%(1<<32-lowest)
	if bytes.Equal(wire.AppendUint32(nil, id), wire.EndMagic) {
		id = 1<<32 - 1 // which another has after four thousand million connections
	}
	return wire.UniqueClientID{ID: id, Handle: n}
}
