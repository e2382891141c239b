package wire_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"imbrouter/imb/wire"
)

func TestSafeLen(t *testing.T) {
	tests := []struct {
		in   string
		want int
	}{
		{"", 0},
		{"a", 1},
		{endMagic[:3], 3},
		{endMagic, 2},
		{"abc" + endMagic, 5},
		{"abc" + endMagic + endMagic, 5},
		{endMagic[2:] + "abc", 5}, // what is left after a cut
		{endMagic[:1] + endMagic, 3},
	}
	for _, tt := range tests {
		if got := wire.SafeLen([]byte(tt.in)); got != tt.want {
			t.Errorf("SafeLen(%q) = %d, want %d", tt.in, got, tt.want)
		}
	}
}

func TestSafeStreamID(t *testing.T) {
	tests := []struct {
		bytes string // little-endian, as on the wire
		want  bool
	}{
		{"\x00\x00\x00\x00", true},
		{endMagic, false},
		{"\x00" + endMagic[:3], false},
		{"\x00\x00" + endMagic[:2], false},
		{"\x00\x00\x00" + endMagic[:1], false},
		{"\x00\x00\x00" + endMagic[1:2], true},
		{"\x00\x00" + endMagic[1:3], true},
		{endMagic[:3] + "\x00", true},
		{endMagic[1:] + "\x00", true},
	}
	for _, tt := range tests {
		d := wire.NewDecoder([]byte(tt.bytes))
		if id := d.Int32(); wire.SafeStreamID(id) != tt.want {
			t.Errorf("SafeStreamID(%q) = %t, want %t", tt.bytes, !tt.want, tt.want)
		}
	}
}

// bytesNearMagic draws byte strings that hold much of the end magic.
func bytesNearMagic() *rapid.Generator[[]byte] {
	piece := rapid.SampledFrom([]string{endMagic, endMagic[:1], endMagic[:2], endMagic[:3], endMagic[1:], endMagic[2:], endMagic[3:], startMagic, "a"})
	return rapid.Map(rapid.SliceOfN(piece, 0, 40), func(pieces []string) []byte {
		var p []byte
		for _, s := range pieces {
			p = append(p, s...)
		}
		return p
	})
}

// TestSafeStreamProperty sends a body as a sender for pyimb does, and reads it
// as pyimb does.
func TestSafeStreamProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.OneOf(bytesNearMagic(), rapid.SliceOf(rapid.Byte())).Draw(t, "body")
		chunkSize := rapid.IntRange(1, 64).Draw(t, "chunkSize")
		magicByte := rapid.OneOf(rapid.SampledFrom([]byte(endMagic)), rapid.Byte())
		id := rapid.Custom(func(t *rapid.T) int32 {
			d := wire.NewDecoder(rapid.SliceOfN(magicByte, 4, 4).Draw(t, "bytes"))
			return d.Int32()
		}).Filter(wire.SafeStreamID).Draw(t, "id")
		event := wire.Event{
			ID:    rapid.Int32Range(0, 1<<24-1).Draw(t, "eventID"),
			Tick:  rapid.Int32().Filter(func(tick int32) bool { return tick != 0x10F13467 }).Draw(t, "tick"),
			Flags: rapid.SampledFrom([]wire.Flags{0, wire.Priority, 0x6700, 0xFF00}).Draw(t, "flags"),
		}

		var stream []byte
		var payloads [][]byte
		send := func(kind wire.Kind, chunk []byte) {
			e := event
			e.Kind, e.Data = kind, wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: id, Bytes: chunk})
			frame := wire.AppendEvent(nil, e)
			stream = append(stream, frame...)
			payloads = append(payloads, payloadOf(frame))
		}
		for rest := body; len(rest) > 0; {
			n := wire.SafeLen(rest[:min(len(rest), chunkSize)])
			if n <= 0 {
				t.Fatalf("SafeLen = %d for %q", n, rest)
			}
			send(wire.StreamBody, rest[:n])
			rest = rest[n:]
		}
		send(wire.StreamTail, nil)

		if diff := cmp.Diff(payloads, readLikePyimb(stream)); diff != "" {
			t.Fatalf("payloads sent and read (-sent +read):\n%s", diff)
		}
		var joined []byte
		for _, p := range payloads {
			if bytes.Contains(p, []byte(endMagic)) {
				t.Fatalf("a payload holds the end magic: %q", p)
			}
			joined = append(joined, p[wire.EventHeaderSize+wire.StreamHeaderSize:]...)
		}
		if !bytes.Equal(joined, body) {
			t.Fatalf("the chunks make %q, want %q", joined, body)
		}
	})
}

// readLikePyimb splits a stream into payloads with no regard to sizes: each
// ends at the first end magic.
func readLikePyimb(stream []byte) (payloads [][]byte) {
	for len(stream) > 0 {
		payload, rest, _ := bytes.Cut(stream[wire.HeaderSize:], []byte(endMagic))
		payloads = append(payloads, payload)
		stream = rest
		if i := bytes.Index(stream, []byte(startMagic)); i > 0 {
			stream = stream[i:]
		}
	}
	return payloads
}
