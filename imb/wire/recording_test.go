package wire_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb/wire"
)

// The bodies of the three streams in the recorded conversation.
var (
	testBin  = strings.Repeat(countTo255(), 51200/256)
	exactBin = strings.Repeat("x", 32768)
)

func countTo255() string {
	p := make([]byte, 256)
	for i := range p {
		p[i] = byte(i)
	}
	return string(p)
}

const myEvent = "my federation.my event"

// described is a frame with its payload decoded, down to an event's data.
type described struct {
	Command wire.Command
	Payload any
}

// signals is what goes to the hub as events and comes back as the same events:
// client id and hub id are both 0.
func signals() []described {
	event := func(kind wire.Kind, data any) described {
		return described{wire.CmdEvent, event{Kind: kind, Data: data}}
	}
	signals := []described{
		event(wire.NormalEvent, "This string is sent"),
		event(wire.NormalEvent, "héllo wörld"),
		event(wire.ChangeObject, wire.ChangeObjectData{Action: wire.ActionChange, ObjectID: 42, Attribute: "attr"}),
	}
	stream := func(id int32, name string, parts ...string) {
		signals = append(signals, event(wire.StreamHeader, wire.StreamStart{StreamID: id, Name: name}))
		for i, part := range parts {
			kind := wire.StreamBody
			if i == len(parts)-1 {
				kind = wire.StreamTail
			}
			signals = append(signals, event(kind, wire.StreamChunk{StreamID: id, Bytes: []byte(part)}))
		}
	}
	const chunk = 16384
	stream(0x5597F5E5, "test.bin", testBin[:chunk], testBin[chunk:2*chunk], testBin[2*chunk:3*chunk], testBin[3*chunk:])
	stream(0x0BDFD4E6, "exact.bin", exactBin[:chunk], exactBin[chunk:], "")
	stream(0x75446D16, "empty.bin", "")
	return signals
}

// event is a wire.Event with its data decoded.
type event struct {
	ID, Tick int32
	Kind     wire.Kind
	Flags    wire.Flags
	Data     any
}

var conversations = map[string][]described{
	"client": concat(
		described{wire.CmdSetClientInfo, wire.SetClientInfo{OwnerID: 123, OwnerName: "my name"}},
		described{wire.CmdUniqueClientID, wire.UniqueClientID{}}, // a request
		described{wire.CmdSubscribe, wire.EventRef{ID: 0, Name: myEvent}},
		described{wire.CmdPublish, wire.EventRef{ID: 0, Name: myEvent}},
		signals(),
		described{wire.CmdUnpublish, myEvent},
		described{wire.CmdUnsubscribe, myEvent},
	),
	"hub": concat(
		described{wire.CmdUniqueClientID, wire.UniqueClientID{ID: 1001, Handle: 1}}, // the greeting
		described{wire.CmdUniqueClientID, wire.UniqueClientID{ID: 1001, Handle: 1}}, // the answer
		described{wire.CmdSetEventIDTranslation, wire.Translation{HubID: 0, ClientID: 0}},
		signals(),
		described{wire.CmdSetEventIDTranslation, wire.Translation{HubID: 0, ClientID: -1}},
	),
}

// concat joins frames and slices of frames.
func concat(parts ...any) (all []described) {
	for _, part := range parts {
		switch part := part.(type) {
		case described:
			all = append(all, part)
		case []described:
			all = append(all, part...)
		}
	}
	return all
}

func TestRecordingDecodes(t *testing.T) {
	ways := map[string]func(io.Reader) io.Reader{
		"at once":      func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
		"half":         iotest.HalfReader,
	}
	for side, want := range conversations {
		for name, way := range ways {
			t.Run(side+" "+name, func(t *testing.T) {
				r := wire.NewReader(way(bytes.NewReader(recording(t, side))))
				var got []described
				f, err := r.Next()
				for ; err == nil; f, err = r.Next() {
					got = append(got, describe(t, f))
				}
				if err != io.EOF {
					t.Errorf("ended with %v", err)
				}
				if !reflect.DeepEqual(want, got) { // much faster than cmp
					t.Errorf("conversation (-want +got):\n%s", cmp.Diff(want, got))
				}
				if got := r.Stats(); got != (wire.Stats{Frames: uint64(len(want))}) {
					t.Errorf("counts %+v for %d frames in good order", got, len(want))
				}
			})
		}
	}
}

// describe decodes a frame, and copies what is part of the reader's buffer.
func describe(t *testing.T, f wire.Frame) described {
	t.Helper()
	p := bytes.Clone(f.Payload)
	var v any
	var err error
	switch f.Command {
	case wire.CmdSetClientInfo:
		v, err = wire.ParseSetClientInfo(p)
	case wire.CmdUniqueClientID:
		v, err = wire.ParseUniqueClientID(p)
	case wire.CmdSubscribe, wire.CmdPublish:
		v, err = wire.ParseEventRef(p)
	case wire.CmdUnsubscribe, wire.CmdUnpublish:
		v, err = wire.ParseText(p)
	case wire.CmdSetEventIDTranslation:
		v, err = wire.ParseSetEventIDTranslation(p)
	case wire.CmdEvent:
		var e wire.Event
		if e, err = wire.ParseEvent(p); err == nil {
			d := event{ID: e.ID, Tick: e.Tick, Kind: e.Kind, Flags: e.Flags}
			d.Data, err = describeData(e)
			v = d
		}
	default:
		err = fmt.Errorf("not expected in this conversation")
	}
	if err != nil {
		t.Fatalf("%v %q: %v", f.Command, p, err)
	}
	return described{f.Command, v}
}

func describeData(e wire.Event) (any, error) {
	switch e.Kind {
	case wire.NormalEvent:
		return wire.ParseText(e.Data)
	case wire.ChangeObject:
		c, rest, err := wire.ParseChangeObject(e.Data)
		if len(rest) > 0 {
			err = fmt.Errorf("%d bytes left over", len(rest))
		}
		return c, err
	case wire.StreamHeader:
		return wire.ParseStreamStart(e.Data)
	case wire.StreamBody, wire.StreamTail:
		return wire.ParseStreamChunk(e.Data)
	}
	return nil, fmt.Errorf("kind %v", e.Kind)
}

// TestRecordingEncodes: the values give the recorded bytes, to the last one.
func TestRecordingEncodes(t *testing.T) {
	for side, frames := range conversations {
		t.Run(side, func(t *testing.T) {
			var got []byte
			for _, f := range frames {
				got = encode(t, got, f)
			}
			want := recording(t, side)
			if !bytes.Equal(got, want) {
				n := 0
				for n < min(len(got), len(want)) && got[n] == want[n] {
					n++
				}
				t.Errorf("%d bytes, want %d; they differ from byte %d on", len(got), len(want), n)
			}
		})
	}
}

func encode(t *testing.T, dst []byte, f described) []byte {
	switch v := f.Payload.(type) {
	case wire.SetClientInfo:
		return wire.AppendSetClientInfo(dst, v)
	case wire.UniqueClientID:
		return wire.AppendUniqueClientID(dst, v)
	case wire.EventRef:
		if f.Command == wire.CmdPublish {
			return wire.AppendPublish(dst, v)
		}
		return wire.AppendSubscribe(dst, v)
	case string:
		return wire.AppendText(dst, f.Command, v)
	case wire.Translation:
		return wire.AppendSetEventIDTranslation(dst, v)
	case event:
		return wire.AppendEvent(dst, wire.Event{ID: v.ID, Tick: v.Tick, Kind: v.Kind, Flags: v.Flags, Data: encodeData(t, v.Data)})
	}
	t.Fatalf("cannot encode %v", f.Command)
	return nil
}

func encodeData(t *testing.T, data any) []byte {
	switch v := data.(type) {
	case string:
		return wire.AppendString(nil, v)
	case wire.ChangeObjectData:
		return wire.AppendChangeObject(nil, v)
	case wire.StreamStart:
		return wire.AppendStreamStart(nil, v)
	case wire.StreamChunk:
		return wire.AppendStreamChunk(nil, v)
	}
	t.Fatalf("cannot encode data %T", data)
	return nil
}

// recording returns one side of the recorded conversation of the Python client.
func recording(t testing.TB, side string) []byte {
	t.Helper()
	p, err := os.ReadFile("../imbtest/testdata/pyimb." + side + ".bin")
	if err != nil {
		t.Fatal(err)
	}
	return p
}
