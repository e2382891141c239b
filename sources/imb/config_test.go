package imb_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imbrouter/router/config"
	"imbrouter/sinks/log"
	"imbrouter/sources/imb"
)

// parse reads a configuration with table as that of a source.
func parse(table string) (*config.Config, error) {
	return config.Parse("test.toml", []byte(`
[connections.local]
federation = "demo"
[sources.incoming]
type = "imb"
`+table+`
[sinks.print]
type = "log"
[routes.show]
from = ["incoming"]
to = ["print"]
`), config.Kinds{
		Sources: map[string]func() config.Source{"imb": func() config.Source { return imb.NewConfig() }},
		Sinks:   map[string]func() config.Sink{"log": func() config.Sink { return log.NewConfig() }},
	})
}

func TestConfig(t *testing.T) {
	cfg, err := parse(`events = ["files", "alarms.*", "=bare", "=*"]` + "\nignore_relayed = true")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Traffic{
		Connection: "local", Events: []string{"demo.files", "demo.alarms.*", "bare", "*"}, IgnoreRelayed: true,
	}
	if diff := cmp.Diff(want, cfg.Sources["incoming"].Traffic()); diff != "" || len(cfg.Warnings) != 0 {
		t.Errorf("%v (-want +got)\n%s", cfg.Warnings, diff)
	}
}

func TestConfigErrors(t *testing.T) {
	for table, want := range map[string]string{
		``:                           `"events"`,
		`events = [""]`:              `events: an event needs a name`,
		`events = ["a*b"]`:           `can only stand at the end`,
		`events = ["a", "=Demo.A"]`:  `events: "Demo.A" is there already`,
		`queue = "7EiB"`:             `queue: must be from 64KiB to 1GiB`,
		`queue = "1KiB"`:             `queue: must be from 64KiB to 1GiB`,
		`max_streams = 1000000000`:   `max_streams: must be from 1 to 100000`,
		`parallel = 1000000000`:      `parallel: must be from 1 to 1000`,
		`parallel = 0`:               `parallel: must be from 1 to 1000`,
		`block_timeout = "0s"`:       `block_timeout: must be longer than 0s`,
		`stream_timeout = "-1s"`:     `stream_timeout: must be longer than 0s`,
		`connection = "elsewhere"`:   `there is no connection "elsewhere"`,
		`events = ["` + long + `x"]`: `at most 1024 bytes long`,
	} {
		if table != "" && !strings.Contains(table, "events") {
			table += "\nevents = [\"a\"]"
		}
		if _, err := parse(table); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", table, err, want)
		}
	}
}

var long = strings.Repeat("long.", 204)
