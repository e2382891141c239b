package dir

import (
	"errors"
	"sync"
)

// errOvertaken says that a stream that ended later has landed before.
var errOvertaken = errors.New("a later stream has landed under the name")

// turns keeps the order in which streams ended, for each name under which they
// are to land. Commits run side by side, and with if_exists = "overwrite" the
// stream that ended last wins, not the one whose fsync took longest. It knows
// only of streams that have ended and not landed yet, which max_open bounds.
type turns struct {
	mu    sync.Mutex
	last  uint64              // number of the latest turn
	names map[string]*contest // nil until the first turn
}

// contest is between streams of one name.
type contest struct {
	streams int // that hold a turn; guarded by turns.mu

	landing sync.Mutex // held while one of them lands
	landed  uint64     // the latest turn that has; guarded by landing
}

// turn is the place of a stream among those of its name.
type turn struct {
	*contest
	name   string
	number uint64
}

// take gives out the next turn. It is given back with leave.
func (t *turns) take(name string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.names == nil {
		t.names = map[string]*contest{}
	}
	c := t.names[name]
	if c == nil {
		c = &contest{}
		t.names[name] = c
	}
	c.streams++
	t.last++
	return &turn{c, name, t.last}
}

// leave ends a turn, whatever became of its stream.
func (t *turns) leave(of *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if of.streams--; of.streams == 0 {
		delete(t.names, of.name)
	}
}

// overwrite calls land, or returns errOvertaken. A later stream that failed to
// land does not count.
func (t *turn) overwrite(land func() error) error {
	t.landing.Lock()
	defer t.landing.Unlock()
	if t.landed > t.number {
		return errOvertaken
	}
	err := land()
	if err == nil {
		t.landed = t.number
	}
	return err
}
