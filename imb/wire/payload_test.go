package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb/wire"
)

// sample is a value with its encoding, written out by hand.
type sample struct {
	name   string
	bytes  string        // the payload of a command, or the data of an event
	encode func() []byte // the value: a frame of a command, or the data of an event
	whole  string        // what encode gives
	decode func(p []byte) (value any, again []byte, err error)
	value  any
	open   int // how many bytes at the end of bytes may be missing, because the last field takes what is left
}

// command is a sample of a command's payload.
func command[T any](code string, encode func([]byte, T) []byte, decode func([]byte) (T, error), value T, payload string) sample {
	s := data(encode, decode, value, payload)
	s.whole = handFrame(code, payload)
	decodeData := s.decode
	s.decode = func(p []byte) (any, []byte, error) {
		v, frame, err := decodeData(p)
		return v, payloadOf(frame), err
	}
	return s
}

// data is a sample of an event's data.
func data[T any](encode func([]byte, T) []byte, decode func([]byte) (T, error), value T, payload string) sample {
	return sample{
		bytes:  payload,
		encode: func() []byte { return encode(nil, value) },
		whole:  payload,
		decode: func(p []byte) (any, []byte, error) {
			v, err := decode(p)
			return v, encode(nil, v), err
		},
		value: value,
	}
}

func (s sample) named(name string) sample { s.name = name; return s }

func (s sample) endsOpen(n int) sample { s.open = n; return s }

// payloadOf cuts the payload out of one frame.
func payloadOf(frame []byte) []byte {
	n := int(binary.LittleEndian.Uint32(frame[12:]))
	return frame[wire.HeaderSize : wire.HeaderSize+n]
}

// These give Append and Parse functions with a parameter more one shape.
func appendText(dst []byte, s string) []byte { return wire.AppendText(dst, wire.CmdUnsubscribe, s) }
func appendInt32(dst []byte, v int32) []byte { return wire.AppendInt32Frame(dst, wire.CmdSetState, v) }
func parseHubFound(p []byte) (string, error) { return wire.ParseHubFound(p), nil }

type changeObject struct {
	wire.ChangeObjectData
	Rest []byte
}

func appendChangeObject(dst []byte, c changeObject) []byte {
	return append(wire.AppendChangeObject(dst, c.ChangeObjectData), c.Rest...)
}

func parseChangeObject(p []byte) (changeObject, error) {
	c, rest, err := wire.ParseChangeObject(p)
	return changeObject{c, rest}, err
}

var samples = []sample{
	command("\xF9\xFF\xFF\xFF", wire.AppendUniqueClientID, wire.ParseUniqueClientID,
		wire.UniqueClientID{ID: 0x90000001, Handle: 1},
		"\x01\x00\x00\x90\x01\x00\x00\x00").named("uniqueClientID"),
	command("\xF8\xFF\xFF\xFF", wire.AppendTimeStamp, wire.ParseTimeStamp,
		wire.TimeStamp{Time: -2, Tick: 258, TickDelta: -1},
		"\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02\x01\x00\x00\xFF\xFF\xFF\xFF").named("timeStamp"),
	command("\xF1\xFF\xFF\xFF", wire.AppendEvent, wire.ParseEvent,
		wire.Event{ID: 3, Tick: 4, Kind: wire.NormalEvent, Flags: wire.Priority, Data: []byte("abc")},
		"\x03\x00\x00\x00\x04\x00\x00\x00\x05\x01\x00\x00abc").named("event").endsOpen(3),
	command("\xF1\xFF\xFF\xFF", wire.AppendEvent, wire.ParseEvent,
		wire.Event{ID: -1, Tick: -1, Kind: 250, Flags: 0xFFFFFF00, Data: []byte{}},
		"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFA\xFF\xFF\xFF").named("event of an unknown kind, reserved flags, no data"),
	command("\xE1\xFF\xFF\xFF", wire.AppendSetClientInfo, wire.ParseSetClientInfo,
		wire.SetClientInfo{OwnerID: 123, OwnerName: "my name"},
		"\x7B\x00\x00\x00\x07\x00\x00\x00my name").named("setClientInfo"),
	command("\xE0\xFF\xFF\xFF", wire.AppendSetVariable, wire.ParseSetVariable,
		wire.Variable{Name: "n", Value: []byte{0, 1}},
		"\x01\x00\x00\x00n\x02\x00\x00\x00\x00\x01").named("setVariable"),
	command("\xE0\xFF\xFF\xFF", wire.AppendSetVariable, wire.ParseSetVariable,
		wire.Variable{Name: "removed", Value: []byte{}},
		"\x07\x00\x00\x00removed\x00\x00\x00\x00").named("setVariable without a value"),
	command("\xDB\xFF\xFF\xFF", wire.AppendSetVariablePrefixed, wire.ParseSetVariablePrefixed,
		wire.PrefixedVariable{Prefix: wire.PrefixClientHandle, Variable: wire.Variable{Name: "ab", Value: []byte("v")}},
		"\x01\x00\x00\x00\x02\x00\x00\x00ab\x01\x00\x00\x00v").named("setVariablePrefixed"),
	command("\xD7\xFF\xFF\xFF", wire.AppendRequestEventNames, wire.ParseRequestEventNames,
		wire.EventNamesRequest{Filter: "f.*", Bits: wire.EventNamesPublishers | wire.EventNamesTimers},
		"\x03\x00\x00\x00f.*\x05\x00\x00\x00").named("requestEventNames"),
	command("\xD6\xFF\xFF\xFF", wire.AppendEventNames, wire.ParseEventNames,
		[]wire.EventName{{Name: "a", Publishers: 1, Subscribers: 2, Timers: 3}, {}},
		"\x02\x00\x00\x00"+
			"\x01\x00\x00\x00a\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00"+
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00").named("eventNames"),
	command("\xD6\xFF\xFF\xFF", wire.AppendEventNames, wire.ParseEventNames,
		[]wire.EventName{}, "\x00\x00\x00\x00").named("eventNames without a name"),
	command("\xD3\xFF\xFF\xFF", wire.AppendSubscribe, wire.ParseEventRef,
		wire.EventRef{ID: 0, Name: "my federation.my event"},
		"\x00\x00\x00\x00\x00\x00\x00\x00\x16\x00\x00\x00my federation.my event").named("subscribe"),
	command("\xD1\xFF\xFF\xFF", wire.AppendPublish, wire.ParseEventRef,
		wire.EventRef{ID: 1, EntryType: 2, Name: "caf\xE9"}, // Latin-1, as old clients send it
		"\x01\x00\x00\x00\x02\x00\x00\x00\x04\x00\x00\x00caf\xE9").named("publish"),
	command("\xD2\xFF\xFF\xFF", appendText, wire.ParseText, "naïve", "\x06\x00\x00\x00naïve").named("unsubscribe"),
	command("\xD2\xFF\xFF\xFF", appendText, wire.ParseText, "", "\x00\x00\x00\x00").named("unsubscribe without a name"),
	command("\xDE\xFF\xFF\xFF", appendInt32, wire.ParseInt32, 100, "\x64\x00\x00\x00").named("setState"),
	command("\xCF\xFF\xFF\xFF", wire.AppendSetEventIDTranslation, wire.ParseSetEventIDTranslation,
		wire.Translation{HubID: 5, ClientID: -1},
		"\x05\x00\x00\x00\xFF\xFF\xFF\xFF").named("setEventIDTranslation"),
	command("\xB7\xFF\xFF\xFF", wire.AppendCreateTimer, wire.ParseCreateTimer,
		wire.CreateTimer{EventID: 1, Name: "t", StartTime: 1 << 32, ResolutionMS: 1000, SpeedFactor: 1.5, RepeatCount: wire.RepeatForever},
		"\x01\x00\x00\x00\x01\x00\x00\x00t\x00\x00\x00\x00\x01\x00\x00\x00\xE8\x03\x00\x00"+
			"\x00\x00\x00\x00\x00\x00\xF8\x3F\xFF\xFF\xFF\x7F").named("createTimer"),
	command("\xAE\xFF\xFF\xFF", wire.AppendHubFound, parseHubFound,
		"tcp://host:4000", "tcp://host:4000").named("HUBFound").endsOpen(15),
	command("\xC8\xFF\xFF\xFF", wire.AppendStatusHub, wire.ParseStatusHub,
		wire.StatusHub{Commands: 1, Bytes: -1},
		"\x01\x00\x00\x00\xFF\xFF\xFF\xFF").named("statusHUB"),
	command("\xCB\xFF\xFF\xFF", wire.AppendStatusClient, wire.ParseStatusClient,
		wire.StatusClient{Handle: 1, HeartBeat: 2, WrittenCommands: 3, WrittenBytes: 4, ReadCommands: 5, ReadBytes: 6,
			State: 7, QueueLength: 8, MaxQueueLength: 9},
		"\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\x00\x00\x00"+
			"\x06\x00\x00\x00\x07\x00\x00\x00\x08\x00\x00\x00\x09\x00\x00\x00").named("statusClient"),
	command("\xC9\xFF\xFF\xFF", wire.AppendStatusClientPlus, wire.ParseStatusClientPlus,
		wire.StatusClientPlus{Handle: 1, OwnerID: 2, OwnerName: "o", URI: "u", IsServer: true, Throttle: 3},
		"\x01\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00o\x01\x00\x00\x00u\x01\x00\x03\x00\x00\x00").named("statusClientPlus"),
	command("\xCA\xFF\xFF\xFF", wire.AppendStatusEventPlus, wire.ParseStatusEventPlus,
		wire.StatusEventPlus{EventID: 1, Name: "e", Subscribers: []int32{2, 3}, Publishers: []int32{}},
		"\x01\x00\x00\x00\x01\x00\x00\x00e\x02\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00").named("statusEventPlus"),

	data(appendChangeObject, parseChangeObject,
		changeObject{wire.ChangeObjectData{Action: wire.ActionChange, ObjectID: 42, Attribute: "attr"}, []byte{}},
		"\x02\x00\x00\x00\x2A\x00\x00\x00\x04\x00\x00\x00attr").named("changeObject"),
	data(appendChangeObject, parseChangeObject,
		changeObject{wire.ChangeObjectData{Action: wire.ActionDelete, ObjectID: -1}, []byte("more")},
		"\x01\x00\x00\x00\xFF\xFF\xFF\xFF\x00\x00\x00\x00more").named("changeObjectData").endsOpen(4),
	data(wire.AppendStreamStart, wire.ParseStreamStart,
		wire.StreamStart{StreamID: 0x5597F5E5, Name: "test.bin"},
		"\xE5\xF5\x97\x55\x08\x00\x00\x00test.bin").named("streamHeader"),
	data(wire.AppendStreamChunk, wire.ParseStreamChunk,
		wire.StreamChunk{StreamID: -2, Bytes: []byte("body")},
		"\xFE\xFF\xFF\xFFbody").named("streamBody").endsOpen(4),
	data(wire.AppendStreamChunk, wire.ParseStreamChunk,
		wire.StreamChunk{StreamID: 9, Bytes: []byte{}}, "\x09\x00\x00\x00").named("streamTail without bytes"),
	data(wire.AppendBuffer, wire.ParseBuffer,
		wire.BufferData{BufferID: 8, Bytes: []byte{1, 2, 3}},
		"\x08\x00\x00\x00\x03\x00\x00\x00\x01\x02\x03").named("buffer"),
	data(wire.AppendLogLine, wire.ParseLogLine,
		wire.LogLine{ClientID: 0x10000001, Line: "hi", Level: -1},
		"\x01\x00\x00\x10\x02\x00\x00\x00hi\xFF\xFF\xFF\xFF").named("logWriteLn"),
	data(wire.AppendTimerAcknowledger, wire.ParseTimerAcknowledger,
		wire.TimerAcknowledger{Timer: "t", Client: "cl"},
		"\x01\x00\x00\x00t\x02\x00\x00\x00cl").named("timerAcknowledgedListAdd"),
	data(wire.AppendTimerSpeed, wire.ParseTimerSpeed,
		wire.TimerSpeed{Timer: "t", Factor: -2},
		"\x01\x00\x00\x00t\x00\x00\x00\x00\x00\x00\x00\xC0").named("timerSetSpeed"),
	data(wire.AppendTimerTick, wire.ParseTimerTick,
		wire.TimerTickData{Timer: "t", Tick: 1, TickTime: 2, StartTime: math.MinInt64},
		"\x01\x00\x00\x00t\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80").named("timerTick"),
	data(wire.AppendTimerAcknowledgement, wire.ParseTimerAcknowledgement,
		wire.TimerAcknowledgement{Client: "cl", Timer: "t", ProposedTimeStep: 500},
		"\x02\x00\x00\x00cl\x01\x00\x00\x00t\xF4\x01\x00\x00").named("timerAcknowledge"),
	data(wire.AppendFocus, wire.ParseFocus,
		wire.FocusData{X: 1.5, Y: -2},
		"\x00\x00\x00\x00\x00\x00\xF8\x3F\x00\x00\x00\x00\x00\x00\x00\xC0").named("focus"),
	data(wire.AppendModelStatus, wire.ParseModelStatus,
		wire.ModelStatus{State: wire.ModelCalculating, Progress: 50},
		"\x01\x00\x00\x00\x32\x00\x00\x00").named("model status"),
}

func TestPayloads(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			if got := s.encode(); string(got) != s.whole {
				t.Errorf("encoded to %q, want %q", got, s.whole)
			}
			got, again, err := s.decode([]byte(s.bytes))
			if err != nil {
				t.Fatalf("decoding %q: %v", s.bytes, err)
			}
			if diff := cmp.Diff(s.value, got); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
			if string(again) != s.bytes {
				t.Errorf("encoded again to %q, want %q", again, s.bytes)
			}
		})
	}
}

func TestPayloadsTruncatedOrTooLong(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			for n := range len(s.bytes) - s.open {
				if _, _, err := s.decode([]byte(s.bytes)[:n]); !errors.Is(err, wire.ErrMalformed) {
					t.Errorf("the first %d of %d bytes: error %v, want ErrMalformed", n, len(s.bytes), err)
				}
			}
			_, again, err := s.decode([]byte(s.bytes + "\x00"))
			switch {
			case err != nil && !errors.Is(err, wire.ErrMalformed):
				t.Errorf("a byte more: error %v, want ErrMalformed", err)
			case err == nil && string(again) != s.bytes+"\x00":
				t.Errorf("a byte more was lost: %q", again)
			}
		})
	}
}

// TestPayloadsLie puts a length or count that cannot be true at every place.
func TestPayloadsLie(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			for _, lie := range []uint32{math.MaxUint32, math.MaxInt32, 1 << 31, wire.MaxPayload, uint32(len(s.bytes))} {
				for at := range max(0, len(s.bytes)-3) {
					p := []byte(s.bytes)
					binary.LittleEndian.PutUint32(p[at:], lie)
					_, again, err := s.decode(p)
					switch {
					case err != nil && !errors.Is(err, wire.ErrMalformed):
						t.Errorf("%d at byte %d: error %v, want ErrMalformed", lie, at, err)
					case err == nil && !bytes.Equal(again, p):
						t.Errorf("%d at byte %d: %q became %q", lie, at, p, again)
					}
				}
			}
		})
	}
}

func TestEventNamesCountLies(t *testing.T) {
	for _, count := range []uint32{2, 1000, wire.MaxPayload, math.MaxInt32, math.MaxUint32} {
		p := binary.LittleEndian.AppendUint32(nil, count)
		p = append(p, make([]byte, 16)...) // one name
		var err error
		if got := allocated(4<<10, func() { _, err = wire.ParseEventNames(p) }); got > 4<<10 {
			t.Errorf("count %d: %d bytes allocated", count, got)
		}
		if !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("count %d: error %v, want ErrMalformed", count, err)
		}
	}
}

func TestStatusEventPlusCountLies(t *testing.T) {
	for _, count := range []uint32{2, 1000, wire.MaxPayload, math.MaxInt32, math.MaxUint32} {
		p := append(make([]byte, 8), binary.LittleEndian.AppendUint32(nil, count)...) // of subscribers
		p = append(p, make([]byte, 4)...)                                             // one
		var err error
		if got := allocated(4<<10, func() { _, err = wire.ParseStatusEventPlus(p) }); got > 4<<10 {
			t.Errorf("count %d: %d bytes allocated", count, got)
		}
		if !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("count %d: error %v, want ErrMalformed", count, err)
		}
	}
}

func TestErrorsSayWhat(t *testing.T) {
	_, err := wire.ParseSetClientInfo([]byte("\x01\x00\x00\x00\x09\x00\x00\x00abc"))
	const want = "setClientInfo: malformed IMB payload: a string needs 9 bytes, 3 left"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestDecodeDoesNotCopy: the hot path of a receiver allocates nothing.
func TestDecodeDoesNotCopy(t *testing.T) {
	chunk := wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: 1, Bytes: make([]byte, 1000)})
	payload := payloadOf(wire.AppendEvent(nil, wire.Event{Kind: wire.StreamBody, Data: chunk}))
	allocs := testing.AllocsPerRun(100, func() {
		event, err := wire.ParseEvent(payload)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.ParseStreamChunk(event.Data); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	event, _ := wire.ParseEvent(payload)
	if &event.Data[0] != &payload[wire.EventHeaderSize] {
		t.Error("the data is a copy")
	}
	// What a caller appends to a part must not overwrite what follows it.
	d := wire.NewDecoder([]byte("\x01\x00\x00\x00a\x01\x00\x00\x00b"))
	_ = append(d.Bytes(), "????"...)
	if next := d.String(); next != "b" {
		t.Errorf("the next part became %q", next)
	}
}

// allocated returns how many bytes of heap run allocates, in all. What the runtime
// allocates at the same time counts as well: above the limit it is tried again, a few
// times, and the least counts.
func allocated(limit uint64, run func()) uint64 {
	least := uint64(math.MaxUint64)
	for try := 0; try < 5 && least > limit; try++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		run()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

func TestDecoder(t *testing.T) {
	p := slices.Concat(
		wire.AppendInt32(nil, -5), wire.AppendUint32(nil, 0xFFFFFFFB), wire.AppendInt64(nil, -6),
		wire.AppendFloat64(nil, 0.5), wire.AppendBool(nil, true), wire.AppendBool(nil, false), wire.AppendString(nil, "text"), wire.AppendString(nil, []byte{9}), []byte("rest"))
	d := wire.NewDecoder(p)
	type fields struct {
		Int32   int32
		Uint32  uint32
		Int64   int64
		Float64 float64
		True    bool
		False   bool
		String  string
		Bytes   []byte
	}
	got := fields{d.Int32(), d.Uint32(), d.Int64(), d.Float64(), d.Bool(), d.Bool(), d.String(), d.Bytes()}
	want := fields{-5, 0xFFFFFFFB, -6, 0.5, true, false, "text", []byte{9}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if err := d.Err(); err != nil {
		t.Errorf("Err = %v before the end", err)
	}
	if err := d.End(); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("End = %v with bytes left, want ErrMalformed", err)
	}
	if rest := d.Rest(); string(rest) != "rest" {
		t.Errorf("Rest = %q", rest)
	}
	if err := d.End(); err != nil {
		t.Errorf("End = %v after Rest", err)
	}
}

// TestDecoderKeepsFirstError: after an error nothing is read any more, even
// when it would fit.
func TestDecoderKeepsFirstError(t *testing.T) {
	broken := map[string]struct {
		payload string
		read    func(*wire.Decoder)
	}{
		"int32":           {"abc", func(d *wire.Decoder) { d.Int32() }},
		"uint32":          {"", func(d *wire.Decoder) { d.Uint32() }},
		"int64":           {"1234567", func(d *wire.Decoder) { d.Int64() }},
		"float64":         {"1234567", func(d *wire.Decoder) { d.Float64() }},
		"bool":            {"", func(d *wire.Decoder) { d.Bool() }},
		"bool that is 2":  {"\x02\x01", func(d *wire.Decoder) { d.Bool() }},
		"no length":       {"\x01\x00\x00", func(d *wire.Decoder) { d.Bytes() }},
		"length too big":  {"\x06\x00\x00\x0012345", func(d *wire.Decoder) { d.Bytes() }},
		"length -1":       {"\xFF\xFF\xFF\xFF12345", func(d *wire.Decoder) { _ = d.String() }},
		"length MinInt32": {"\x00\x00\x00\x8012345", func(d *wire.Decoder) { _ = d.String() }},
		"length MaxInt32": {"\xFF\xFF\xFF\x7F12345", func(d *wire.Decoder) { d.Bytes() }},
	}
	for name, tt := range broken {
		t.Run(name, func(t *testing.T) {
			d := wire.NewDecoder([]byte(tt.payload))
			tt.read(&d)
			first := d.Err()
			if !errors.Is(first, wire.ErrMalformed) {
				t.Fatalf("Err = %v, want ErrMalformed", first)
			}
			if d.Int32() != 0 || d.Uint32() != 0 || d.Int64() != 0 || d.Float64() != 0 || d.Bool() || d.String() != "" || len(d.Bytes()) != 0 || len(d.Rest()) != 0 {
				t.Error("a read after the error gave a value")
			}
			if d.Err() != first || d.End() != first {
				t.Errorf("the error became %v", d.Err())
			}
		})
	}
}
