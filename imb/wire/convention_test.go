package wire_test

import (
	"testing"

	"imbrouter/imb/wire"
)

var modelStatusNames = []struct {
	name  string
	id    uint32
	model string
	ok    bool
}{
	{"10000001demo.traffic|ModelStatus", 0x10000001, "demo.traffic", true},
	{"FFFFFFFF|ModelStatus", 0xFFFFFFFF, "", true},
	{"abcdef01a|b|ModelStatus", 0xABCDEF01, "a|b", true},
	{"1000000|ModelStatus", 0, "", false},
	{"1000000gdemo.traffic|ModelStatus", 0, "", false},
	{"+1000000demo.traffic|ModelStatus", 0, "", false},
	{"10000001demo.traffic|Modelstatus", 0, "", false},
	{"10000001demo.traffic", 0, "", false},
	{"|ModelStatus", 0, "", false},
	{"", 0, "", false},
}

func TestModelStatusName(t *testing.T) {
	for _, tt := range modelStatusNames {
		if id, model, ok := wire.ParseModelStatusName(tt.name); id != tt.id || model != tt.model || ok != tt.ok {
			t.Errorf("%q is %08X, %q, %t; want %08X, %q, %t", tt.name, id, model, ok, tt.id, tt.model, tt.ok)
		}
	}
	if got, want := wire.VariablePrefix(0xBEEF)+wire.ModelStatusName("demo.traffic"), "0000BEEFdemo.traffic|ModelStatus"; got != want {
		t.Errorf("the variable is called %q, want %q", got, want)
	}
}

func TestModelStateNames(t *testing.T) {
	for state, want := range map[wire.ModelState]string{0: "ready", 1: "calculating", 2: "busy", -3: "-3"} {
		if got := state.String(); got != want {
			t.Errorf("state %d is called %q, want %q", int32(state), got, want)
		}
	}
}
