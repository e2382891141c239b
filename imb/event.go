package imb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"imbrouter/imb/wire"
)

// Event is a named channel on the hub. It comes from a Client, which has one
// for each name; names that differ in case only are the same, as for the hub.
// It is safe for concurrent use.
type Event struct {
	client *Client
	id     int32 // by which the hub knows it
	name   string

	// What the program wants, connected or not. Changed under the client's
	// mutex and the send queue's lock together; see Client.wish.
	published, subscribed atomic.Bool

	hasSubscribers  atomic.Bool
	lostSubscribers atomic.Bool
	subscribersLeft atomic.Pointer[time.Time]        // when the last of them did; nil while there are some
	handlers        atomic.Pointer[[]*signalHandler] // changed under the client's mutex
	streams         atomic.Pointer[StreamHandler]
}

// signalHandler is one registration.
type signalHandler struct {
	kind    wire.Kind
	all     bool // every kind
	removed atomic.Bool
	handle  func([]Message)
	batches bool // it takes more than one
}

// Name returns the full name, with the federation.
func (e *Event) Name() string { return e.name }

// ShortName returns the name without the client's federation, or the full name
// of an event outside of it.
func (e *Event) ShortName() string {
	prefix := e.client.FullName("")
	if n := len(prefix); n > 0 && len(e.name) > n && wire.MatchName(prefix, e.name[:n]) {
		return e.name[n:]
	}
	return e.name
}

// isWildcard tells whether the name is a prefix.
func (e *Event) isWildcard() bool { return strings.HasSuffix(e.name, wire.Wildcard) }

// Publish tells the hub that this client sends on the event: now, if there is
// a connection, and again after each reconnect. It fails with ErrWildcard,
// ErrQueueFull, ErrClosed or, for a name of more than wire.MaxNameLength bytes,
// ErrNameTooLong.
func (e *Event) Publish() error {
	if e.isWildcard() {
		return fmt.Errorf("publish %q: %w", e.name, ErrWildcard)
	}
	return e.client.wish(e, wire.CmdPublish, &e.published, true)
}

// Unpublish is the reverse of Publish. What was sent before still goes out.
func (e *Event) Unpublish() error {
	return e.client.wish(e, wire.CmdUnpublish, &e.published, false)
}

// Subscribe tells the hub that this client wants what is sent on the event:
// now, if there is a connection, and again after each reconnect. Signals and
// streams go to the handlers; add these first. It fails like Publish.
//
// Flush after it returns when the hub has taken the subscription.
//
// A name that ends in "*" subscribes every event that begins so. What arrives
// on an event that is subscribed by its own name as well goes to that Event
// only; and if several wildcards match, to one of them.
func (e *Event) Subscribe() error {
	return e.client.wish(e, wire.CmdSubscribe, &e.subscribed, true)
}

// Unsubscribe is the reverse of Subscribe. Handlers are still called with what
// the hub sent before it knew. Streams that are under way then end with
// ErrStreamCut.
func (e *Event) Unsubscribe() error {
	return e.client.wish(e, wire.CmdUnsubscribe, &e.subscribed, false)
}

// HasSubscribers tells whether anybody else subscribes the event, as far as the
// hub has told: imb/hub tells those who publish it, of the subscriptions of
// other connections. Flush after Publish sees to it that the hub has.
func (e *Event) HasSubscribers() bool { return e.hasSubscribers.Load() }

// LostSubscribers tells whether somebody else subscribed the event when a
// connection was lost, or a moment before, and nobody has since: what cut this
// client off may have cut them off, and they are on their way back.
func (e *Event) LostSubscribers() bool { return e.lostSubscribers.Load() }

// Signal sends data as an event of a kind. See Send.
func (e *Event) Signal(ctx context.Context, kind wire.Kind, data []byte) error {
	return e.Send(ctx, Message{Kind: kind, Data: data})
}

// SignalString sends a normal event whose data is one string. See Send.
func (e *Event) SignalString(ctx context.Context, s string) error {
	return e.Send(ctx, Message{Kind: wire.NormalEvent, Data: wire.AppendString(nil, s)})
}

// SignalChangeObject sends a changeObject event: what happened to which
// attribute of which object. See Send.
func (e *Event) SignalChangeObject(ctx context.Context, action wire.Action, objectID int32, attribute string) error {
	return e.Send(ctx, Message{Kind: wire.ChangeObject, Data: wire.AppendChangeObject(nil, wire.ChangeObjectData{
		Action: action, ObjectID: objectID, Attribute: attribute,
	})})
}

// Send sends a signal: the message's Kind, Flags, Tick and Data, which it
// copies. Of its other fields it takes no notice. It returns when the signal is
// in the send queue, which Client.Flush and Client.Close see out.
//
// Without a connection signals wait in the queue for the next one. When it is
// full Send waits until ctx ends. What was handed to a connection before that
// was lost may be lost with it: Flush fails then, unless there is another
// connection already; Options.OnState tells of each loss.
//
// It fails with ErrStreamKind, ErrNotPublished, ErrWildcard, wire.ErrTooLarge,
// ErrClosed, or the error of ctx.
func (e *Event) Send(ctx context.Context, m Message) error {
	_, err := e.SendBatch(ctx, []Message{m})
	return err
}

// SendBatch is Send for each of the messages, in their order, which takes less
// time than so many calls of Send. It stops at the first that fails, and returns
// how many are in the send queue.
func (e *Event) SendBatch(ctx context.Context, messages []Message) (n int, err error) {
	for n < len(messages) {
		k, err := e.send(ctx, messages[n:])
		if err != nil {
			return n, fmt.Errorf("signal on %q: %w", e.name, err)
		}
		n += k
	}
	return n, nil
}

// sendRun is how many bytes of signals go into the send queue before it is looked
// at whether there is room.
const sendRun = 64 << 10

// send sends messages from the front, one at least if the first has no fault, and
// returns how many.
func (e *Event) send(ctx context.Context, messages []Message) (n int, err error) {
	if err := messages[0].fault(); err != nil {
		return 0, err
	}
	buf, err := e.client.out.Lock(ctx)
	if err != nil {
		return 0, err
	}
	if err := e.sendable(); err != nil {
		e.client.out.Unlock(buf)
		return 0, err
	}
	for begin := len(buf); n < len(messages) && len(buf)-begin < sendRun; n++ {
		m := &messages[n]
		if m.fault() != nil {
			break
		}
		start := len(buf)
		buf = append(wire.BeginEvent(buf, e.id, m.Tick, m.Kind, m.Flags), m.Data...)
		buf = wire.EndFrame(buf, start)
	}
	e.client.out.Unlock(buf)
	return n, nil
}

// fault tells why a message cannot be sent as a signal.
func (m *Message) fault() error {
	if m.Kind.IsStream() {
		return ErrStreamKind
	}
	if len(m.Data) > wire.MaxEventData {
		return fmt.Errorf("%w: %d bytes", wire.ErrTooLarge, len(m.Data))
	}
	return nil
}

// sendable tells why nothing can be sent on the event. The caller holds the
// send queue's lock.
func (e *Event) sendable() error {
	if e.isWildcard() {
		return ErrWildcard
	}
	if !e.published.Load() && !e.subscribed.Load() {
		return ErrNotPublished
	}
	return nil
}

// Handle calls h with each signal of the kind, until remove is called; a call
// that is under way then still ends. There may be several handlers for a kind;
// they are called in the order in which they were added. Stream kinds are
// refused with ErrStreamKind.
//
// All handlers of a client are called one after the other, on one goroutine,
// in the order in which the signals arrived. A slow handler therefore holds
// the others up and, when Options.ReceiveQueue is full, the hub. A handler may
// call every method but Close.
func (e *Event) Handle(kind wire.Kind, h func(Message)) (remove func(), err error) {
	if kind.IsStream() {
		return nil, fmt.Errorf("handle %v of %q: %w", kind, e.name, ErrStreamKind)
	}
	return e.addHandler(&signalHandler{kind: kind, handle: single(h)}), nil
}

// HandleAll is Handle for signals of every kind.
func (e *Event) HandleAll(h func(Message)) (remove func()) {
	return e.addHandler(&signalHandler{all: true, handle: single(h)})
}

// HandleBatches is HandleAll for several signals at a time, as many as have
// come: some tens at most, and not many bytes of them. If they may take h long it
// calls Client.Progress between them. As long as the event has other handlers
// besides, each signal comes by itself.
func (e *Event) HandleBatches(h func([]Message)) (remove func()) {
	return e.addHandler(&signalHandler{all: true, handle: h, batches: true})
}

func single(h func(Message)) func([]Message) {
	return func(messages []Message) { h(messages[0]) }
}

// handleParsed is Handle for what the data holds. Data that does not hold it is
// counted as malformed.
func handleParsed[T any](e *Event, kind wire.Kind, parse func([]byte) (T, error), h func(Message, T)) (remove func()) {
	return e.addHandler(&signalHandler{kind: kind, handle: single(func(m Message) {
		v, err := parse(m.Data)
		if err != nil {
			e.client.malformed(fmt.Errorf("%v on %q: %w", kind, m.Name, err))
			return
		}
		h(m, v)
	})})
}

func (e *Event) addHandler(h *signalHandler) (remove func()) {
	e.changeHandlers(func(all []*signalHandler) []*signalHandler { return append(all, h) })
	return func() {
		if !h.removed.Swap(true) {
			e.changeHandlers(func(all []*signalHandler) []*signalHandler {
				return slices.DeleteFunc(all, func(other *signalHandler) bool { return other == h })
			})
		}
	}
}

// changeHandlers replaces the list, which the dispatcher may be walking.
func (e *Event) changeHandlers(change func([]*signalHandler) []*signalHandler) {
	e.client.mu.Lock()
	defer e.client.mu.Unlock()
	var handlers []*signalHandler
	if old := e.handlers.Load(); old != nil {
		handlers = slices.Clone(*old)
	}
	handlers = change(handlers)
	e.handlers.Store(&handlers)
}

// dispatch calls the handlers for signals.
func (e *Event) dispatch(messages []Message) {
	for ; len(messages) > 0; messages = messages[1:] {
		handlers := e.handlers.Load()
		if handlers == nil {
			return
		}
		if h := (*handlers); len(h) == 1 && h[0].batches && !h[0].removed.Load() {
			h[0].handle(messages)
			return
		}
		for _, h := range *handlers {
			if (h.all || h.kind == messages[0].Kind) && !h.removed.Load() {
				h.handle(messages[:1])
			}
		}
	}
}

// takesBatches tells whether dispatch may get several messages.
func (e *Event) takesBatches() bool {
	handlers := e.handlers.Load()
	return handlers != nil && len(*handlers) == 1 && (*handlers)[0].batches
}

// HandleStreams makes h take the incoming streams of the event, in place of the
// handler before, until remove is called. Without a handler streams are
// declined. One that has begun stays with its receiver.
func (e *Event) HandleStreams(h StreamHandler) (remove func()) {
	handler := &h
	e.streams.Store(handler)
	return func() { e.streams.CompareAndSwap(handler, nil) }
}

func (e *Event) streamHandler() StreamHandler {
	if h := e.streams.Load(); h != nil {
		return *h
	}
	return nil
}
