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
	// shrinkAfter is the number of consecutive reads that used less than a
	// quarter of a large buffer after which it is halved.
	shrinkAfter = 64
)

// Stats counts what a Reader met beside frames in good order.
type Stats struct {
	Frames    uint64 // whole frames returned
	Skipped   uint64 // bytes between frames that belong to none
	BadEnd    uint64 // frames dropped because their end magic is wrong
	BadLength uint64 // headers whose size is below 0 or above MaxPayload
}

// Broken returns the number of faults, counting a run of skipped bytes as the
// bytes it has. It grows when, and only when, the peer sends what is not IMB.
func (s Stats) Broken() uint64 { return s.Skipped + s.BadEnd + s.BadLength }

// Reader reads frames from a byte stream, one after the other. It finds its
// way back after garbage as the known clients do: it skips to the next start
// magic; a frame with a wrong end magic is dropped; a size out of bounds is
// taken for garbage. The four zero bytes that the TypeScript client sends after
// a command without payload are skipped silently.
//
// Memory: the buffer grows with what has arrived, never with what a header
// claims, and is at most about twice the largest frame.
//
// A Reader is for one goroutine.
type Reader struct {
	src        io.Reader
	buf        []byte
	start, end int // buf[start:end] is read and not consumed
	afterEmpty bool
	smallReads int
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
		if frame, ok := r.parse(); ok {
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

// Buffered returns the next frame if it is already in the buffer, and false if
// it takes a read to get it. A caller that works in batches drains it before
// it hands on what it has gathered.
func (r *Reader) Buffered() (Frame, bool) { return r.parse() }

// parse cuts the next frame out of the buffer.
func (r *Reader) parse() (Frame, bool) {
	for {
		p := r.buf[r.start:r.end]
		if r.afterEmpty && len(p) > 0 && p[0] == 0 {
			if len(p) < 4 {
				return Frame{}, false
			}
			if p[1]|p[2]|p[3] == 0 {
				r.start += 4
				p = p[4:]
			}
		}
		if len(p) > 0 {
			r.afterEmpty = false
		}
		if skip := garbage(p); skip > 0 {
			r.stats.Skipped += uint64(skip)
			r.start += skip
			continue
		}
		if len(p) < HeaderSize {
			return Frame{}, false
		}
		n := int(int32(le.Uint32(p[12:])))
		if n < 0 || n > MaxPayload {
			r.stats.BadLength++
			r.start += len(startMagic)
			continue
		}
		size := FrameSize(n)
		if len(p) < size {
			return Frame{}, false
		}
		r.start += size
		if n == 0 {
			r.afterEmpty = true
		} else if le.Uint32(p[HeaderSize+n:]) != endMagicValue {
			r.stats.BadEnd++
			continue
		}
		r.stats.Frames++
		return Frame{
			Command: Command(le.Uint32(p[8:])),
			Payload: p[HeaderSize : HeaderSize+n : HeaderSize+n],
		}, true
	}
}

// garbage returns how many bytes of p cannot begin a frame.
func garbage(p []byte) int {
	if len(p) >= len(startMagic) {
		if [8]byte(p) == [8]byte(startMagic) {
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
	for range 100 {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		if n > 0 {
			r.adapt(n)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// adapt grows the buffer when the last read filled it, for the next one.
func (r *Reader) adapt(n int) {
	if r.end == len(r.buf) && len(r.buf) < maxReadBuffer {
		r.grow()
	}
	if n < len(r.buf)/4 {
		r.smallReads++
	} else {
		r.smallReads = 0
	}
}

func (r *Reader) grow() {
	bigger := make([]byte, max(minReadBuffer, 2*len(r.buf)))
	r.end = copy(bigger, r.buf[r.start:r.end])
	r.start = 0
	r.buf = bigger
}

// shrink gives memory back when the buffer is empty.
func (r *Reader) shrink() {
	switch {
	case len(r.buf) > 2*maxReadBuffer:
		r.buf = make([]byte, maxReadBuffer)
	case len(r.buf) > minReadBuffer && r.smallReads >= shrinkAfter:
		r.buf = make([]byte, len(r.buf)/2)
		r.smallReads = 0
	}
}
