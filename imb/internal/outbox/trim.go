package outbox

import "time"

const (
	// trimAfter is for how long memory that a burst took is kept for the next.
	trimAfter = time.Second
	// keep is the size of a buffer, in bytes, that is not worth giving back.
	keep = 64 << 10
)

// Trimmer decides when a buffer that has grown is given back: when for a second
// no use of it needed a quarter of its capacity. Its zero value is ready.
type Trimmer struct{ needed time.Time }

// Excess is told how much of the buffer was used this time, and returns whether
// to give it back.
func (t *Trimmer) Excess(used, capacity int) bool {
	if capacity <= keep {
		return false
	}
	now := time.Now()
	if used >= capacity/4 {
		t.needed = now
		return false
	}
	return now.Sub(t.needed) >= trimAfter
}
