package router

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"imbrouter/imb/wire"
)

// LoopGuard says what a route does when the same message comes to it again and
// again, as it does when this router and another one relay into each other:
// neither can see that from its own configuration. Only what comes from hubs is
// looked at, see Signal.Relayed.
type LoopGuard string

// What a route may do. "" is LoopGuardOff.
const (
	LoopGuardOff  LoopGuard = "off"
	LoopGuardWarn LoopGuard = "warn" // tell, at level error
	LoopGuardStop LoopGuard = "stop" // and take no more messages until Router.Apply
)

func (m LoopGuard) guards() bool { return m == LoopGuardWarn || m == LoopGuardStop }

// A message goes round when it comes more than loopTurns times within
// loopWindow. A sensor that says the same every second, and fifty equal signals
// at once, do not; a loop of less than a tenth of a second a turn does.
const (
	loopTurns  = 100
	loopWindow = 10 * time.Second
	// loopSuspect is how often what looks the same comes before it is compared
	// in full: until then only the ends of the data are.
	loopSuspect = loopTurns / 2
	// loopEnd is how many bytes of the data are an end.
	loopEnd = 64
	// loopTell is how many of a message that goes round there are for one that is
	// told of: some loops turn a million times a second.
	loopTell = loopTurns
	// loopSlots is how many different messages a route counts at once, in 32
	// bytes each.
	loopSlots = 1 << 10
)

// errStopped is what messages meet on a stopped route. Files wait.
var errStopped = fmt.Errorf("%w: the route is stopped because a message went round (loop_guard); "+
	"break the loop, and reload the configuration or restart", ErrUnavailable)

// errLoop is what is told of a message that goes round.
var errLoop = fmt.Errorf("it came more than %d times within %v: two routers may relay it to each other; "+
	"let one of them use another event or federation", loopTurns, loopWindow)

// loopGuard counts equal messages on one route. It knows as many as there are
// slots: a message takes the slot that its hash leads to, where one that comes
// often outlives those that come once. So what it counts is never too much, and
// what goes round is noticed unless as many others as there are slots come with
// each of its turns. What comes once costs a hash of a few bytes and no look at
// the clock. Nil guards nothing.
type loopGuard struct {
	mode    LoopGuard
	alarms  *FailureLog
	begun   time.Time
	stopped atomic.Bool

	mu     sync.Mutex
	alarm  time.Duration // since begun, of the last alarm
	raised bool          // and it is not over
	slots  [loopSlots]loopSlot
}

type loopSlot struct {
	look  uint64        // hash of what is looked at of every message
	full  uint64        // and of a suspect
	since time.Duration // since loopGuard.begun, of the second one
	count int
}

var loopSeed = maphash.MakeSeed()

// newLoopGuard returns nil for a mode that needs none.
func newLoopGuard(mode LoopGuard, log *slog.Logger) *loopGuard {
	if !mode.guards() {
		return nil
	}
	message := "a message goes round"
	if mode == LoopGuardStop {
		message += "; the route is stopped"
	}
	return &loopGuard{mode: mode, alarms: NewFailureLog(log, message, "no message goes round any more"), begun: time.Now()}
}

func (g *loopGuard) close() {
	if g != nil {
		g.alarms.Close()
	}
}

func (g *loopGuard) isStopped() bool { return g != nil && g.stopped.Load() }

// serves tells whether a route of that mode can go on with this guard.
func (g *loopGuard) serves(mode LoopGuard) bool {
	if g == nil {
		return !mode.guards()
	}
	return g.mode == mode && !g.isStopped()
}

// signal takes in a signal as it came to the route, and returns an error when
// the route is not to take it.
func (g *loopGuard) signal(s *Signal) error {
	if g == nil {
		return nil
	}
	if g.stopped.Load() {
		return errStopped
	}
	if s.Relayed && g.goesRound(lookOf(s, hashOf(s.Event)), func() uint64 { return fullOf(s) }) {
		return g.tellOf(s)
	}
	return nil
}

// signals is signal for many. It returns how many at the front the route is to take,
// and the error of the one after them, if there is one.
func (g *loopGuard) signals(all carried) (n int, err error) {
	if g == nil {
		return len(all.signals), nil
	}
	if g.stopped.Load() {
		return 0, errStopped
	}
	for n < len(all.signals) {
		n += g.untilRound(all.slice(n, len(all.signals)))
		if n == len(all.signals) {
			break
		}
		if err := g.tellOf(all.asCame(n)); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// untilRound counts signals up to the first one that is to be told of, and returns
// how many are before that.
func (g *loopGuard) untilRound(all carried) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var event string
	var hash uint64 // of it
	for ; n < len(all.signals); n++ {
		s := all.asCame(n)
		if n == 0 || s.Event != event {
			event, hash = s.Event, hashOf(s.Event)
		}
		if s.Relayed && g.counts(lookOf(s, hash), func() uint64 { return fullOf(s) }) {
			break
		}
	}
	return n
}

func hashOf(event string) uint64 { return maphash.String(loopSeed, event) }

// lookOf returns the hash of what is looked at of every signal, given that of its
// event, and fullOf that of all of one.
func lookOf(s *Signal, event uint64) uint64 {
	ends := s.Data
	tail := uint64(len(s.Data))
	if len(s.Data) > 2*loopEnd {
		ends = s.Data[:loopEnd]
		tail = mix(tail, maphash.Bytes(loopSeed, s.Data[len(s.Data)-loopEnd:]))
	}
	return mix(mix(tail, maphash.Bytes(loopSeed, ends)), event+uint64(s.Kind))
}

func fullOf(s *Signal) uint64 {
	return mix(maphash.Bytes(loopSeed, s.Data), maphash.String(loopSeed, s.FullName()))
}

func (g *loopGuard) tellOf(s *Signal) error {
	return g.tell(s.FullName(), "event", s.FullName(), "kind", s.Kind.String(), "size", len(s.Data))
}

// stream is signal for the start of a stream, of which the name and the size
// count.
func (g *loopGuard) stream(info *StreamInfo) error {
	if g == nil {
		return nil
	}
	if g.stopped.Load() {
		return errStopped
	}
	if !info.Relayed {
		return nil
	}
	look := mix(mix(uint64(info.Size), maphash.String(loopSeed, info.Name)), maphash.String(loopSeed, info.Event)+uint64(wire.StreamHeader))
	full := func() uint64 { return maphash.String(loopSeed, info.FullName()) }
	if !g.goesRound(look, full) {
		return nil
	}
	return g.tell(info.FullName(), "event", info.FullName(), "kind", wire.StreamHeader.String(), "stream", info.Name)
}

// mix makes one hash of two.
func mix(a, b uint64) uint64 {
	sum := a*0x9e3779b97f4a7c15 + b
	return sum ^ sum>>29
}

// goesRound counts a message and tells whether it has come too often, and is to be
// told of. full is called for a suspect.
func (g *loopGuard) goesRound(look uint64, full func() uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts(look, full)
}

// counts is goesRound for who holds g.mu.
func (g *loopGuard) counts(look uint64, full func() uint64) bool {
	if g.raised && time.Since(g.begun)-g.alarm > repeatInterval {
		g.raised = false
		g.alarms.Success()
	}
	slot := &g.slots[look%loopSlots]
	if slot.look != look {
		if slot.count--; slot.count <= 0 {
			*slot = loopSlot{look: look, count: 1}
		}
		return false
	}
	now := time.Since(g.begun)
	if slot.count == 1 {
		slot.since = now
	}
	slot.count++
	if now-slot.since > loopWindow {
		*slot = loopSlot{look: look, count: 1}
	}
	if slot.count < loopSuspect {
		return false
	}
	switch sum := full(); {
	case slot.count == loopSuspect:
		slot.full = sum
	case slot.full != sum:
		*slot = loopSlot{look: look, count: 1}
	}
	if slot.count <= loopTurns {
		return false
	}
	g.alarm, g.raised = now, true
	return (slot.count-loopTurns)%loopTell == 1
}

// tell tells of a message that goes round, and stops the route if it is to be.
func (g *loopGuard) tell(fullEvent string, attrs ...any) error {
	if g.mode == LoopGuardStop && !g.stopped.CompareAndSwap(false, true) {
		return errStopped
	}
	g.alarms.Failure(fullEvent, errLoop, attrs...)
	if g.mode == LoopGuardStop {
		return errStopped
	}
	return nil
}
