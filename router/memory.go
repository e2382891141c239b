package router

import (
	"errors"
	"slices"
	"sync"
)

// maxPartial is the number of messages of which a memory knows what succeeded in
// some branches only. Beyond it the oldest is forgotten, and a retry of that one
// goes to all branches again. A file that is given up is among them until then.
const maxPartial = 1 << 16

// memory is what fan-outs know of messages that succeeded in some of their
// branches only. Those that follow one another in the same place, when a plan
// takes another's, share one: what began on the one may be tried again on the
// next.
type memory struct {
	mu      sync.Mutex
	partial map[uint64]partial // by the message's ID
	order   []uint64           // keys of partial, oldest first; may name some that are gone
}

// partial is what became of a message in the branches of a fan-out.
type partial struct {
	fanout  *fanout
	outcome outcome
}

// outcome is what became of one message in each branch: nil for success,
// errPending before it has been tried, or the error.
type outcome []error

var errPending = errors.New("not tried yet")

// open tells whether branch i is still to be called.
func (o outcome) open(i int) bool {
	return o[i] != nil && !errors.Is(o[i], ErrPermanent) && !errors.Is(o[i], ErrNotTaken)
}

// recall appends to dst what is known of a message in the branches of f.
func (m *memory) recall(dst outcome, id uint64, f *fanout) outcome {
	m.mu.Lock()
	known := m.partial[id]
	m.mu.Unlock()
	if known.fanout == f {
		return append(dst, known.outcome...)
	}
	for _, b := range f.branches {
		if known.fanout == nil {
			dst = append(dst, errPending)
		} else {
			dst = append(dst, known.in(b))
		}
	}
	return dst
}

// in returns what became of the message in a branch that may be another
// fan-out's. What a sink or a route had, that of its name has: when its
// configuration was changed, nothing comes twice to where it has been. What
// failed before such a change is tried anew, whatever it failed with.
func (p partial) in(b branch) error {
	i := slices.IndexFunc(p.fanout.branches, b.stands)
	if i < 0 || p.outcome[i] != nil && !b.is(p.fanout.branches[i]) {
		return errPending
	}
	return p.outcome[i]
}

// remember notes what became of a message that may come again.
func (m *memory) remember(id uint64, f *fanout, o outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.partial[id]; !ok {
		m.order = append(m.order, id)
	}
	m.partial[id] = partial{f, slices.Clone(o)}
	for len(m.partial) > maxPartial || len(m.order) > 2*maxPartial {
		delete(m.partial, m.order[0])
		m.order = m.order[1:]
	}
}

// forget drops what is known of a message that will not come again.
func (m *memory) forget(id uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.partial, id)
}
