package bench

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"imbrouter/imb/wire"
)

const (
	// bufferSize is how much is read at once, and the largest frame.
	bufferSize = 256 << 10
	// batchSize is about how much is written at once.
	batchSize = 64 << 10
	// eventID is the id of the one event that anybody here sends.
	eventID = 0
)

// errFrame is for bytes that no well-behaved sender on this machine sends.
var errFrame = errors.New("received what is no frame of a known size")

// frames cuts what it reads into frames, as every program must, and does no
// more: it does not look for magic.
type frames struct {
	r          io.Reader
	buf        []byte
	start, end int // buf[start:end] is read and not consumed
}

func newFrames(r io.Reader) *frames { return &frames{r: r, buf: make([]byte, bufferSize)} }

// each reads until r ends or do fails. It calls do with each frame, and then
// batch, which may be nil, with all frames of one read.
func (f *frames) each(do, batch func([]byte) error) error {
	for {
		first := f.start
		for f.end-f.start >= wire.HeaderSize {
			size := wire.FrameSize(int(binary.LittleEndian.Uint32(f.buf[f.start+12:])))
			if size > len(f.buf) {
				return errFrame
			}
			if f.end-f.start < size {
				break
			}
			frame := f.buf[f.start : f.start+size]
			f.start += size
			if err := do(frame); err != nil {
				return err
			}
		}
		if f.start > first && batch != nil {
			if err := batch(f.buf[first:f.start]); err != nil {
				return err
			}
		}
		f.start, f.end = 0, copy(f.buf, f.buf[f.start:f.end])
		n, err := f.r.Read(f.buf[f.end:])
		f.end += n
		if err != nil {
			return err
		}
	}
}

// command returns a frame's command.
func command(frame []byte) wire.Command {
	return wire.Command(binary.LittleEndian.Uint32(frame[8:]))
}

// tick returns an event frame's tick, which says here what the event is for:
// ordinary work, a probe, or, above 0, a sample whose latency is measured.
func tick(frame []byte) int32 { return int32(binary.LittleEndian.Uint32(frame[tickOffset:])) }

func setTick(frame []byte, tick int32) {
	binary.LittleEndian.PutUint32(frame[tickOffset:], uint32(tick))
}

const (
	tickOffset = wire.HeaderSize + 4

	ordinary int32 = 0
	probe    int32 = -1
)

// isEvent tells whether a frame is an event of a kind.
func isEvent(frame []byte, kind wire.Kind) bool {
	return command(frame) == wire.CmdEvent && wire.EventKind(frame[wire.HeaderSize:]) == kind
}

// data returns the data of an event frame.
func data(frame []byte) []byte {
	return frame[wire.HeaderSize+wire.EventHeaderSize : len(frame)-wire.TrailerSize]
}

// alarm is in the text of each signal, for filters to find.
const alarm = "alarm"

// MinPayload is the least data that a signal has here: a text with alarm in it.
const MinPayload = 4 + len(alarm)

// signal returns the frame of a signal with a payload of so many bytes.
func signal(payload int) []byte {
	text := strings.Repeat("-", payload-MinPayload) + alarm
	return wire.AppendEvent(nil, wire.Event{ID: eventID, Kind: wire.NormalEvent, Data: wire.AppendString(nil, text)})
}

// setNumber writes a number, as eight letters, into the text of such a frame, so
// that no two are equal: equal signals, many in a row, look like a loop. A text
// without room for it stays as it is.
func setNumber(frame []byte, n uint32) {
	text := data(frame)[4:]
	if len(text) < 8+len(alarm) {
		return
	}
	nibbles := uint64(n)
	nibbles = (nibbles | nibbles<<16) & 0x0000ffff0000ffff
	nibbles = (nibbles | nibbles<<8) & 0x00ff00ff00ff00ff
	nibbles = (nibbles | nibbles<<4) & 0x0f0f0f0f0f0f0f0f
	binary.LittleEndian.PutUint64(text, nibbles+0x6161616161616161) // 'a' to 'p'
}
