package imb

import (
	"sync"
	"sync/atomic"
)

// A client with little traffic has small batches of its own. One with much takes
// large ones from a pool that all clients share, and gives each back when it has
// been handled: so those of a queue that is kept short are few and stay in the
// processor's cache, and a long queue takes no more than about twice the memory
// that it counts, also when the signals in it are small.
const (
	// smallBatch and smallItems are the bytes and the number from which on a
	// small batch is full.
	smallBatch = 4 << 10
	smallItems = 32
	// fullBatch and fullItems are those of one from the pool.
	fullBatch = 64 << 10
	fullItems = fullBatch / deliverySize
	// commonItems is for how many there is room in a new one.
	commonItems = 512
	// batchSize is the capacity of a new batch of the pool. So much is left when
	// it is not full that a common signal, or a chunk of 64 KiB, fits.
	batchSize = fullBatch + 4<<10
	// maxBatch is the largest capacity that goes back to the pool.
	maxBatch = 1 << 20
)

// batch is a run of deliveries with their data in one piece.
type batch struct {
	items []delivery
	data  []byte
	next  atomic.Int64 // of items: the first that nobody has taken
	lost  bool         // somebody else has taken what was left
}

// A run is what is handled together: signals of an event that takes batches, so
// many and so many bytes of them at most, or one of whatever. It is short, because
// the room that it took is there again at its end only.
const (
	maxRun      = 64
	maxRunBytes = 16 << 10
)

var batches = sync.Pool{New: func() any {
	return &batch{items: make([]delivery, 0, commonItems), data: make([]byte, 0, batchSize)}
}}

// full tells whether nothing more is to be added.
func (b *batch) full() bool {
	if cap(b.data) < batchSize {
		return len(b.data) >= smallBatch || len(b.items) >= smallItems
	}
	return len(b.data) >= fullBatch || len(b.items) >= fullItems
}

func (b *batch) add(d *delivery, data []byte) {
	b.items = append(b.items, *d)
	added := &b.items[len(b.items)-1]
	added.start = int32(len(b.data))
	b.data = append(b.data, data...)
	added.end = int32(len(b.data))
}

// take returns the next run; nil when there is none. Another may call takeAll
// meanwhile: each gets what the other does not.
func (b *batch) take() []delivery {
	for {
		n := int(b.next.Load())
		if n >= len(b.items) {
			return nil
		}
		end := n + runLength(b.items[n:])
		if b.next.CompareAndSwap(int64(n), int64(end)) {
			return b.items[n:end]
		}
	}
}

// runLength returns how many of the items, which are some, make the first run.
func runLength(items []delivery) int {
	first := &items[0]
	if !first.isSignal() || !first.event.takesBatches() {
		return 1
	}
	items = items[:min(len(items), maxRun)]
	for n := 1; n < len(items); n++ {
		d := &items[n]
		if !d.isSignal() || d.event != first.event || d.end-first.start > maxRunBytes {
			return n
		}
	}
	return len(items)
}

// takeAll returns what nobody has taken.
func (b *batch) takeAll() []delivery {
	n := min(int(b.next.Swap(int64(len(b.items)))), len(b.items))
	return b.items[n:]
}

func (b *batch) bytes(d *delivery) []byte { return b.data[d.start:d.end:d.end] }

// clear makes an empty batch of one that has been handled.
func (b *batch) clear() {
	clear(b.items) // they hold on to names and events
	b.items, b.data = b.items[:0], b.data[:0]
	b.next.Store(0)
}
