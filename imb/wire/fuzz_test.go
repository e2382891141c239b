package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb/wire"
)

// stepReader reads at most step bytes at once.
type stepReader struct {
	src  io.Reader
	step uint16
}

func (s stepReader) Read(p []byte) (int, error) {
	return s.src.Read(p[:min(len(p), int(s.step)+1)])
}

// FuzzReader: arbitrary bytes, in reads of any size, give what the rules of
// the protocol say, as the naive reader below puts them; every frame is one
// that the Append functions would have made; and memory stays in proportion.
func FuzzReader(f *testing.F) {
	for _, tt := range readerTests {
		f.Add([]byte(tt.stream), uint16(0))
		f.Add([]byte(tt.stream), uint16(6))
	}
	f.Add(recording(f, "client")[:400], uint16(100)) // small seeds: the fuzzer minimizes large ones for minutes
	f.Fuzz(func(t *testing.T, stream []byte, step uint16) {
		want, wantStats, wantErr := readNaively(stream)
		got, stats, err := readAll(stepReader{bytes.NewReader(stream), step})
		if !slices.Equal(want, got) {
			t.Errorf("frames (-naive +got):\n%s", cmp.Diff(want, got))
		}
		if err != wantErr || stats != wantStats {
			t.Errorf("ended with %v, %+v; the naive reader with %v, %+v", err, stats, wantErr, wantStats)
		}
		rest := stream
		for _, f := range got {
			again := wire.AppendFrame(nil, f.Command, []byte(f.Payload))
			at := bytes.Index(rest, again)
			if at < 0 {
				t.Fatalf("%v frame of %d bytes encodes to what was not sent", f.Command, len(f.Payload))
			}
			rest = rest[at+len(again):]
		}
		limit := uint64(8*len(stream) + 64<<10)
		used := allocated(limit, func() {
			r := wire.NewReader(stepReader{bytes.NewReader(stream), step})
			for err := error(nil); err == nil; _, err = r.Next() {
			}
		})
		if used > limit {
			t.Errorf("%d bytes allocated for %d, want at most %d", used, len(stream), limit)
		}
	})
}

// readNaively does what a Reader does to a stream of which all bytes are there.
func readNaively(p []byte) (frames []frame, stats wire.Stats, err error) {
	afterEmpty := false
	for {
		if afterEmpty {
			afterEmpty = false
			switch {
			case bytes.HasPrefix(p, make([]byte, 4)):
				p = p[4:]
			case len(p) > 0 && bytes.Equal(p, make([]byte, len(p))):
				return frames, stats, io.ErrUnexpectedEOF
			}
		}
		if len(p) == 0 {
			return frames, stats, io.EOF
		}
		if len(p) < 8 && bytes.HasPrefix([]byte(startMagic), p) {
			return frames, stats, io.ErrUnexpectedEOF
		}
		if !bytes.HasPrefix(p, []byte(startMagic)) {
			stats.Skipped++
			p = p[1:]
			continue
		}
		if len(p) < 16 {
			return frames, stats, io.ErrUnexpectedEOF
		}
		command, size := int32(binary.LittleEndian.Uint32(p[8:])), int64(int32(binary.LittleEndian.Uint32(p[12:])))
		if size < 0 || size > 10*1024*1024 {
			stats.BadLength++
			p = p[8:]
			continue
		}
		if size == 0 {
			frames = append(frames, frame{wire.Command(command), ""})
			stats.Frames++
			afterEmpty = true
			p = p[16:]
			continue
		}
		if int64(len(p)) < 16+size+4 {
			return frames, stats, io.ErrUnexpectedEOF
		}
		if string(p[16+size:16+size+4]) == endMagic {
			frames = append(frames, frame{wire.Command(command), string(p[16 : 16+size])})
			stats.Frames++
		} else {
			stats.BadEnd++
		}
		p = p[16+size+4:]
	}
}

// FuzzReaderRoundTrip: frames with garbage in between come out, and the
// garbage is counted. The fuzzer's bytes are cut at each 0xFF, which is in
// neither magic, and each payload is repeated, so that it can be a large one.
func FuzzReaderRoundTrip(f *testing.F) {
	f.Add([]byte("payload\xFF\xFFother"), []byte("garbage\xFF\xFF\x00\x00\x00\x00"), uint8(0), int32(-15), uint16(0))
	f.Add([]byte(both+"\xFF"+both+both), []byte(endMagic), uint8(1), int32(-15), uint16(3))
	f.Add([]byte("\xFF\xFF\xFF"), []byte("\x00\x00\x00\x00\x00\xFF\x00\x00\x00\xFF\x00\x00\x00\x00"), uint8(0), int32(-4), uint16(40))
	f.Add([]byte("0123456789abcdef\xFF0123456789"), []byte("GET / HTTP/1.1\r\n\r\n"), uint8(255), int32(-15), uint16(5000))
	f.Fuzz(func(t *testing.T, payloads, garbage []byte, times uint8, command int32, step uint16) {
		garbage = bytes.ReplaceAll(garbage, []byte(startMagic[:1]), nil)
		gaps := bytes.Split(garbage, []byte{0xFF})
		var stream []byte
		var want []frame
		var skipped int
		for i, payload := range bytes.Split(payloads, []byte{0xFF}) {
			gap := gaps[i%len(gaps)]
			skipped += len(gap)
			if i > 0 && len(want[i-1].Payload) == 0 && bytes.HasPrefix(gap, make([]byte, 4)) {
				skipped -= 4 // the TypeScript client's
			}
			payload = bytes.Repeat(payload, int(times)+1)
			stream = append(stream, gap...)
			stream = wire.AppendFrame(stream, wire.Command(command), payload)
			want = append(want, frame{wire.Command(command), string(payload)})
		}
		got, stats, err := readAll(stepReader{bytes.NewReader(stream), step})
		if !slices.Equal(want, got) {
			t.Errorf("frames (-want +got):\n%s", cmp.Diff(want, got))
		}
		if err != io.EOF {
			t.Errorf("ended with %v", err)
		}
		if wantStats := (wire.Stats{Frames: uint64(len(want)), Skipped: uint64(skipped)}); stats != wantStats {
			t.Errorf("counts %+v, want %+v", stats, wantStats)
		}
	})
}

// fuzzParse: a Parse function never panics on arbitrary bytes, and what it
// decodes encodes to the same bytes. The samples of its type, whole and cut
// short, are the seeds.
func fuzzParse[T any](f *testing.F, encode func([]byte, T) []byte, parse func([]byte) (T, error)) {
	for _, s := range samples {
		if _, ok := s.value.(T); ok {
			f.Add([]byte(s.bytes))
			f.Add([]byte(s.bytes)[:len(s.bytes)/2])
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		v, err := parse(bytes.Clone(p))
		if errors.Is(err, wire.ErrMalformed) {
			return
		}
		if err != nil {
			t.Fatalf("error %v does not wrap ErrMalformed", err)
		}
		if again := encode(nil, v); !bytes.Equal(again, p) {
			t.Errorf("%q decoded to %+v, which encodes to %q", p, v, again)
		}
	})
}

// framed gives a function that appends a whole frame the shape that fuzzParse takes.
func framed[T any](appendFrame func([]byte, T) []byte) func([]byte, T) []byte {
	return func(dst []byte, v T) []byte { return append(dst, payloadOf(appendFrame(nil, v))...) }
}

func FuzzParseUniqueClientID(f *testing.F) {
	fuzzParse(f, framed(wire.AppendUniqueClientID), wire.ParseUniqueClientID)
}
func FuzzParseTimeStamp(f *testing.F) {
	fuzzParse(f, framed(wire.AppendTimeStamp), wire.ParseTimeStamp)
}
func FuzzParseEvent(f *testing.F) { fuzzParse(f, framed(wire.AppendEvent), wire.ParseEvent) }
func FuzzParseSetClientInfo(f *testing.F) {
	fuzzParse(f, framed(wire.AppendSetClientInfo), wire.ParseSetClientInfo)
}
func FuzzParseSetVariable(f *testing.F) {
	fuzzParse(f, framed(wire.AppendSetVariable), wire.ParseSetVariable)
}
func FuzzParseSetVariablePrefixed(f *testing.F) {
	fuzzParse(f, framed(wire.AppendSetVariablePrefixed), wire.ParseSetVariablePrefixed)
}
func FuzzParseRequestEventNames(f *testing.F) {
	fuzzParse(f, framed(wire.AppendRequestEventNames), wire.ParseRequestEventNames)
}
func FuzzParseEventNames(f *testing.F) {
	fuzzParse(f, framed(wire.AppendEventNames), wire.ParseEventNames)
}
func FuzzParseEventRef(f *testing.F) { fuzzParse(f, framed(wire.AppendSubscribe), wire.ParseEventRef) }
func FuzzParseText(f *testing.F)     { fuzzParse(f, framed(appendText), wire.ParseText) }
func FuzzParseInt32(f *testing.F)    { fuzzParse(f, framed(appendInt32), wire.ParseInt32) }
func FuzzParseSetEventIDTranslation(f *testing.F) {
	fuzzParse(f, framed(wire.AppendSetEventIDTranslation), wire.ParseSetEventIDTranslation)
}
func FuzzParseCreateTimer(f *testing.F) {
	fuzzParse(f, framed(wire.AppendCreateTimer), wire.ParseCreateTimer)
}
func FuzzParseHubFound(f *testing.F) { fuzzParse(f, framed(wire.AppendHubFound), parseHubFound) }
func FuzzParseStatusHub(f *testing.F) {
	fuzzParse(f, framed(wire.AppendStatusHub), wire.ParseStatusHub)
}
func FuzzParseStatusClient(f *testing.F) {
	fuzzParse(f, framed(wire.AppendStatusClient), wire.ParseStatusClient)
}
func FuzzParseStatusClientPlus(f *testing.F) {
	fuzzParse(f, framed(wire.AppendStatusClientPlus), wire.ParseStatusClientPlus)
}
func FuzzParseStatusEventPlus(f *testing.F) {
	fuzzParse(f, framed(wire.AppendStatusEventPlus), wire.ParseStatusEventPlus)
}

func FuzzParseChangeObject(f *testing.F) { fuzzParse(f, appendChangeObject, parseChangeObject) }
func FuzzParseStreamStart(f *testing.F)  { fuzzParse(f, wire.AppendStreamStart, wire.ParseStreamStart) }
func FuzzParseStreamChunk(f *testing.F)  { fuzzParse(f, wire.AppendStreamChunk, wire.ParseStreamChunk) }
func FuzzParseBuffer(f *testing.F)       { fuzzParse(f, wire.AppendBuffer, wire.ParseBuffer) }
func FuzzParseLogLine(f *testing.F)      { fuzzParse(f, wire.AppendLogLine, wire.ParseLogLine) }
func FuzzParseTimerAcknowledger(f *testing.F) {
	fuzzParse(f, wire.AppendTimerAcknowledger, wire.ParseTimerAcknowledger)
}
func FuzzParseTimerSpeed(f *testing.F) { fuzzParse(f, wire.AppendTimerSpeed, wire.ParseTimerSpeed) }
func FuzzParseTimerTick(f *testing.F)  { fuzzParse(f, wire.AppendTimerTick, wire.ParseTimerTick) }
func FuzzParseTimerAcknowledgement(f *testing.F) {
	fuzzParse(f, wire.AppendTimerAcknowledgement, wire.ParseTimerAcknowledgement)
}
func FuzzParseFocus(f *testing.F) { fuzzParse(f, wire.AppendFocus, wire.ParseFocus) }
func FuzzParseModelStatus(f *testing.F) {
	fuzzParse(f, wire.AppendModelStatus, wire.ParseModelStatus)
}

// FuzzParseModelStatusName: what is taken for the name of a model's status is
// made of the same client and model.
func FuzzParseModelStatusName(f *testing.F) {
	for _, name := range modelStatusNames {
		f.Add(name.name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		id, model, ok := wire.ParseModelStatusName(name)
		if again := wire.VariablePrefix(id) + wire.ModelStatusName(model); ok && !strings.EqualFold(again, name) {
			t.Errorf("%q is %08X, %q, which make %q", name, id, model, again)
		}
	})
}

// FuzzDescribe: arbitrary data of any kind is told in one bounded, printable line.
func FuzzDescribe(f *testing.F) {
	for kind := range 51 {
		for _, s := range samples {
			f.Add(uint8(kind), []byte(s.bytes))
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		line := wire.Describe(wire.Kind(kind), data)
		unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
		if line == "" || strings.ContainsFunc(line, unprintable) || len(line) > 8<<10 {
			t.Errorf("%v %q is told as %q", wire.Kind(kind), data, line)
		}
	})
}
