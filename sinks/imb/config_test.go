package imb_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imbrouter/router"
	"imbrouter/router/config"
	sink "imbrouter/sinks/imb"
	source "imbrouter/sources/imb"
)

// parse reads a configuration with table as that of a sink.
func parse(table string) (*config.Config, error) {
	return config.Parse("test.toml", []byte(`
[connections.local]
federation = "demo"
[sources.incoming]
type = "imb"
events = ["in"]
[sinks.hub]
type = "imb"
`+table+`
[routes.send]
from = ["incoming"]
to = ["hub"]
set.event = '"out"'
`), config.Kinds{
		Sources: map[string]func() config.Source{"imb": func() config.Source { return source.NewConfig() }},
		Sinks:   map[string]func() config.Sink{"imb": func() config.Sink { return sink.NewConfig() }},
	})
}

func TestConfig(t *testing.T) {
	for table, want := range map[string][]string{"": nil, `event = "files"`: {"demo.files"}} {
		cfg, err := parse(table)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(config.Traffic{Connection: "local", Events: want}, cfg.Sinks["hub"].Traffic()); diff != "" {
			t.Errorf("%q (-want +got)\n%s", table, diff)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for table, want := range map[string]string{
		`event = "files*"`:               `event: "files*" ends in "*"`,
		`event = "=demo.files"`:          `works in the events of a source only`,
		`event = "a\u0000b"`:             `holds a control character`,
		`chunk_size = "0B"`:              `chunk_size: must be from 1B to 10485744B`,
		`chunk_size = "10MiB"`:           `chunk_size: must be from 1B to 10485744B`,
		`queue = "7EiB"`:                 `queue: must be from 64KiB to 1GiB`,
		`max_events = 1000000000`:        `max_events: must be from 1 to 1000000`,
		`when_down = "wait"`:             `"wait" is not known`,
		"event = \"" + longName + "xy\"": `at most 1024 bytes long, this one has 1025`,
	} {
		if _, err := parse(table); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", table, err, want)
		}
	}
}

// longName has, with a federation, two bytes less than a name may have.
var longName = strings.Repeat("l", 1018)

// What the sink tells beforehand is under which name it publishes.
func TestTarget(t *testing.T) {
	for table, tests := range map[string][]struct {
		federation, event string
		redirected        bool
		want              string // "" for an error
	}{
		"": {
			{"far", "alarms", false, "demo.alarms"},
			{"far", "alarms", true, "far.alarms"},
			{"", "alarms", true, "alarms"},
			{"far", "", false, ""},
		},
		`event = "files"`: {
			{"far", "alarms", false, "demo.files"},
			{"far", "", true, "far.files"},
		},
	} {
		cfg, err := parse(table)
		if err != nil {
			t.Fatal(err)
		}
		part := cfg.Sinks["hub"].(config.Targeter)
		for _, test := range tests {
			signal := router.Signal{Federation: test.federation, Event: test.event, Redirected: test.redirected}
			stream := router.StreamInfo{Federation: test.federation, Event: test.event, Redirected: test.redirected}
			a, errA := part.SignalTarget(signal)
			b, errB := part.StreamTarget(stream)
			if test.want == "" {
				if !errors.Is(errA, router.ErrPermanent) || !errors.Is(errB, router.ErrPermanent) {
					t.Errorf("%q, %+v: %v, %v", table, test, errA, errB)
				}
				continue
			}
			if a != b || a.FullName() != test.want || errA != nil || errB != nil {
				t.Errorf("%q, %+v: %v, %v, %v, %v", table, test, a, b, errA, errB)
			}
		}
	}
}
