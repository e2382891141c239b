package imb

import (
	"io"

	"imbrouter/imb/wire"
)

// Message is one signal. A handler gets it complete; Event.Send takes its
// Kind, Flags, Tick and Data.
type Message struct {
	// Event is the one that was subscribed, which may be a wildcard.
	Event *Event
	// Name is the full name of the event that the signal came on. Under a
	// wildcard subscription it is that of the matching event, as far as the
	// hub tells it (imb/hub does); the wildcard's own name otherwise.
	Name  string
	Kind  wire.Kind
	Flags wire.Flags
	Tick  int32
	Data  []byte // of a received message: valid until the handler returns
}

// A StreamHandler is told the start of an incoming stream and returns who
// takes its bytes, or nil to decline it.
type StreamHandler func(IncomingStream) StreamReceiver

// IncomingStream describes a stream at its start.
type IncomingStream struct {
	Event      *Event // as in Message
	Name       string // full name of the event, as in Message
	StreamID   int32
	StreamName string // chosen by the sender: treat as hostile
	Flags      wire.Flags
	Tick       int32
}

// A StreamReceiver takes the bytes of one stream. Its methods are called on
// the goroutine that calls all handlers, so they hold up everything else that
// the client receives.
type StreamReceiver interface {
	// Write takes the next bytes, which are valid until it returns. After an
	// error the rest of the stream is dropped.
	io.Writer
	// End is called exactly once, last. Its error is nil if the stream came
	// whole. Otherwise it is the one that Write returned, or wraps
	// ErrDisconnected, ErrStreamCut, ErrStreamIdle, ErrStreamCollision or
	// ErrOverflow: then the stream lacks its end, or more.
	End(err error)
}
