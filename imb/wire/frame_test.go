package wire_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb/wire"
)

const (
	startMagic = "\x2F\x47\x61\x71\x95\xAD\xC5\xFB"
	endMagic   = "\x67\x34\xF1\x10"
)

// handFrame builds a frame from its parts with nothing of the package.
func handFrame(code, payload string) string {
	n := len(payload)
	size := string([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	if n == 0 {
		return startMagic + code + size
	}
	return startMagic + code + size + payload + endMagic
}

func TestAppendFrame(t *testing.T) {
	tests := map[string]struct {
		command wire.Command
		payload string
		want    string
	}{
		"payload": {
			wire.CmdUnsubscribe, "\x01\x00\x00\x00a",
			"\x2F\x47\x61\x71\x95\xAD\xC5\xFB" + "\xD2\xFF\xFF\xFF" + "\x05\x00\x00\x00" + "\x01\x00\x00\x00a" + "\x67\x34\xF1\x10",
		},
		"no payload, no end magic": {
			wire.CmdHeartBeat, "",
			"\x2F\x47\x61\x71\x95\xAD\xC5\xFB" + "\xFC\xFF\xFF\xFF" + "\x00\x00\x00\x00",
		},
		"size above one byte": {
			-1000, string(make([]byte, 0x10203)),
			"\x2F\x47\x61\x71\x95\xAD\xC5\xFB" + "\x18\xFC\xFF\xFF" + "\x03\x02\x01\x00" + string(make([]byte, 0x10203)) + "\x67\x34\xF1\x10",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := wire.AppendFrame(nil, tt.command, []byte(tt.payload)); string(got) != tt.want {
				t.Errorf("AppendFrame = %q, want %q", clip(got), clip([]byte(tt.want)))
			}
			if got := wire.FrameSize(len(tt.payload)); got != len(tt.want) {
				t.Errorf("FrameSize(%d) = %d, want %d", len(tt.payload), got, len(tt.want))
			}
			second := wire.AppendFrame([]byte("before"), tt.command, []byte(tt.payload))
			if string(second) != "before"+tt.want {
				t.Errorf("appended to other bytes: %q", clip(second))
			}
		})
	}
}

// clip keeps failure messages readable.
func clip(p []byte) []byte { return p[:min(len(p), 100)] }

func TestPatchEventID(t *testing.T) {
	event := wire.Event{ID: 7, Tick: 3, Kind: wire.NormalEvent, Flags: wire.Priority, Data: []byte("data")}
	frame := wire.AppendEvent(nil, event)
	if got := wire.EventID(frame[wire.HeaderSize:]); got != 7 {
		t.Errorf("EventID = %d, want 7", got)
	}
	if got := wire.EventKind(frame[wire.HeaderSize:]); got != wire.NormalEvent {
		t.Errorf("EventKind = %v, want %v", got, wire.NormalEvent)
	}
	wire.PatchEventID(frame, -2)
	event.ID = -2
	if want := wire.AppendEvent(nil, event); !bytes.Equal(frame, want) {
		t.Errorf("patched frame is %q, want %q", frame, want)
	}
}

func TestPatchLogClientID(t *testing.T) {
	data := wire.AppendLogLine(nil, wire.LogLine{Line: "line", Level: 2})
	wire.PatchLogClientID(data, 0xFEDCBA98)
	got, err := wire.ParseLogLine(data)
	if err != nil {
		t.Fatal(err)
	}
	want := wire.LogLine{ClientID: 0xFEDCBA98, Line: "line", Level: 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("patched line (-want +got):\n%s", diff)
	}

	short := []byte("abc")
	wire.PatchLogClientID(short, 1)
	if string(short) != "abc" {
		t.Errorf("too short data became %q", short)
	}
}
