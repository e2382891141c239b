package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router"
	"imbrouter/router/config"
)

// supervised is a daemon that a service manager runs: what a test does in its
// place.
type supervised struct {
	requests chan serviceRequest
	end      chan error // of the daemon
	err      error      // that came of it

	ctx    context.Context
	host   host
	states []serviceState // reported, one after the other
}

// supervise starts a daemon, for a test in a bubble.
func supervise() *supervised {
	s := &supervised{requests: make(chan serviceRequest), end: make(chan error)}
	run := func(ctx context.Context, h host) error {
		s.ctx, s.host = ctx, h
		return <-s.end
	}
	go func() {
		meaning := func(r serviceRequest) serviceRequest { return r }
		s.err = superviseService(run, new(fakeEventLog), s.requests, meaning, func(state serviceState) {
			s.states = append(s.states, state)
		})
	}()
	synctest.Wait()
	return s
}

func (s *supervised) ask(r serviceRequest) {
	s.requests <- r
	synctest.Wait()
}

func (s *supervised) ready() {
	s.host.ready()
	synctest.Wait()
}

// ends makes the daemon end.
func (s *supervised) ends(err error) {
	s.end <- err
	synctest.Wait()
}

func (s *supervised) want(t *testing.T, want ...serviceState) {
	t.Helper()
	if !slices.Equal(s.states, want) {
		t.Errorf("reported states %v, want %v", s.states, want)
	}
}

func TestServiceRunsAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise()
		s.ready()
		s.ready() // after a reload
		s.ask(askNothing)
		s.want(t, serviceStarts, serviceRuns)
		s.ask(askState)
		s.want(t, serviceStarts, serviceRuns, serviceRuns)
		if s.ctx.Err() != nil {
			t.Error("the daemon was stopped before anyone asked")
		}
		s.ask(askStop)
		if s.ctx.Err() == nil {
			t.Error("the daemon was not stopped")
		}
		s.ends(nil)
		s.want(t, serviceStarts, serviceRuns, serviceRuns, serviceStops)
		if s.err != nil {
			t.Errorf("a clean stop gives %v", s.err)
		}
	})
}

// A stop, or a start, that takes long is reported again and again, so that the
// service manager does not lose patience; a service that runs is not.
func TestServiceReportsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise()
		time.Sleep(serviceProgressLimit)
		synctest.Wait()
		starts := len(s.states)
		s.ready()
		time.Sleep(time.Hour)
		s.ask(askStop)
		time.Sleep(serviceProgressLimit)
		synctest.Wait()
		stops := len(s.states) - starts - 1
		if starts < 2 || stops < 2 {
			t.Errorf("%d reports of the start and %d of the stop in %v each, want more", starts, stops, serviceProgressLimit)
		}
		want := slices.Concat(slices.Repeat([]serviceState{serviceStarts}, starts),
			[]serviceState{serviceRuns}, slices.Repeat([]serviceState{serviceStops}, stops))
		s.want(t, want...)
		s.ends(nil)
	})
}

// A daemon that is stopped before it is ready never counts as running.
func TestServiceIsStoppedWhileItStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise()
		s.ask(askStop)
		s.ready()
		s.ends(nil)
		s.want(t, serviceStarts, serviceStops)
	})
}

// A daemon that ends by itself ends the service, with its error.
func TestServiceEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise()
		wrong := config.Errors{{Message: "wrong"}}
		s.ends(fmt.Errorf("run: %w", wrong))
		if exitCode(s.err) != exitConfig {
			t.Errorf("the service ends with %v, want the daemon's error", s.err)
		}
	})
}

// Requests to reload do not wait for each other.
func TestServiceReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise()
		s.ready()
		for range 3 {
			s.ask(askReload)
		}
		<-s.host.reload
		select {
		case <-s.host.reload:
			t.Error("requests pile up")
		default:
		}
		s.ask(askReload)
		<-s.host.reload
		s.ends(nil)
		s.want(t, serviceStarts, serviceRuns)
	})
}

// The folders that the account of the service needs are those that are written to.
func TestServiceFoldersForTheAccount(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.toml")
	text := strings.NewReplacer("DIR", filepath.ToSlash(dir)).Replace(`
[hub]
[connections.local]
[sources.a]
type = "dir"
path = "DIR/a"
[sources.b]
type = "imb"
events = ["b"]
[sinks.in-a]
type = "dir"
path = "DIR/a/received"
[sinks.beside]
type = "dir"
path = "DIR/a-b"
[sinks.hub]
type = "imb"
event = "files"
[routes.out]
from = ["a"]
to = ["hub"]
[routes.in]
from = ["b"]
to = ["in-a", "beside"]
[router]
state_dir = "DIR/state"
`)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, kinds)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(dir, "a"), filepath.Join(dir, "a-b"), filepath.Join(dir, "state")}
	if got := serviceFolders(cfg); !slices.Equal(got, want) {
		t.Errorf("folders %q, want %q", got, want)
	}
}

// fakeEventLog takes entries of the event log, or fails.
type fakeEventLog struct {
	entries []string
	err     error
}

func (l *fakeEventLog) Info(_ uint32, text string) error    { return l.add("info", text) }
func (l *fakeEventLog) Warning(_ uint32, text string) error { return l.add("warning", text) }
func (l *fakeEventLog) Error(_ uint32, text string) error   { return l.add("error", text) }

func (l *fakeEventLog) add(kind, text string) error {
	l.entries = append(l.entries, kind+": "+text)
	return l.err
}

func TestEventLog(t *testing.T) {
	events := new(fakeEventLog)
	flags := &logFlags{format: "text", level: "info", events: events}
	var stderr bytes.Buffer
	log, err := flags.logger(runCommand(), &stderr)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("not shown")
	log.Info("sent", "path", "a b", "took", 1500*time.Millisecond)
	log.With("route", "r").Warn("slow")
	log.WithGroup("g").Error("failed", "error", errors.New("two\nlines"))
	levels := router.NewRouteLog(log.Handler())
	levels.Follow([]router.Route{{Name: "loud", LogLevel: new(slog.LevelDebug)}, {Name: "quiet", LogLevel: new(slog.LevelError)}})
	slog.New(levels).With("route", "loud").Debug("shown")
	slog.New(levels).With("route", "quiet").Warn("not shown")
	want := []string{
		`info: msg=sent path="a b" took=1.5s`,
		`warning: msg=slow route=r`,
		`error: msg=failed g.error="two\nlines"`,
		`info: msg=shown route=loud`,
	}
	if !slices.Equal(events.entries, want) {
		t.Errorf("entries\n%s\nwant\n%s", strings.Join(events.entries, "\n"), strings.Join(want, "\n"))
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error has %q", &stderr)
	}
	events.err = errors.New("full")
	if err := newEventHandler(events, slog.LevelInfo).Handle(t.Context(), slog.Record{}); !errors.Is(err, events.err) {
		t.Errorf("a failed entry gives %v", err)
	}
}

// Windows refuses entries that are long or have a NUL in them.
func TestEventText(t *testing.T) {
	if got := eventText("a\x00b\n"); got != `a\x00b` {
		t.Errorf("a NUL becomes %q", got)
	}
	got := eventText(strings.Repeat("é", eventTextSize))
	if want := strings.Repeat("é", eventTextSize/2) + "…"; got != want {
		t.Errorf("%d bytes of a long text, want %d", len(got), len(want))
	}
	if got := eventText("x" + strings.Repeat("é", eventTextSize)); strings.ContainsRune(got, '\uFFFD') || len(got) > eventTextSize+len("…") {
		t.Errorf("a long text is not cut between characters")
	}
}
