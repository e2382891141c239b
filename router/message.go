package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"imbrouter/imb/wire"
	"imbrouter/router/journal"
)

// Signal is one occurrence of an event with its data in memory.
type Signal struct {
	ID     uint64 // of this delivery in this process, see NextID; equal on a retry
	Source string // name of the source that brought it
	// Federation and Event make the full name, see FullName. Federation is ""
	// for a name outside of the source's federation.
	Federation, Event string
	// Redirected says that a route set Federation: a sink then uses it in
	// place of its connection's own.
	Redirected bool
	// Relayed says that the signal came from a hub and not from this machine,
	// see Echoes.
	Relayed bool
	Kind    wire.Kind
	Flags   wire.Flags
	Tick    int32
	Data    []byte // valid until Signal returns: a sink that keeps it copies it
}

// FullName returns the event's name on a hub.
func (s Signal) FullName() string { return FullName(s.Federation, s.Event) }

// StreamInfo describes a stream at its start. The fields that it shares with
// Signal mean the same.
type StreamInfo struct {
	ID                uint64
	Source            string
	Federation, Event string
	Redirected        bool
	Relayed           bool
	Name              string // chosen by the sender: treat as hostile
	Flags             wire.Flags
	Tick              int32
	Path              string    // relative path of a file with "/", "" for a stream from a hub
	Size              int64     // bytes, −1 when unknown
	ModTime           time.Time // zero when unknown
	// Replay opens the body once more; nil when it cannot be had again.
	Replay func() (io.ReadCloser, error)
	// Attempt counts the tries of what can be had again, from 1.
	Attempt int
}

// FullName returns the event's name on a hub.
func (s StreamInfo) FullName() string { return FullName(s.Federation, s.Event) }

// FullName joins a federation and an event's short name with a dot. Without a
// federation the short name is the full one.
func FullName(federation, event string) string {
	if federation == "" {
		return event
	}
	return federation + "." + event
}

// SplitName is the reverse of FullName for a connection in that federation: a
// full name outside of it has no federation and is all event. Hubs compare
// names without regard to case, and so does SplitName.
func SplitName(federation, full string) (fed, event string) {
	n := len(federation)
	if n > 0 && len(full) > n && full[n] == '.' && strings.EqualFold(full[:n], federation) {
		return full[:n], full[n+1:]
	}
	return "", full
}

// A Sink takes signals and streams. A nil error is the acknowledgement:
//
//   - of Signal: the sink has taken responsibility. For a hub that means a
//     bounded buffer of its connection; the protocol knows no more.
//   - of Stream: the stream is open. The acknowledgement of its body is that
//     of StreamWriter.Commit.
//
// ErrNotTaken means that nobody wants the message; that is no failure. An
// error made with Permanent will not go away by trying again. An error that
// wraps ErrUnavailable means that the destination is away, and tells nothing
// about the message: a caller that can waits for as long as it takes. Any
// other error may go away.
//
// Both methods may block, which holds the source up, until ctx ends. A Sink is
// safe for concurrent use.
type Sink interface {
	Signal(ctx context.Context, s Signal) error
	Stream(ctx context.Context, info StreamInfo) (StreamWriter, error)
}

// Batcher is implemented by a Sink that takes many signals in less time than one
// after the other.
type Batcher interface {
	// Signals takes signals, of which there is one at least, in their order, each
	// as Signal would. It returns how many it has taken, and the error of the one
	// after them if that fails. Without an error it may return early, but has
	// then taken one at least.
	Signals(ctx context.Context, batch []Signal) (n int, err error)
}

// StreamWriter takes the body of one stream. Exactly one of Commit and Abort
// ends it, also after a failed Write; a stream that was cut off can never be
// taken for a whole one. It is for one goroutine at a time.
type StreamWriter interface {
	// Write takes the next bytes of the body. After an error the stream can
	// only be aborted.
	io.Writer
	// Commit ends a whole stream. A nil error says that the destination has
	// it: on disk and fsynced, or sent and flushed through the hub.
	Commit(ctx context.Context) error
	// Abort ends a stream that was cut off, for the given cause.
	Abort(cause error)
}

// Ender is implemented by a StreamWriter whose end has a place in the order of
// what its destination gets. A caller that goes on with other messages while
// Commit waits for the acknowledgement calls End before; Commit alone does both.
// After an error the stream can only be aborted.
type Ender interface {
	End(ctx context.Context) error
}

// Deliverer is implemented by a StreamWriter that knows more of what becomes of
// its stream than that Commit succeeds.
type Deliverer interface {
	// Delivery tells what became of the stream after Commit has returned nil,
	// and before it what is to be expected.
	Delivery() Delivery
}

// Delivery is what the journal is to tell of a stream beside its StreamInfo.
type Delivery struct {
	Outcome journal.Outcome // of a success
	Event   string          // full name under which it was sent; "": that of the StreamInfo
	Path    string          // as which it landed; "": that of the StreamInfo
}

// Passer is implemented by the Sink that Source.Run gets, for a source that has
// many signals at once.
type Passer interface {
	// Pass hands signals on in their order, each as Signal would, and may change
	// what is in batch. It calls progress after each that may have taken long.
	Pass(batch []Signal, progress func())
}

// Dropper is implemented by the Sink that Source.Run gets, for a source that
// has taken signals in and finds no room for them.
type Dropper interface {
	// Drop says that s is lost, and why. It does not wait for any sink.
	Drop(s Signal, cause error)
}

// GiverUp is implemented by the Sink that Source.Run gets, for a source of
// streams that can be had again: that a try of one has failed is not its end.
type GiverUp interface {
	// GiveUp says that a stream does not come again. Its Attempt is the last,
	// and cause, as next returned it, is what that failed with.
	GiveUp(info StreamInfo, cause error)
}

// A Source pushes into next until ctx ends, and returns after its last call to
// next has returned. When ctx ends it takes nothing new in but finishes what
// it has begun: the router lets calls to next go on for its stop time-out and
// then makes them fail. A source that waits for something else before it
// returns waits no longer than InFlight(ctx). An error makes the router run the source again after a
// pause; nil before ctx has ended says that the source is done.
type Source interface {
	Run(ctx context.Context, next Sink) error
}

// Rerouted is implemented by a source that keeps what no route takes: that may be
// otherwise when the configuration has changed.
type Rerouted interface {
	// Rerouted says that other routes lead from the source now. It does not wait.
	Rerouted()
}

type inFlightKey struct{}

// InFlight returns the context under which what has begun is finished when ctx,
// that of Source.Run or Opener.Open, has ended. It ends after the router's stop
// time-out, or when the router is to stop at once.
func InFlight(ctx context.Context) context.Context {
	if c, ok := ctx.Value(inFlightKey{}).(context.Context); ok {
		return c
	}
	return context.WithoutCancel(ctx)
}

// Opener is implemented by sources and sinks that hold something while the
// router runs: a lock, a folder, a connection.
type Opener interface {
	// Open acquires it before anything flows; an error ends the start of the
	// whole router. A hub that is down is no error. ctx bounds Open only, but
	// for InFlight(ctx).
	Open(ctx context.Context) error
	// Close gives it back after everything has flowed. It is called once,
	// after an Open that returned nil, and waits for others no longer than
	// InFlight of the context of Open.
	Close() error
}

// Readier is implemented by a source that takes a moment until nothing can
// escape it, because it must be subscribed at a hub, and by a sink that must be
// connected. The router waits for them, for a short time, before it starts
// sources that read what lies here already.
type Readier interface {
	// Ready returns a channel that is closed when the part is ready.
	Ready() <-chan struct{}
}

// Filter decides whether a route takes a message, and rewrites it. It must not
// change the bytes of the Data that it gets.
type Filter interface {
	Signal(Signal) (out Signal, pass bool, err error)
	Stream(StreamInfo) (out StreamInfo, pass bool, err error)
}

// BatchFilter is a Filter to which many signals cost less when they come together.
type BatchFilter interface {
	Filter
	// Begin returns what is the filter for signals, one after the other, until its
	// End is called.
	Begin() SignalFilter
}

// SignalFilter is what a BatchFilter begins. It is for one goroutine.
type SignalFilter interface {
	// Signal is that of Filter. It writes to out what s becomes, or something that
	// means nothing if that does not pass.
	Signal(s, out *Signal) (pass bool, err error)
	End()
}

// Errors by which callers decide.
var (
	// ErrNotTaken says that no route or sink wants the message.
	ErrNotTaken = errors.New("no route takes it")
	// ErrShown is an ErrNotTaken that says that a sink that only looks on has seen
	// the message: that went well, and there is nobody to keep it.
	ErrShown = fmt.Errorf("%w: it was only shown", ErrNotTaken)
	// ErrUnavailable says that a destination is out of reach for now.
	ErrUnavailable = errors.New("destination is not available")
	// ErrPermanent is matched by every error that Permanent made.
	ErrPermanent = errors.New("permanent")
)

type permanentError struct{ error }

func (e permanentError) Unwrap() error        { return e.error }
func (e permanentError) Is(target error) bool { return target == ErrPermanent }

// Permanent marks err as one that trying again does not help, whatever it
// wraps. Its text stays as it is; errors.Is(err, ErrPermanent) finds it.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

var lastID atomic.Uint64

// NextID returns an ID for a signal or stream that no other has in this process.
func NextID() uint64 { return NextIDs(1) }

// NextIDs returns the first of so many IDs that follow one another, see NextID.
func NextIDs(count int) uint64 { return lastID.Add(uint64(count)) - uint64(count) + 1 }
