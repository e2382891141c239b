package wire

import (
	"bytes"
	"io"
)

const (
	// minReadBuffer is what an idle connection holds. A buffer that a read
	// fills is doubled, so busy connections get few and large reads.
	minReadBuffer = 4 << 10
	// maxReadBuffer bounds that growth. Only a frame that does not fit makes a
	// buffer larger, and only as its bytes arrive.
	maxReadBuffer = 256 << 10
	// shrinkAfter is the number of times in a row that a buffer must have been
	// emptied without ever having been more than a quarter full, after which
	// it is made smaller. Frames that are large but for a few do not pay for a
	// new buffer each.
	shrinkAfter = 32
	// maxIdleBuffer is the most that a connection holds between two frames. A
	// peer that once sent a large frame and then nothing must not cost 16 MiB.
	maxIdleBuffer = 1 << 20
	// maxEmptyReads is the number of consecutive reads of nothing, which a
	// source may return though it should not, after which it is given up.
	maxEmptyReads = 100
)

// strayZeros is what the TypeScript client sends after a frame without payload.
var strayZeros = make([]byte, 4)

// Stats counts what a Reader met beside frames in good order.
type Stats struct {
	Frames    uint64 // whole frames returned
	Skipped   uint64 // bytes between frames that belong to none
	BadEnd    uint64 // frames dropped because their end magic is wrong
	BadLength uint64 // headers whose size is below 0 or above MaxPayload
}

// Broken returns the sum of the faults. It grows when, and only when, the peer
// sends what is not IMB, so a caller logs when it has changed.
func (s Stats) Broken() uint64 { return s.Skipped + s.BadEnd + s.BadLength }

// Reader reads frames from a byte stream, one after the other. It finds its
// way back after garbage as the known clients do: it skips to the next start
// magic; a frame with a wrong end magic is dropped; a size out of bounds is
// taken for garbage. The four zero bytes that the TypeScript client sends after
// a command without payload are skipped silently.
//
// Memory: the buffer grows with what has arrived, never with what a header
// claims, and is less than twice the largest frame, or 256 KiB. After a while
// of smaller frames it shrinks again.
//
// A Reader is for one goroutine.
type Reader struct {
	src        io.Reader
	err        error // what src returned along with bytes; for the next fill
	buf        []byte
	start, end int  // buf[start:end] is read and not consumed
	afterEmpty bool // the last frame had no payload: stray zeros may follow
	peak       int  // the most bytes in buf since it was empty last
	smallUses  int  // how often in a row peak was below a quarter of buf
	stats      Stats
}

// NewReader returns a Reader of src.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// Stats returns the counts so far.
func (r *Reader) Stats() Stats { return r.stats }

// Next returns the next frame; it blocks until there is one. The error is
// io.EOF at the end of the stream between two frames, io.ErrUnexpectedEOF
// within one, or the source's own error.
func (r *Reader) Next() (Frame, error) {
	for {
		var frame Frame
		if r.Buffered(&frame) {
			return frame, nil
		}
		if err := r.fill(); err != nil {
			if err == io.EOF && r.end > r.start {
				err = io.ErrUnexpectedEOF
			}
			return Frame{}, err
		}
	}
}

// Buffered makes f the next frame if it is already in the buffer, and returns false
// if it takes a read to get it. It moves nothing in the buffer: the payloads of
// all frames since the last Next stay valid until the next one. A caller that
// works in batches drains it before it hands on what it has gathered.
func (r *Reader) Buffered(f *Frame) bool {
	for {
		p := r.buf[r.start:r.end]
		if r.afterEmpty {
			if len(p) < len(strayZeros) && bytes.HasPrefix(strayZeros, p) {
				return false
			}
			if bytes.HasPrefix(p, strayZeros) {
				r.start += len(strayZeros)
				p = p[len(strayZeros):]
			}
			r.afterEmpty = false
		}
		if skip := garbage(p); skip > 0 {
			r.stats.Skipped += uint64(skip)
			r.start += skip
			continue
		}
		if len(p) < HeaderSize {
			return false
		}
		n := int(int32(le.Uint32(p[12:])))
		if n < 0 || n > MaxPayload {
			r.stats.BadLength++
			r.start += len(startMagic)
			continue
		}
		size := FrameSize(n)
		if len(p) < size {
			return false
		}
		r.start += size
		if n == 0 {
			r.afterEmpty = true
		} else if le.Uint32(p[HeaderSize+n:]) != endMagicValue {
			r.stats.BadEnd++
			continue
		}
		r.stats.Frames++
		f.Command = Command(le.Uint32(p[8:]))
		f.Payload = p[HeaderSize : HeaderSize+n : HeaderSize+n]
		f.Raw = p[:size]
		return true
	}
}

// garbage returns how many bytes of p cannot begin a frame.
func garbage(p []byte) int {
	if len(p) >= len(startMagic) {
		if le.Uint64(p) == startMagicValue {
			return 0
		}
		if i := bytes.Index(p, startMagic); i >= 0 {
			return i
		}
	}
	// A start magic may begin in the last seven bytes. None of its bytes
	// repeats its first, so at most one suffix matches.
	for i := max(0, len(p)-len(startMagic)+1); i < len(p); i++ {
		if bytes.HasPrefix(startMagic, p[i:]) {
			return i
		}
	}
	return len(p)
}

// fill reads once, after making room.
func (r *Reader) fill() error {
	if err := r.err; err != nil {
		r.err = nil
		return err
	}
	if r.start == r.end {
		r.start, r.end = 0, 0
		r.shrink()
	} else if r.start > 0 && len(r.buf)-r.end < len(r.buf)/2 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if r.end == len(r.buf) {
		r.grow()
	}
	for range maxEmptyReads {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		if n > 0 {
			r.err = err
			r.peak = max(r.peak, r.end)
			if r.end == len(r.buf) && len(r.buf) < maxReadBuffer {
				r.grow() // for the next read
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (r *Reader) grow() {
	bigger := make([]byte, max(minReadBuffer, 2*len(r.buf)))
	r.end = copy(bigger, r.buf[r.start:r.end])
	r.start = 0
	r.buf = bigger
}

// shrink gives memory back. It is called when the buffer is empty.
func (r *Reader) shrink() {
	if r.peak < len(r.buf)/4 {
		r.smallUses++
	} else {
		r.smallUses = 0
	}
	r.peak = 0
	if len(r.buf) > maxIdleBuffer || r.smallUses >= shrinkAfter && len(r.buf) > minReadBuffer {
		r.buf = make([]byte, min(len(r.buf)/2, maxReadBuffer))
		r.smallUses = 0
	}
}
