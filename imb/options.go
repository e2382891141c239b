package imb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"imbrouter/imb/wire"
)

// Options says where a Client connects and what it allows itself. The zero
// value of a field means its default.
//
// Beside the limits here there are fixed ones: a connection remembers 1,048,576
// event ids of the hub, and 65,536 ids of streams that it hears of and does not
// receive; names of events have up to 4096 bytes; subscriptions and
// publications may exceed SendQueue by 1 MiB; see also Client.Variable and
// Client.EventNames.
type Options struct {
	// Address of the hub, "host:port". Without a port it is 4000; "" is
	// "localhost:4000". "locate" looks for a hub whenever it connects, and
	// "locate:host:port" asks there, see Locate.
	Address string
	// Federation is put before the short names of events, with a dot. "" is
	// none.
	Federation string
	// OwnerID and OwnerName tell the hub who this is.
	OwnerID   int32
	OwnerName string
	// Dial, when set, connects in place of TCP to Address, as the Dial method
	// of an embedded hub does. Address is then a name for messages; "" is
	// "in-process".
	Dial func(ctx context.Context) (net.Conn, error)
	// Log gets one line for each change of state, and one for each kind of
	// fault, with a count when it repeats. Default: nothing is logged.
	Log *slog.Logger
	// OnState is told each change of state in its order, never concurrently,
	// with the cause of a loss. When Connect returns at once (see Retry) it is
	// also told the error of the first attempt that failed. It may be called
	// before Connect returns. It must return soon, because it holds up the
	// connection, and must not call Close.
	OnState func(State, error)
	// Retry makes Connect return at once and the client try for as long as it
	// takes. Otherwise the first attempt must succeed; only a connection that
	// is lost later is made again.
	Retry bool

	// SendQueue bounds the bytes that wait to be sent, default 8 MiB. While
	// there is no connection signals wait in it, too. When it is full, those
	// who send wait.
	SendQueue int
	// ReceiveQueue bounds what waits for the handlers, in bytes, including
	// about fifty for the bookkeeping of each message; default 8 MiB. It may
	// take twice the memory.
	ReceiveQueue int
	// BlockTimeout is for how long a full ReceiveQueue may hold up the
	// connection without a handler returning, or telling of its progress, see
	// Client.Progress; default 8 s: less than the 10 s after which imb/hub
	// disconnects a slow client. Then all that waits in the queue is dropped:
	// OnDrop is told each signal, and streams that lost a part end with
	// ErrOverflow.
	BlockTimeout time.Duration
	// OnDrop is told each signal that was received but is not handled: because
	// of BlockTimeout, because Close could not wait, or because the connection
	// was lost, or closed, while it had no place in the queue. It must not block,
	// and two calls of it may be under way.
	OnDrop func(Message)

	// PingInterval is after how much silence the client asks the hub for a
	// sign of life, default 10 s.
	PingInterval time.Duration
	// PingTimeout is after how much silence from then on the connection counts
	// as lost, default 15 s: longer than the time that a hub usually gives a
	// slow subscriber, which may hold this client up. While this client itself
	// does not read, because its ReceiveQueue is full, no time passes; while a
	// full connection still takes bytes neither.
	PingTimeout time.Duration
	// ConnectTimeout bounds one attempt to connect, from dialling until the
	// hub has answered the greeting; default 10 s.
	ConnectTimeout time.Duration
	// ReconnectMin and ReconnectMax bound the pause before the next attempt,
	// default 100 ms and 5 s. It grows from one to the other, with up to half
	// of it added or taken off at random.
	ReconnectMin, ReconnectMax time.Duration

	// StreamIdleTimeout is after how much silence an incoming stream ends with
	// ErrStreamIdle, default 5 min. It may take an eighth more.
	StreamIdleTimeout time.Duration
	// MaxStreams bounds the incoming streams that are received at once,
	// default 1000. More are declined, with a line in the log.
	MaxStreams int
	// CollisionQuiet is after how much silence an incoming stream counts as
	// abandoned when another one begins with its id, default 2 s. Before that
	// both end with ErrStreamCollision.
	CollisionQuiet time.Duration
}

const (
	defaultQueue = 8 << 20
	defaultHost  = "localhost"

	// maxControl is how far beyond Options.SendQueue subscriptions and
	// publications may go, in bytes: they do not wait for room.
	maxControl = 1 << 20
	// maxHubEvents bounds the hub's event ids that a connection remembers.
	maxHubEvents = 1 << 20
	// maxVariables and maxVariableBytes bound what Variable remembers.
	maxVariables     = 100_000
	maxVariableBytes = 16 << 20
	// maxEventNamesBytes bounds the answer to EventNames.
	maxEventNamesBytes = 64 << 20
)

// withDefaults returns o with its zero values replaced, or an error that names
// the field that cannot be.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	duration := func(name string, d *time.Duration, byDefault time.Duration) {
		if *d < 0 {
			errs = append(errs, fmt.Errorf("imb.Options.%s is negative: %v", name, *d))
		} else if *d == 0 {
			*d = byDefault
		}
	}
	number := func(name string, n *int, byDefault int) {
		if *n < 0 {
			errs = append(errs, fmt.Errorf("imb.Options.%s is negative: %d", name, *n))
		} else if *n == 0 {
			*n = byDefault
		}
	}
	number("SendQueue", &o.SendQueue, defaultQueue)
	number("ReceiveQueue", &o.ReceiveQueue, defaultQueue)
	number("MaxStreams", &o.MaxStreams, 1000)
	duration("BlockTimeout", &o.BlockTimeout, 8*time.Second)
	duration("PingInterval", &o.PingInterval, 10*time.Second)
	duration("PingTimeout", &o.PingTimeout, 15*time.Second)
	duration("ConnectTimeout", &o.ConnectTimeout, 10*time.Second)
	duration("ReconnectMin", &o.ReconnectMin, 100*time.Millisecond)
	duration("ReconnectMax", &o.ReconnectMax, max(5*time.Second, o.ReconnectMin))
	duration("StreamIdleTimeout", &o.StreamIdleTimeout, 5*time.Minute)
	duration("CollisionQuiet", &o.CollisionQuiet, 2*time.Second)
	if o.ReconnectMax < o.ReconnectMin {
		errs = append(errs, fmt.Errorf("imb.Options.ReconnectMax %v is below ReconnectMin %v", o.ReconnectMax, o.ReconnectMin))
	}
	if _, locate := LocateTarget(o.Address); !locate && (o.Dial == nil || o.Address != "") {
		o.Address = withPort(o.Address)
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context) (net.Conn, error) { return dialHub(ctx, o.Address, o.Log) }
	}
	o.Address = cmp.Or(o.Address, "in-process")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("peer", o.Address)
	if o.OnState == nil {
		o.OnState = func(State, error) {}
	}
	if o.OnDrop == nil {
		o.OnDrop = func(Message) {}
	}
	return o, errors.Join(errs...)
}

// dialHub connects to a hub by TCP, which it looks for if the address says so.
func dialHub(ctx context.Context, address string, log *slog.Logger) (net.Conn, error) {
	if ask, ok := LocateTarget(address); ok {
		found, err := Locate(ctx, ask)
		if err != nil {
			return nil, err
		}
		log.Info("found a hub", "address", found)
		address = found
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// withPort completes the address of a hub.
func withPort(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil { // no port: a host name, or an IPv6 address with or without brackets
		host = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	}
	if host == "" {
		host = defaultHost
	}
	if port == "" {
		port = strconv.Itoa(wire.DefaultPort)
	}
	return net.JoinHostPort(host, port)
}
