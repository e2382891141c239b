package wire

import (
	"bytes"
	"slices"
)

// Frame is one command with its payload.
type Frame struct {
	Command Command
	Payload []byte // valid until the next call of Reader.Next
	// Raw is the whole frame, of which Payload is a part; valid as long. It is
	// for those who pass frames on. Its capacity reaches into what was read
	// after it, for Join: do not append to it.
	Raw []byte
}

// Join returns a and b as one slice, without a copy, if b directly follows a in
// the buffer of a Reader: the Raw of two frames in a row, or what Join made of
// several and the next one.
func Join(a, b []byte) (both []byte, ok bool) {
	n := len(a)
	if len(b) == 0 || cap(a) < n+len(b) || &a[:n+1][n] != &b[0] {
		return nil, false
	}
	return a[:n+len(b)], true
}

// BeginFrame appends the header of a frame of a size not known yet. The caller
// appends the payload, and closes the frame with EndFrame:
//
//	start := len(dst)
//	dst = wire.BeginFrame(dst, wire.CmdPublish)
//	dst = … // the payload
//	dst = wire.EndFrame(dst, start)
func BeginFrame(dst []byte, c Command) []byte {
	dst, header := extend(dst, HeaderSize)
	le.PutUint64(header, startMagicValue)
	le.PutUint32(header[8:], uint32(c))
	le.PutUint32(header[12:], 0) // the size, for EndFrame
	return dst
}

// extend appends n bytes, with anything in them, which it returns as well.
func extend(dst []byte, n int) (all, added []byte) {
	all = slices.Grow(dst, n)[:len(dst)+n]
	return all, all[len(dst):]
}

// EndFrame fills in the size of the frame that BeginFrame began at dst[start]
// and appends the end magic. A payload above MaxPayload gives a frame that
// every receiver refuses: the caller checks sizes that it does not control.
func EndFrame(dst []byte, start int) []byte {
	n := len(dst) - start - HeaderSize
	le.PutUint32(dst[start+12:], uint32(n))
	if n == 0 {
		return dst
	}
	return append(dst, EndMagic...)
}

// AppendFrame appends a whole frame. The payload is at most MaxPayload bytes.
func AppendFrame(dst []byte, c Command, payload []byte) []byte {
	start := len(dst)
	dst = append(BeginFrame(dst, c), payload...)
	return EndFrame(dst, start)
}

// FrameSize returns how many bytes a frame with a payload of n bytes takes.
func FrameSize(n int) int {
	if n == 0 {
		return HeaderSize
	}
	return HeaderSize + n + TrailerSize
}

// SafeLen returns how many bytes of p, at most all, a sender of streams puts
// into one payload so that the payload does not hold the end magic, which
// makes pyimb end it there: up to the middle of the first occurrence. The next
// payload goes on from there. It returns 0 for an empty p only.
func SafeLen(p []byte) int {
	if i := bytes.Index(p, EndMagic); i >= 0 {
		return i + len(EndMagic)/2
	}
	return len(p)
}

// SafeStreamID tells whether the end magic cannot come about across the border
// between a stream id and the bytes after it, which SafeLen does not see. A
// sender of streams draws ids until one is safe. The fields before the id form
// no end magic with it; a tick that equals it is its sender's own doing.
func SafeStreamID(id int32) bool {
	b := AppendInt32(nil, id)
	for n := range EndMagic {
		if bytes.HasSuffix(b, EndMagic[:n+1]) {
			return false
		}
	}
	return true
}
