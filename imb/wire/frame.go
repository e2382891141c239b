package wire

import "bytes"

// Frame is one command with its payload.
type Frame struct {
	Command Command
	Payload []byte // valid until the next call of the Reader that returned it
}

// BeginFrame appends the header of a frame of a size not known yet. The caller
// appends the payload, and closes the frame with EndFrame:
//
//	start := len(dst)
//	dst = wire.BeginFrame(dst, wire.CmdPublish)
//	dst = … // the payload
//	dst = wire.EndFrame(dst, start)
func BeginFrame(dst []byte, c Command) []byte {
	dst = append(dst, startMagic...)
	dst = le.AppendUint32(dst, uint32(c))
	return le.AppendUint32(dst, 0)
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

// SafeStreamID tells whether no byte string of stream id and body can hold
// the end magic across the border between the two, which SafeLen cannot see.
func SafeStreamID(id int32) bool {
	switch last := byte(uint32(id) >> 24); last {
	case EndMagic[0], EndMagic[1], EndMagic[2]:
		return false
	}
	return uint32(id) != endMagicValue
}
