package imb

import (
	"errors"
)

// Errors by which callers decide. The errors that functions return wrap them
// and say what was being done.
var (
	// ErrNotConnected says that there is no connection to the hub at this
	// moment, and that the call cannot wait for one.
	ErrNotConnected = errors.New("not connected to the hub")
	// ErrDisconnected says that the connection was lost while something
	// depended on it. It comes together with the cause.
	ErrDisconnected = errors.New("lost the connection to the hub")
	// ErrClosed says that the Client was closed.
	ErrClosed = errors.New("client is closed")
	// ErrEndSession is the cause of a loss when the hub ended the session.
	ErrEndSession = errors.New("the hub ended the session")
	// ErrUnresponsive is the cause of a loss when the hub answered nothing for
	// so long that it was given up: see Options.PingTimeout.
	ErrUnresponsive = errors.New("the hub does not answer")

	// ErrStreamKind says that a part of a stream cannot be sent or handled as
	// a signal.
	ErrStreamKind = errors.New("stream kinds are no signals; use OpenStream, SendStream or HandleStreams")
	// ErrNotPublished says that the event is neither published nor subscribed,
	// so that the hub would drop what is sent on it.
	ErrNotPublished = errors.New("event is not published; call Publish first")
	// ErrWildcard says that a name that ends in "*" can be subscribed only.
	ErrWildcard = errors.New(`a name that ends in "*" can only be subscribed`)
	// ErrNameTooLong says that an event's full name is longer than hubs take,
	// wire.MaxNameLength, or a stream's than a Client takes, wire.MaxStreamNameLength.
	ErrNameTooLong = errors.New("the name is too long")
	// ErrQueueFull says that the hub takes nothing and that too many
	// subscriptions or publications wait to be told to it; try again later.
	ErrQueueFull = errors.New("send queue is full")
	// ErrNoHub says that no hub answered those who looked for one: see Locate.
	ErrNoHub = errors.New("no hub answers on the network")

	// ErrTimer says that no hub can have a timer such as was asked for.
	ErrTimer = errors.New("not a possible timer")

	// ErrNoAnswer says that the hub passed over a request.
	ErrNoAnswer = errors.New("the hub does not answer this request")

	// ErrStreamCut ends an incoming stream that will get no tail: its sender
	// abandoned it and began another with its id, or has left, which shows at
	// once under a wildcard only; or the event was unsubscribed.
	ErrStreamCut = errors.New("stream was cut off")
	// ErrStreamIdle ends an incoming stream that was silent for
	// Options.StreamIdleTimeout.
	ErrStreamIdle = errors.New("stream was silent for too long")
	// ErrStreamCollision ends an incoming stream when another one with the
	// same id began on the event, so that nothing tells their bytes apart.
	ErrStreamCollision = errors.New("two streams with the same id at once")
	// ErrOverflow ends an incoming stream that lost a part because the
	// handlers did not keep up: see Options.BlockTimeout.
	ErrOverflow = errors.New("receive queue overflowed")
	// ErrStreamEnded says that an outgoing stream was closed or aborted before.
	ErrStreamEnded = errors.New("stream has ended")
)
