// Package daemontest runs the daemon of a configuration in a test, with the
// types of sources and sinks that the program has.
//
// A daemon is bound to the test that it is given: it is stopped when the test is
// over, what goes wrong fails the test, and its log is shown when the test has
// failed. Its files are in a folder of its own.
//
//	d := daemontest.Start(t, `
//	[hub]
//	listen = "127.0.0.1:0"
//	…`, daemontest.Options{})
//	client, err := imb.Connect(ctx, imb.Options{Address: d.HubAddress()})
//	…
//	imbtest.Eventually(t, func() bool { return d.Exists("received/a.csv") }, "the file is received")
package daemontest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/daemon"
	dirsink "imbrouter/sinks/dir"
	imbsink "imbrouter/sinks/imb"
	logsink "imbrouter/sinks/log"
	dirsource "imbrouter/sources/dir"
	imbsource "imbrouter/sources/imb"
)

// Kinds returns the types of sources and sinks that the program has.
func Kinds() config.Kinds {
	return config.Kinds{
		Sources: map[string]func() config.Source{
			"dir": func() config.Source { return dirsource.NewConfig() },
			"imb": func() config.Source { return imbsource.NewConfig() },
		},
		Sinks: map[string]func() config.Sink{
			"dir": func() config.Sink { return dirsink.NewConfig() },
			"imb": func() config.Sink { return imbsink.NewConfig() },
			"log": func() config.Sink { return logsink.NewConfig() },
		},
	}
}

// Options are what a test may want otherwise. The zero value is usable.
type Options struct {
	Dir  string      // of the configuration; "" makes one
	Sink router.Sink // what a sink of the type "own" is; nil for none
}

// own is the configuration of a sink that a test brings along.
type own struct{ sink router.Sink }

// Check implements config.Sink.
func (own) Check(*config.Check) {}

// Traffic implements config.Sink.
func (own) Traffic() config.Traffic { return config.Traffic{} }

// Build implements config.Sink.
func (o own) Build(router.Env) (router.Sink, error) { return o.sink, nil }

// Daemon is a daemon that runs.
type Daemon struct {
	*daemon.Daemon
	Dir     string // of its configuration
	Logged  *Log   // all of it, what is for debugging included
	StopErr error  // that the end of Run is to be, for a test to set; nil for none

	t      testing.TB
	kinds  config.Kinds
	cancel context.CancelFunc
	ended  chan struct{} // closed when runErr is final
	runErr error
}

// Start runs a configuration until the test ends, and returns when it is ready.
func Start(t testing.TB, text string, o Options) *Daemon {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	d := &Daemon{Dir: o.Dir, Logged: new(Log), t: t, kinds: Kinds(), ended: make(chan struct{})}
	if o.Sink != nil {
		d.kinds.Sinks["own"] = func() config.Sink { return &own{o.Sink} }
	}
	log := slog.New(slog.NewTextHandler(d.Logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ready := make(chan struct{})
	var err error
	d.Daemon, err = daemon.New(d.Parse(text), daemon.Options{Log: log, OnReady: func() { close(ready) }})
	if err != nil {
		t.Fatalf("daemontest: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	go func() {
		defer close(d.ended)
		d.runErr = d.Run(ctx)
	}()
	t.Cleanup(func() {
		if err := d.Stop(); !errors.Is(err, d.StopErr) {
			t.Errorf("daemontest: Run: %v", err)
		}
		if t.Failed() {
			t.Logf("log of the daemon:\n%s", d.Logged.String())
		}
	})
	select {
	case <-ready:
	case <-d.ended:
		t.Fatalf("daemontest: the daemon was not ready when it ended, with %v", d.runErr)
	}
	return d
}

// Stop stops the daemon, if it still runs, and returns what Run has returned.
func (d *Daemon) Stop() error {
	d.cancel()
	<-d.ended
	return d.runErr
}

// Parse makes a text a configuration, for Reload, in the place of the one that
// runs.
func (d *Daemon) Parse(text string) *config.Config {
	d.t.Helper()
	cfg, err := config.Parse(d.Path("test.toml"), []byte(text), d.kinds)
	if err != nil {
		d.t.Fatalf("daemontest: %v", err)
	}
	return cfg
}

// Path returns the path of a file in the daemon's folder; an absolute one is
// left as it is.
func (d *Daemon) Path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(d.Dir, filepath.FromSlash(name))
}

// Exists tells whether there is a file in the daemon's folder.
func (d *Daemon) Exists(name string) bool {
	_, err := os.Stat(d.Path(name))
	return err == nil
}

// listening is how the log names the address of the hub.
var listening = regexp.MustCompile(`msg="hub is listening" .*address=(\S+)`)

// HubAddress returns the address of the hub that the configuration has inside.
func (d *Daemon) HubAddress() string {
	d.t.Helper()
	match := listening.FindStringSubmatch(d.Logged.String())
	if match == nil {
		d.t.Fatal("daemontest: the log does not tell where a hub listens")
	}
	return match[1]
}

// Log is what a daemon has logged. While a test holds its lock, the daemon waits
// with the next line.
//
// It is apart from Daemon because timers keep it for a second after the end. With
// it they would keep the test, and all the memory that the test holds.
type Log struct {
	sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.text.Write(p)
}

// String returns all lines so far.
func (l *Log) String() string {
	l.Lock()
	defer l.Unlock()
	return l.text.String()
}
