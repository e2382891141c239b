package imb_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
