package router

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"imbrouter/imb/wire"
)

// maxEchoes is the number of relayed messages that a listener remembers: more
// than the queues between a sink and a source on one hub hold of signals of
// common sizes. Beyond it the oldest is forgotten.
const maxEchoes = 1 << 18

// Echoes keeps from a source with ignore_relayed what this router relayed to
// its hub. A hub hands an event to every subscriber, its sender included, and
// names no sender. There are two ways:
//
//   - The hub of this project leaves such sources out by itself: what a
//     connection sends that publishes [Echoes.RelayEvent] does not go to those
//     that subscribe to it.
//   - Other hubs keep the order of a connection's events at least. A sink notes
//     each message that came from a hub right before it sends it, and a source
//     takes the note away when the message comes back. Notes of messages that
//     were lost on the way are swept out after each reconnect.
//
// The zero value is ready for use, and safe for concurrent use.
type Echoes struct {
	mu        sync.RWMutex
	event     string                     // see RelayEvent
	listeners map[string][]*EchoListener // by hub
	listening atomic.Bool                // there has been one
	relays    map[string][]*EchoRelay    // by hub
}

// EchoRelay is a sink's connection for what it relays.
type EchoRelay struct {
	echoes *Echoes
	hub    string
	flush  func(context.Context) error
}

// EchoListener is one source's memory of what this router relayed to its hub.
type EchoListener struct {
	echoes *Echoes
	hub    string
	wants  func(fullEvent string) bool
	wake   chan struct{} // there may be something to sweep

	mu      sync.Mutex
	waiting []uint64         // sums of notes, oldest first
	first   uint64           // the number of waiting[0], counted from the first note ever
	live    map[uint64]int32 // how many of waiting have this sum and are not taken
	taken   map[uint64]int32 // how many of waiting have this sum and are taken
}

var echoSeed = maphash.MakeSeed()

// NewEchoes makes one with the RelayEvent of another, for a process that belongs
// to that one's router; or with one of its own for "".
func NewEchoes(relayEvent string) *Echoes { return &Echoes{event: relayEvent} }

// RelayEvent returns the full name of the event by which the hub knows what
// belongs to this router; see the package comment of imb/hub.
func (e *Echoes) RelayEvent() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.event == "" {
		e.event = fmt.Sprintf("%s%016x", wire.RelayPrefix, rand.Uint64())
	}
	return e.event
}

// Listen makes a listener for a hub, named as in Connection.Hub. wants tells
// which events, by full name, the hub delivers to it.
func (e *Echoes) Listen(hub string, wants func(fullEvent string) bool) *EchoListener {
	l := &EchoListener{
		echoes: e, hub: hub, wants: wants, wake: make(chan struct{}, 1),
		live: map[uint64]int32{}, taken: map[uint64]int32{},
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listeners == nil {
		e.listeners = map[string][]*EchoListener{}
	}
	e.listeners[hub] = append(e.listeners[hub], l)
	e.listening.Store(true)
	return l
}

// Close ends a listener.
func (l *EchoListener) Close() {
	l.echoes.mu.Lock()
	defer l.echoes.mu.Unlock()
	list := slices.Clone(l.echoes.listeners[l.hub])
	l.echoes.listeners[l.hub] = slices.DeleteFunc(list, func(other *EchoListener) bool { return other == l })
}

// Listening tells whether a source ignores what is relayed to a hub.
func (e *Echoes) Listening(hub string) bool { return len(e.listenersOf(hub)) > 0 }

// Relay makes a sink's part for a hub. flush returns when the hub has taken all
// that the sink has relayed; it fails when the connection is lost.
func (e *Echoes) Relay(hub string, flush func(context.Context) error) *EchoRelay {
	r := &EchoRelay{echoes: e, hub: hub, flush: flush}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.relays == nil {
		e.relays = map[string][]*EchoRelay{}
	}
	e.relays[hub] = append(e.relays[hub], r)
	return r
}

// Close ends a sink's part.
func (r *EchoRelay) Close() {
	r.echoes.mu.Lock()
	defer r.echoes.mu.Unlock()
	list := slices.Clone(r.echoes.relays[r.hub])
	r.echoes.relays[r.hub] = slices.DeleteFunc(list, func(other *EchoRelay) bool { return other == r })
}

func (e *Echoes) listenersOf(hub string) []*EchoListener {
	if !e.listening.Load() { // as in most routers
		return nil
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.listeners[hub]
}

// Sending notes a message that the sink is about to send, with its full event
// name. For a stream it is called once, with the data of its header.
func (r *EchoRelay) Sending(fullEvent string, kind wire.Kind, flags wire.Flags, tick int32, data []byte) {
	for _, l := range r.echoes.listenersOf(r.hub) {
		if l.wants(fullEvent) {
			l.add(echoSum(fullEvent, kind, flags, tick, data))
		}
	}
}

// NotSent takes the note back of a message that could not be sent.
func (r *EchoRelay) NotSent(fullEvent string, kind wire.Kind, flags wire.Flags, tick int32, data []byte) {
	for _, l := range r.echoes.listenersOf(r.hub) {
		l.take(echoSum(fullEvent, kind, flags, tick, data))
	}
}

// Reconnected is called by a sink when its connection was made again: what the
// one before had taken may have got lost.
func (r *EchoRelay) Reconnected() {
	for _, l := range r.echoes.listenersOf(r.hub) {
		l.Reconnected()
	}
}

// Reconnected is called by a source when its connection was made again: what
// was relayed in the meantime did not reach it.
func (l *EchoListener) Reconnected() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Relayed tells whether a message that a source received is one that this
// router sent, and takes the note of it away.
func (l *EchoListener) Relayed(fullEvent string, kind wire.Kind, flags wire.Flags, tick int32, data []byte) bool {
	l.mu.Lock()
	none := len(l.live) == 0
	l.mu.Unlock()
	return !none && l.take(echoSum(fullEvent, kind, flags, tick, data))
}

// Wake returns a channel that tells when Sweep is to be called.
func (l *EchoListener) Wake() <-chan struct{} { return l.wake }

// Sweep forgets the notes that are there now and whose messages do not come
// back although every sink's hub has taken what was sent since, and the source
// has handled what its hub sent, which drain waits for. It returns their number.
// It fails when a connection is lost, which ends in another call of Reconnected.
func (l *EchoListener) Sweep(ctx context.Context, drain func(context.Context) error) (forgotten int, err error) {
	l.mu.Lock()
	end := l.first + uint64(len(l.waiting))
	l.mu.Unlock()
	l.echoes.mu.RLock()
	relays := l.echoes.relays[l.hub]
	l.echoes.mu.RUnlock()
	var errs []error
	for _, r := range relays {
		errs = append(errs, r.flush(ctx))
	}
	errs = append(errs, drain(ctx))
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.first < end {
		if l.dropOldest() {
			forgotten++
		}
	}
	return forgotten, nil
}

func (l *EchoListener) add(sum uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, sum)
	count(l.live, sum, +1)
	for len(l.waiting) > maxEchoes {
		l.dropOldest()
	}
}

// take takes a note away, if there is one.
func (l *EchoListener) take(sum uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live[sum] == 0 {
		return false
	}
	count(l.live, sum, -1)
	count(l.taken, sum, +1)
	for len(l.waiting) > 0 && l.taken[l.waiting[0]] > 0 {
		l.dropOldest()
	}
	return true
}

// dropOldest tells whether the message of the note has not come back.
func (l *EchoListener) dropOldest() (missing bool) {
	sum := l.waiting[0]
	l.waiting = l.waiting[1:]
	l.first++
	if l.taken[sum] > 0 {
		count(l.taken, sum, -1)
		return false
	}
	count(l.live, sum, -1)
	return true
}

func count(m map[uint64]int32, sum uint64, by int32) {
	if n := m[sum] + by; n == 0 {
		delete(m, sum)
	} else {
		m[sum] = n
	}
}

// echoSum is equal for a message as it is sent and as the hub delivers it. A
// hub compares names without regard to case and keeps the first spelling, and
// fills in the client id of a log line. A stream is known by its id.
func echoSum(fullEvent string, kind wire.Kind, flags wire.Flags, tick int32, data []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(echoSeed)
	h.WriteString(wire.FoldName(fullEvent))
	var head [9]byte
	head[0] = byte(kind)
	binary.LittleEndian.PutUint32(head[1:], uint32(flags))
	binary.LittleEndian.PutUint32(head[5:], uint32(tick))
	h.Write(head[:])
	switch {
	case kind == wire.StreamHeader && len(data) >= wire.StreamHeaderSize:
		data = data[:wire.StreamHeaderSize]
	case kind == wire.LogWriteLn && len(data) >= 4:
		data = data[4:]
	}
	h.Write(data)
	return h.Sum64()
}
