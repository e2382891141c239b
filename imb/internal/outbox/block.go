package outbox

import "sync"

// A queue is a chain of blocks. One with little traffic has small blocks of
// its own. One with much takes large blocks from a pool that all queues share,
// and gives each back when it has been written: so the blocks of a queue that
// is kept short are few and stay in the processor's cache, a long queue takes
// about twice the memory that it holds, and an idle one next to none.
const (
	// smallBlock is the most bytes that a queue puts into a block of its own
	// before it turns to the pool. It keeps no more than twice that.
	smallBlock = 4 << 10
	// fullBlock is how many bytes in a block make senders begin another.
	fullBlock = 64 << 10
	// blockSize is the capacity of a new block of the pool: another append of
	// 64 KiB fits when the block is not full. A larger one makes it grow.
	blockSize = 2*fullBlock + 4<<10
	// maxBlock is the largest capacity that goes back to the pool.
	maxBlock = 1 << 20
)

// block is a stretch of whole appends.
type block struct{ bytes []byte }

var pool = sync.Pool{New: func() any { return &block{make([]byte, 0, blockSize)} }}

// full tells whether nothing more is to be appended.
func (b *block) full() bool {
	if cap(b.bytes) < blockSize {
		return len(b.bytes) > smallBlock
	}
	return len(b.bytes) >= fullBlock
}

// tail returns what the last block holds, for appending, after it has added
// one if need be.
func (q *Queue) tail() []byte {
	if n := len(q.pending); n > 0 && !q.pending[n-1].full() {
		return q.pending[n-1].bytes
	}
	var b *block
	switch {
	case q.busy:
		b = pool.Get().(*block)
	case q.spare != nil:
		b, q.spare = q.spare, nil
	default:
		b = new(block)
	}
	q.pending = append(q.pending, b)
	return b.bytes
}

// recycle takes back a block that has been written.
func (q *Queue) recycle(b *block) {
	q.busy = len(b.bytes) > smallBlock || len(q.pending) > 0 && q.busy
	b.bytes = b.bytes[:0]
	switch size := cap(b.bytes); {
	case size <= 2*smallBlock:
		q.spare = b
	case size >= blockSize && size <= maxBlock:
		pool.Put(b)
	}
}
