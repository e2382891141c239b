package router

import "sync/atomic"

// Passage is a stretch of code that takes next to no time, such as the
// evaluation of an expression: whoever is inside for long does not come out any
// more. It counts who is inside, in the turn that runs. Turns change when
// somebody looks, so that nothing has to look at a clock. The zero value is
// ready for use.
type Passage struct {
	turn   atomic.Uint32   // its lowest bit is the index of those who enter
	inside [2]atomic.Int64 // who entered in the present turn, and in the one before
}

// Enter goes inside. What it returns is for Leave.
func (p *Passage) Enter() (turn uint32) {
	turn = p.turn.Load() & 1
	p.inside[turn].Add(1)
	return turn
}

// Leave comes out again.
func (p *Passage) Leave(turn uint32) { p.inside[turn].Add(-1) }

// Busy tells whether anybody is inside.
func (p *Passage) Busy() bool { return p.inside[0].Load()+p.inside[1].Load() > 0 }

// Stuck tells whether somebody is inside who was there when Stuck was called
// last, or before. One goroutine at a time may call it.
func (p *Passage) Stuck() bool {
	turn := p.turn.Load()
	if p.inside[1-turn&1].Load() > 0 {
		return true
	}
	p.turn.Store(turn + 1)
	return false
}

// Watched is implemented by filters and sinks that evaluate expressions. The
// Router looks whether one of these does not return, see Router.Stuck.
type Watched interface {
	Passage() *Passage
}
