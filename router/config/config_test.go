package config_test

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"imbrouter/imb/hub"
	"imbrouter/router"
	"imbrouter/router/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestErrors compares what is told about each file with the file beside it.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.Contains(file, "valid") {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			cfg, err := config.Load(filepath.ToSlash(file), kinds)
			var errs config.Errors
			if !errors.As(err, &errs) || cfg != nil {
				t.Fatalf("%v, %v", cfg, err)
			}
			compare(t, file, err.Error()+"\n")
		})
	}
}

func load(t *testing.T, path string) *config.Config {
	t.Helper()
	cfg, err := config.Load(path, kinds)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func parse(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	return config.Parse("dir/x.toml", []byte(text), kinds)
}

func TestLoad(t *testing.T) {
	cfg := load(t, "testdata/valid/all.toml")
	dir, err := filepath.Abs("testdata/valid")
	if err != nil {
		t.Fatal(err)
	}

	wantHub := hub.Options{
		MaxConnections: 10, MaxEvents: 11, QueueBytes: 1 << 20, SlowConsumerTimeout: 1500 * time.Millisecond,
		MaxStreams: 12, MaxVariables: 13, MaxVariableBytes: 64000,
		MaxTimers: 14, MinTickInterval: 2 * time.Millisecond, AllowControl: true,
	}
	if diff := cmp.Diff(wantHub, cfg.Hub.Options(nil)); diff != "" || cfg.Hub.Listen != ":4000" || cfg.Hub.Locator != "0.0.0.0:4000" {
		t.Errorf("hub (-want +got)\n%s%s %s", diff, cfg.Hub.Listen, cfg.Hub.Locator)
	}

	wantConnections := map[string]*config.Connection{
		"local":     {Name: "local", Federation: "demo", OwnerID: -1, OwnerName: "me", Internal: true},
		"elsewhere": {Name: "elsewhere", Address: "imb.example:4000", OwnerName: "imbrouter"},
	}
	if diff := cmp.Diff(wantConnections, cfg.Connections, cmpopts.IgnoreUnexported(config.Connection{})); diff != "" {
		t.Errorf("connections (-want +got)\n%s", diff)
	}

	wantSources := map[string]config.Source{
		"outbox": &dirSource{
			Path: filepath.Join(dir, "drop"), Include: []string{"**/*.csv"},
			Settle: config.Duration(time.Second), After: secret{Env: "X"},
		},
		"incoming": &imbSource{
			Connection: "local", Events: []string{"alarms.*", "=bare"}, Queue: 64 << 10,
			names: []string{"demo.alarms.*", "bare"},
		},
	}
	if diff := cmp.Diff(wantSources, cfg.Sources, cmp.AllowUnexported(dirSource{}, imbSource{})); diff != "" {
		t.Errorf("sources (-want +got)\n%s", diff)
	}
	wantSinks := map[string]config.Sink{
		"inbox": &dirSink{Path: filepath.FromSlash("/received"), Filename: `event + "/" + stream`, IfExists: "rename", MaxSize: 10 << 30},
		"hub":   &imbSink{Connection: "elsewhere"},
	}
	if diff := cmp.Diff(wantSinks, cfg.Sinks, cmp.AllowUnexported(dirSink{}, imbSink{})); diff != "" {
		t.Errorf("sinks (-want +got)\n%s", diff)
	}

	wantRoutes := []router.Route{
		{Name: "z", From: []string{"outbox"}, To: []string{"hub"}, LoopGuard: router.LoopGuardStop},
		{Name: "a", From: []string{"incoming", "outbox"}, To: []string{"inbox"}, LoopGuard: router.LoopGuardWarn, LogLevel: new(slog.LevelWarn)},
	}
	if diff := cmp.Diff(wantRoutes, cfg.Routes, cmpopts.IgnoreFields(router.Route{}, "Filter")); diff != "" {
		t.Errorf("routes (-want +got)\n%s", diff)
	}
	if out, pass, err := cfg.Routes[0].Filter.Stream(router.StreamInfo{}); out.Event != "files" || !pass || err != nil {
		t.Errorf("route z: %+v, %v, %v", out, pass, err)
	}
	if _, pass, err := cfg.Routes[1].Filter.Signal(router.Signal{}); pass || err != nil {
		t.Errorf("route a: %v, %v", pass, err)
	}

	wantAdmin := config.Admin{Listen: "unix:" + filepath.Join(dir, "state", "admin.sock"), Pprof: true, MaxUpload: 1 << 30}
	if cfg.Admin != wantAdmin {
		t.Errorf("admin is %+v, want %+v", cfg.Admin, wantAdmin)
	}

	wantRouter := config.RouterSettings{
		StateDir: filepath.Join(dir, "state"), StopTimeout: config.Duration(time.Minute),
		JournalMaxSize: 64 << 10, JournalMaxFiles: 1, DeadLetterMaxSize: 1 << 20, DeadLetterMaxAge: config.Duration(24 * time.Hour),
	}
	if cfg.Router != wantRouter || cfg.Dir != dir || cfg.Path != "testdata/valid/all.toml" || len(cfg.Warnings) != 0 {
		t.Errorf("%+v, %q, %q, %v", cfg.Router, cfg.Dir, cfg.Path, cfg.Warnings)
	}
}

func TestDefaults(t *testing.T) {
	cfg, err := parse(t, `
		[hub]
		[connections.local]
		[sources.in]
		type = "imb"
		events = ["a"]
		[sinks.print]
		type = "log"
		[routes.show]
		from = ["in"]
		to = ["print"]`)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Hub.Listen != "127.0.0.1:4000" || cfg.Hub.Options(nil) != (hub.Options{}) {
		t.Errorf("%+v", cfg.Hub)
	}
	if c := cfg.Connections["local"]; !c.Internal || c.OwnerName != "imbrouter" || c.Hub() != "internal" {
		t.Errorf("%+v", c)
	}
	if cfg.Routes[0].Filter != nil {
		t.Error("a route without expressions has a filter")
	}
	if cfg.Router.StateDir != filepath.Join(cfg.Dir, ".imbrouter") || cfg.Router.StopTimeout.String() != "20s" {
		t.Errorf("%+v", cfg.Router)
	}
}

func TestStateDirectory(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", filepath.FromSlash("/var/lib/imbrouter")+string(filepath.ListSeparator)+"/other")
	for text, want := range map[string]string{
		"[hub]":                               "/var/lib/imbrouter",
		"[hub]\n[router]\nstate_dir = \"/s\"": "/s",
	} {
		cfg, err := parse(t, text)
		if err != nil || cfg.Router.StateDir != filepath.FromSlash(want) {
			t.Errorf("%q: %v, %v", text, cfg.Router.StateDir, err)
		}
	}
}

func TestSameHub(t *testing.T) {
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ listen, address, want string }{
		{"", "", "127.0.0.1:4000"},
		{"", "localhost", "127.0.0.1:4000"},
		{"", "LOCALHOST.:4000", "127.0.0.1:4000"},
		{"", "::1", "127.0.0.1:4000"},
		{"", "[::1]:4001", "127.0.0.1:4001"},
		{"", "127.3.2.1", "127.3.2.1:4000"},
		{"", "Imb.Example:4000", "imb.example:4000"},
		{"", "[2001:DB8::0]", "[2001:db8::]:4000"},
		{"127.0.0.1:4000", "", "internal"},
		{"127.0.0.1:4000", "localhost:4000", "internal"},
		{"127.0.0.1:4000", "localhost:4001", "127.0.0.1:4001"},
		{":4000", "127.0.0.1", "internal"},
		{"[::]:4000", "localhost", "internal"},
		{"0.0.0.0:4000", "imb.example", "imb.example:4000"},
		{"10.0.0.1:4000", "10.0.0.1", "internal"},
		{"10.0.0.1:4000", "localhost", "127.0.0.1:4000"},
		{"localhost:0", "localhost", "127.0.0.1:4000"},
		{"0.0.0.0:4000", "::1", "internal"},
		{"0.0.0.0:4000", "127.8.8.8", "internal"},
		{"0.0.0.0:4001", "localhost", "127.0.0.1:4000"},
		{":4000", "0.0.0.0", "internal"},
		{":4000", hostname, "internal"},
		{":4000", strings.ToUpper(hostname) + ".", "internal"},
		{"127.0.0.1:4000", "10.0.0.1", "10.0.0.1:4000"},
		{"", hostname, "127.0.0.1:4000"},
	}
	// Addresses of this machine, as far as it has others than loopback.
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if own := a.(*net.IPNet).IP; !own.IsLoopback() {
			tests = append(tests,
				struct{ listen, address, want string }{"0.0.0.0:4000", own.String(), "internal"},
				struct{ listen, address, want string }{"[::]:4000", net.JoinHostPort(own.String(), "4000"), "internal"},
				struct{ listen, address, want string }{"127.0.0.1:4000", own.String(), "127.0.0.1:4000"},
				struct{ listen, address, want string }{"", own.String(), "127.0.0.1:4000"})
		}
	}
	for _, test := range tests {
		text := "[connections.x]\naddress = \"" + test.address + "\"\n[hub]\nlisten = \"" + test.listen + "\""
		if test.listen == "" {
			text = strings.Split(text, "[hub]")[0] + `
				[sources.in]
				type = "imb"
				events = ["a"]
				[sinks.print]
				type = "log"
				[routes.show]
				from = ["in"]
				to = ["print"]`
		}
		cfg, err := parse(t, text)
		if err != nil {
			t.Errorf("%v: %v", test, err)
			continue
		}
		if c := cfg.Connections["x"]; c.Hub() != test.want || c.Internal != (test.address == "") && test.listen != "" {
			t.Errorf("%v: %q, %v", test, c.Hub(), c.Internal)
		}
	}
}

func TestUnreadable(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large.toml")
	if err := os.WriteFile(large, make([]byte, config.MaxFileSize+1), 0o666); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"testdata/none.toml": "testdata/none.toml: cannot be read: open testdata/none.toml: no such file or directory",
		"testdata":           "testdata: cannot be read: read testdata: is a directory",
		large:                large + ": is longer than 1MiB; is it a configuration?",
	} {
		_, err := config.Load(path, kinds)
		var errs config.Errors
		if !errors.As(err, &errs) || err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}

// TestWarnings compares what is told about valid files with the files beside
// them.
func TestWarnings(t *testing.T) {
	for _, file := range []string{"testdata/valid/warnings.toml", "testdata/valid/relays.toml"} {
		var got strings.Builder
		for _, w := range load(t, file).Warnings {
			fmt.Fprintln(&got, w)
		}
		compare(t, file, got.String())
	}
}

// compare compares what is told about a file with the golden file beside it.
func compare(t *testing.T, file, got string) {
	t.Helper()
	golden := strings.TrimSuffix(file, ".toml") + ".golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
