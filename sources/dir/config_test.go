package dir

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"imbrouter/router"
	"imbrouter/router/config"
)

// noSink is a sink for configurations that are only checked.
type noSink struct{}

func (*noSink) Check(*config.Check)                   {}
func (*noSink) Traffic() config.Traffic               { return config.Traffic{} }
func (*noSink) Build(router.Env) (router.Sink, error) { return nil, errors.ErrUnsupported }

func parse(t *testing.T, table string) (*Config, error) {
	t.Helper()
	kinds := config.Kinds{
		Sources: map[string]func() config.Source{"dir": func() config.Source { return NewConfig() }},
		Sinks:   map[string]func() config.Sink{"none": func() config.Sink { return &noSink{} }},
	}
	text := "[sources.outbox]\ntype = \"dir\"\n" + table + `
[sinks.none]
type = "none"
[routes.send]
from = ["outbox"]
to = ["none"]
`
	c, err := config.Parse(filepath.Join(t.TempDir(), "test.toml"), []byte(text), kinds)
	if err != nil {
		return nil, err
	}
	return c.Sources["outbox"].(*Config), nil
}

func TestConfigOfTheReference(t *testing.T) {
	got, err := parse(t, `
path = "drop"
include = ["**/*.csv"]
exclude = ["*.tmp", "*.part"]
recursive = false
settle = "2s"
watch = "poll"
poll_interval = "5s"
rescan = "1m"
after = "keep"
parallel = 9
max_attempts = 3
sent_max_age = "720h"
sent_max_size = "10GiB"
failed_max_age = "2160h"
failed_max_size = "1GiB"
`)
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(got.Path) || filepath.Base(got.Path) != "drop" {
		t.Errorf("path %q", got.Path)
	}
	if traffic := got.Traffic(); traffic.Folder != got.Path || traffic.Events != nil {
		t.Errorf("traffic %+v", traffic)
	}
	want := &Config{
		Path: got.Path, Include: []string{"**/*.csv"}, Exclude: []string{"*.tmp", "*.part"},
		Settle: 2e9, Watch: "poll", PollInterval: 5e9, Rescan: 60e9, After: "keep", Parallel: 9, MaxAttempts: 3,
		SentMaxAge: config.Duration(720 * time.Hour), SentMaxSize: 10 << 30,
		FailedMaxAge: config.Duration(2160 * time.Hour), FailedMaxSize: 1 << 30,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Error(diff)
	}
}

func TestConfigDefaults(t *testing.T) {
	got, err := parse(t, `path = "drop"`)
	if err != nil {
		t.Fatal(err)
	}
	want := NewConfig()
	want.Path = got.Path
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Error(diff)
	}
}

func TestConfigErrors(t *testing.T) {
	for table, want := range map[string]string{
		``:                       `"path"`,
		`path = ""`:              `path: must not be empty`,
		`path = "~/drop"`:        `path: "~/drop": ~ is not replaced here`,
		`include = []`:           `include: is empty, which sends nothing`,
		`include = ["ok", "[a"]`: `include: "[a" is no pattern`,
		`exclude = ["{a"]`:       `exclude: "{a" is no pattern`,
		`settle = "-1s"`:         `settle: must be at least 0s`,
		`watch = "fsevents"`:     `watch: "fsevents" is not known`,
		`poll_interval = "1ms"`:  `poll_interval: must be at least 100ms`,
		`rescan = "0s"`:          `rescan: must be at least 1s`,
		`after = "mve"`:          `did you mean "move"`,
		`parallel = 0`:           `parallel: must be from 1 to 64`,
		`parallel = 1000000000`:  `parallel: must be from 1 to 64`,
		`max_attempts = 0`:       `max_attempts: must be from 1 to 1000000`,
		`sent_max_age = "-1h"`:   `sent_max_age: must not be negative; "0s" turns it off`,
		`failed_max_age = "-1h"`: `failed_max_age: must not be negative`,
		`sent_max_size = 5`:      `sent_max_size`,
		`recursive = "yes"`:      `recursive`,
		`settle_time = "1s"`:     `settle_time`,
	} {
		if !strings.Contains(table, "path") && table != "" {
			table += "\npath = \"drop\""
		}
		_, err := parse(t, table)
		var problems config.Errors
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", table, err, want)
		}
	}
}

// TestTraffic tells what the source reads below its folder, and which folders there
// are its own.
func TestTraffic(t *testing.T) {
	for _, test := range []struct {
		table, below string
		reads        bool
	}{
		{"", "a", true},
		{"", "a/b/c", true},
		{"", "a/sent", true},
		{"", "sent", false},
		{"", "failed/a", false},
		{"", ".imbrouter/staged", false},
		{"", "a/.hidden/b", false},
		{"recursive = false", "a", false},
		{`exclude = ["b"]`, "a/b/c", false},
		{`exclude = ["a/*"]`, "a/b", false},
		{`exclude = ["a/*"]`, "b/a", true},
	} {
		c, err := parse(t, "path = \"drop\"\n"+test.table)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Traffic().Reads(test.below); got != test.reads {
			t.Errorf("with %q, reads %q: %v", test.table, test.below, got)
		}
	}
	want := []string{"failed", "sent"} // whatever is moved there: it may be another day
	for _, after := range []string{"move", "delete", "keep"} {
		c, err := parse(t, "path = \"drop\"\nafter = \""+after+"\"")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, folder := range c.Traffic().Moved {
			rel, err := filepath.Rel(c.Path, folder)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, rel)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
			t.Errorf("after = %q (-want +got)\n%s", after, diff)
		}
	}
}
