package dir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imbrouter/router"
	"imbrouter/router/config"
)

// noSource makes a configuration complete.
type noSource struct{}

func (noSource) Check(*config.Check)                     {}
func (noSource) Traffic() config.Traffic                 { return config.Traffic{} }
func (noSource) Build(router.Env) (router.Source, error) { return nil, nil }

// parse reads a configuration in that folder, with table as that of the sink.
func parse(folder, table string) (*config.Config, error) {
	kinds := config.Kinds{
		Sources: map[string]func() config.Source{"none": func() config.Source { return new(noSource) }},
		Sinks:   map[string]func() config.Sink{"dir": func() config.Sink { return NewConfig() }},
	}
	text := "[sinks.inbox]\ntype = \"dir\"\n" + table + `
[sources.none]
type = "none"
[routes.all]
from = ["none"]
to = ["inbox"]
`
	return config.Parse(filepath.Join(folder, "router.toml"), []byte(text), kinds)
}

func TestConfig(t *testing.T) {
	folder := t.TempDir()
	parsed, err := parse(folder, `
path = "received"
filename = 'event + "/" + stream'
flatten = true
if_exists = "fail"
idle_timeout = "5s"
max_size = "1MiB"
min_free = "0B"
max_open = 3
incomplete = "remove"
incomplete_max_age = "24h"
incomplete_max_size = "10MiB"
received_max_age = "24h"
received_max_size = "10MiB"
`)
	if err != nil {
		t.Fatal(err)
	}
	part := parsed.Sinks["inbox"]
	path := filepath.Join(folder, "received")
	if got := part.Traffic(); got.Folder != path || got.Connection != "" || !got.Removes {
		t.Errorf("Traffic = %+v", got)
	}
	s, err := part.Build(router.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the folder was made before Open")
	}
	opener := s.(router.Opener)
	if err := opener.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := land(s, "a", []byte("x"), 1); err != nil {
		t.Error(err)
	}
	if err := opener.Close(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(path, "files%2Fa")); err != nil || string(got) != "x" {
		t.Errorf("landed %q, %v", got, err)
	}
}

func TestConfigErrors(t *testing.T) {
	tests := []struct{ table, want string }{
		{"", `"path"`},
		{"path = \"\"", "path"},
		{"path = \"a\"\nfilename = 'stram'", "stram"},
		{"path = \"a\"\nfilename = '1'", "filename"},
		{"path = \"a\"\nif_exists = \"renam\"", `"renam"`},
		{"path = \"a\"\nincomplete = \"no\"", `"no"`},
		{"path = \"a\"\nidle_timeout = \"-1s\"", "idle_timeout"},
		{"path = \"a\"\nmax_size = \"0B\"", "max_size"},
		{"path = \"a\"\nmax_open = 0", "max_open"},
		{"path = \"a\"\nmax_open = 1000000000", "max_open: must be from 1 to 100000"},
		{"path = \"$HOME/a\"", "$HOME is not replaced here"},
		{"path = \"a\"\nfilename = \"report.csv\"", `a text needs quotes of its own: '"report.csv"'`},
		{"path = \"a\"\nincomplete_max_age = \"0s\"", "incomplete_max_age"},
		{"path = \"a\"\nreceived_max_age = \"-1s\"", `received_max_age: must not be negative; "0s" turns it off`},
	}
	for _, test := range tests {
		_, err := parse(t.TempDir(), test.table)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v does not tell %s", test.table, err, test.want)
		}
	}
}

// What the sink tells beforehand is what it does.
func TestTargetIsWhereAStreamLands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in")
	cfg, err := parse(t.TempDir(), "path = '"+path+"'\nfilename = 'event + \"/\" + stream'\nmax_size = \"10B\"")
	if err != nil {
		t.Fatal(err)
	}
	part := cfg.Sinks["inbox"].(*Config)
	info := router.StreamInfo{Event: "files", Name: "../a", Size: 1}
	target, err := part.StreamTarget(info)
	if err != nil || target != (config.Target{File: "files/%2E%2E/a"}) {
		t.Fatalf("%v, %v", target, err)
	}
	built, err := part.Build(router.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if err := built.(router.Opener).Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer built.(router.Opener).Close()
	w, err := built.Stream(context.Background(), info)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(path, filepath.FromSlash(target.File))); err != nil {
		t.Error(err)
	}

	info.Size = 11
	_, beforehand := part.StreamTarget(info)
	_, then := built.Stream(context.Background(), info)
	if !errors.Is(beforehand, router.ErrPermanent) || beforehand.Error() != then.Error() {
		t.Errorf("too large: %v, then %v", beforehand, then)
	}
	if _, err := part.SignalTarget(router.Signal{}); !errors.Is(err, router.ErrNotTaken) {
		t.Errorf("a signal: %v", err)
	}
}
