package router

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"time"

	"imbrouter/imb/wire"
)

const (
	// maxEchoes is the number of relayed messages that a listener remembers:
	// more than the queues between a sink and a source on one hub hold of
	// signals of common sizes. Beyond it the oldest is forgotten.
	maxEchoes = 1 << 18
	// echoAge is how long a relayed message is remembered that does not come
	// back, because its connection was lost on the way.
	echoAge = time.Minute
)

// Echoes knows which messages this router relayed to which hub, so that a
// source with ignore_relayed can tell them from those of others. A hub hands an
// event to every subscriber, its sender included, names no sender, and keeps
// the order of a connection's events. So a sink notes each message that came
// from a hub right before it sends it, and a source takes the note away when
// the message comes back.
//
// The zero value is ready for use, and safe for concurrent use.
type Echoes struct {
	mu        sync.RWMutex
	listeners map[string][]*EchoListener // by hub
}

// EchoListener is one source's memory of what this router relayed to its hub.
type EchoListener struct {
	hub   string
	wants func(fullEvent string) bool

	mu      sync.Mutex
	waiting []echo           // oldest first
	live    map[uint64]int32 // how many of waiting have this sum and are not taken
	taken   map[uint64]int32 // how many of waiting have this sum and are taken
}

type echo struct {
	sum  uint64
	sent time.Time
}

var echoSeed = maphash.MakeSeed()

// Listen makes a listener for a hub, named as in Connection.Hub. wants tells
// which events, by full name, the hub delivers to it.
func (e *Echoes) Listen(hub string, wants func(fullEvent string) bool) *EchoListener {
	l := &EchoListener{hub: hub, wants: wants, live: map[uint64]int32{}, taken: map[uint64]int32{}}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listeners == nil {
		e.listeners = map[string][]*EchoListener{}
	}
	e.listeners[hub] = append(e.listeners[hub], l)
	return l
}

// Relaying notes a message that a sink is about to send to a hub. For a stream
// it is called once, with the data of its header.
func (e *Echoes) Relaying(hub, fullEvent string, kind wire.Kind, flags wire.Flags, tick int32, data []byte) {
	e.mu.RLock()
	listeners := e.listeners[hub]
	e.mu.RUnlock()
	for _, l := range listeners {
		if l.wants(fullEvent) {
			l.add(echoSum(fullEvent, kind, flags, tick, data))
		}
	}
}

// Relayed tells whether a message that a source received is one that this
// router sent, and takes the note of it away.
func (l *EchoListener) Relayed(fullEvent string, kind wire.Kind, flags wire.Flags, tick int32, data []byte) bool {
	sum := echoSum(fullEvent, kind, flags, tick, data)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire()
	if l.live[sum] == 0 {
		return false
	}
	count(l.live, sum, -1)
	count(l.taken, sum, +1)
	l.dropTaken()
	return true
}

// Reset forgets everything. A source calls it when it has lost its connection.
func (l *EchoListener) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = nil
	clear(l.live)
	clear(l.taken)
}

func (l *EchoListener) add(sum uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, echo{sum, time.Now()})
	count(l.live, sum, +1)
	for len(l.waiting) > maxEchoes {
		l.dropOldest()
	}
}

func (l *EchoListener) expire() {
	for len(l.waiting) > 0 && time.Since(l.waiting[0].sent) > echoAge {
		l.dropOldest()
	}
}

func (l *EchoListener) dropTaken() {
	for len(l.waiting) > 0 && l.taken[l.waiting[0].sum] > 0 {
		l.dropOldest()
	}
}

func (l *EchoListener) dropOldest() {
	sum := l.waiting[0].sum
	l.waiting = l.waiting[1:]
	if l.taken[sum] > 0 {
		count(l.taken, sum, -1)
	} else {
		count(l.live, sum, -1)
	}
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
