package wire_test

import (
	"strings"
	"testing"

	"imbrouter/imb/wire"
)

func TestNormalText(t *testing.T) {
	tests := []struct {
		data, want string
		ok         bool
	}{
		{"\x05\x00\x00\x00hello", "hello", true},
		{"\x00\x00\x00\x00", "", true},
		{"\x04\x00\x00\x00caf\xE9", "caf\xE9", true}, // a string of ANSI bytes
		{"plain", "plain", true},
		{"", "", true},
		{"\x05\x00\x00\x00hello, too long", "\x05\x00\x00\x00hello, too long", true},
		{"caf\xE9", "", false},
	}
	for _, tt := range tests {
		if got, ok := wire.NormalText([]byte(tt.data)); string(got) != tt.want || ok != tt.ok {
			t.Errorf("NormalText(%q) = %q, %t; want %q, %t", tt.data, got, ok, tt.want, tt.ok)
		}
	}
}

func TestDescribe(t *testing.T) {
	tests := []struct {
		kind wire.Kind
		data string
		want string
	}{
		{wire.NormalEvent, "\x05\x00\x00\x00a\"b\nc", `"a\"b\nc"`},
		{wire.NormalEvent, "\xFF\xFF", "2 bytes"},
		{wire.NormalEvent, strings.Repeat("a", 1030), `"` + strings.Repeat("a", 1024) + `" and 6 bytes more`},
		{wire.ChangeObject, "\x02\x00\x00\x00\x2A\x00\x00\x00\x04\x00\x00\x00attr", `change object 42 "attr"`},
		{wire.ChangeObjectWithData, "\x00\x00\x00\x00\x2A\x00\x00\x00\x00\x00\x00\x00abc", `new object 42 "" and 3 bytes`},
		{wire.ChangeObject, "\x02\x00", "2 bytes"},
		{wire.Buffer, "\x08\x00\x00\x00\x03\x00\x00\x00abc", "buffer 8, 3 bytes"},
		{wire.LogWriteLn, "\x01\x00\x00\x00\x02\x00\x00\x00hi\x03\x00\x00\x00", `client 00000001 level 3 "hi"`},
		{wire.StreamHeader, "\xE5\xF5\x97\x55\x08\x00\x00\x00test\x1B[1m", `stream 5597F5E5 "test\x1b[1m"`},
		{wire.StreamBody, "\xE5\xF5\x97\x55abc", "7 bytes"},
		{wire.TimerTick, "\x01\x00\x00\x00t\x07\x00\x00\x00" + strings.Repeat("\x00", 16), `timer "t" tick 7`},
		{wire.TimerStart, "\x01\x00\x00\x00t", `timer "t"`},
		{wire.TimerAcknowledgedListAdd, "\x01\x00\x00\x00t\x01\x00\x00\x00c", `timer "t" client "c"`},
		{wire.TimerSetSpeed, "\x01\x00\x00\x00t\x00\x00\x00\x00\x00\x00\xE0\x3F", `timer "t" speed 0.5`},
		{wire.TimerAcknowledge, "\x01\x00\x00\x00c\x01\x00\x00\x00t\x05\x00\x00\x00", `timer "t" client "c" step 5`},
		{200, "abc", "3 bytes"},
	}
	for _, tt := range tests {
		if got := wire.Describe(tt.kind, []byte(tt.data)); got != tt.want {
			t.Errorf("%v %q is told as %s, want %s", tt.kind, tt.data, got, tt.want)
		}
	}
}
