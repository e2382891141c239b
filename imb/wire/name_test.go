package wire_test

import (
	"testing"

	"imbrouter/imb/wire"
)

func TestMatchName(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"fed.alarm", "fed.alarm", true},
		{"fed.alarm", "FED.Alarm", true},
		{"fed.alarm", "fed.alarms", false},
		{"fed.*", "fed.alarm", true},
		{"Fed.*", "fed.alarm", true},
		{"fed.*", "fed.", true},
		{"fed.*", "fed", false},
		{"*", "", true},
		{"*", "anything", true},
		{"fed.*.x", "fed.alarm.x", false}, // a star elsewhere is a letter
		{"fed.*.x", "fed.*.x", true},
		{"É.*", "é.alarm", true},
		{"\u212A.*", "k.alarm", true}, // the Kelvin sign is a K, of another length
		{"caf\xe9", "caf\xe8", false}, // not UTF-8: other bytes, other names
		{"caf\xe9", "CAF\xe9", true},
	}
	for _, tt := range tests {
		if got := wire.MatchName(tt.pattern, tt.name); got != tt.want {
			t.Errorf("MatchName(%q, %q) = %t, want %t", tt.pattern, tt.name, got, tt.want)
		}
	}
}

func TestIsPrivate(t *testing.T) {
	for name, want := range map[string]bool{
		wire.FlushPrefix + "1":  true,
		wire.RelayPrefix + "1":  true,
		wire.RelayPrefix:        true,
		"IMBrouter.Relay.1":     true,
		"imbrouter.relay":       false,
		"imbrouter.status":      false,
		"fed.imbrouter.flush.1": false,
		"":                      false,
	} {
		if got := wire.IsPrivate(name); got != want {
			t.Errorf("IsPrivate(%q) = %t, want %t", name, got, want)
		}
	}
}
