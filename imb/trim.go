package imb

import "time"

const (
	// trimAfter is for how long memory that a burst took is kept for the next.
	trimAfter = time.Second
	// keepBuffer is the size of a buffer, in bytes, that is not worth giving back.
	keepBuffer = 64 << 10
)

// trimmer decides when a buffer that has grown is given back: when for a second
// no use of it needed a quarter of its capacity. Its zero value is ready.
type trimmer struct{ needed time.Time }

// excess is told how much of the buffer was used this time, and returns whether
// to give it back.
func (t *trimmer) excess(used, capacity int) bool {
	if capacity <= keepBuffer {
		return false
	}
	now := time.Now()
	if used >= capacity/4 {
		t.needed = now
		return false
	}
	return now.Sub(t.needed) >= trimAfter
}
