package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"imbrouter/router/admin"
	"imbrouter/router/config"
	routerdaemon "imbrouter/router/daemon"
)

// quietTime is how long a configuration that is watched must not have changed
// before it is read: editors write in several steps.
const quietTime = 300 * time.Millisecond

// maxRequests is how many requests to reload may wait. More wait for room.
const maxRequests = 16

// reloader takes a configuration that was changed into a running daemon. It
// implements admin.Reloader.
type reloader struct {
	path     string
	daemon   *routerdaemon.Daemon
	log      *slog.Logger
	manager  *serviceManager
	hangups  <-chan os.Signal
	watcher  *fsnotify.Watcher         // of the file's folder; nil when it is not watched
	requests chan chan<- admin.Reload  // each is told what came of it, unless it is nil
	ended    chan struct{}             // closed when run has returned
	loaded   atomic.Pointer[time.Time] // when the configuration that runs was read
	last     atomic.Pointer[admin.Reload]
	wrong    string // what was told to be wrong with the file last; "" when it was taken
}

func newReloader(path string, d *routerdaemon.Daemon, log *slog.Logger, m *serviceManager) *reloader {
	r := &reloader{
		path: path, daemon: d, log: log, manager: m,
		requests: make(chan chan<- admin.Reload, maxRequests), ended: make(chan struct{}),
	}
	r.loaded.Store(new(time.Now()))
	return r
}

// run reloads when it is asked to, and when the file has changed if it is
// watched, until ctx ends.
func (r *reloader) run(ctx context.Context) {
	defer close(r.ended)
	var events <-chan fsnotify.Event
	var failures <-chan error
	if r.watcher != nil {
		events, failures = r.watcher.Events, r.watcher.Errors
	}
	quiet := time.NewTimer(0)
	quiet.Stop()
	last := contents(r.path)
	for {
		var reply chan<- admin.Reload
		select {
		case <-ctx.Done():
			return
		case err := <-failures:
			r.log.Warn("watching the configuration failed; it goes on", "path", r.path, "error", err)
			continue
		case <-events: // of any file: the name may be a link that leads elsewhere now
			quiet.Reset(quietTime)
			continue
		case <-quiet.C:
			now := contents(r.path)
			if now == last {
				continue
			}
			last = now
		case <-r.hangups:
			last = contents(r.path)
		case reply = <-r.requests:
			last = contents(r.path)
		}
		r.manager.reloading()
		outcome := r.reload(ctx)
		r.last.Store(&outcome)
		if reply != nil {
			reply <- outcome
		}
	}
}

// errNotReloading is for requests to reload at the end.
var errNotReloading = errors.New("the router is stopping, and reads no configuration")

// Request implements admin.Reloader.
func (r *reloader) Request(ctx context.Context) error { return r.ask(ctx, nil) }

// Reload implements admin.Reloader.
func (r *reloader) Reload(ctx context.Context) (admin.Reload, error) {
	reply := make(chan admin.Reload, 1) // room, because nobody may wait any more
	if err := r.ask(ctx, reply); err != nil {
		return admin.Reload{}, err
	}
	select {
	case outcome := <-reply:
		return outcome, nil
	case <-ctx.Done():
		return admin.Reload{}, ctx.Err()
	case <-r.ended:
		return admin.Reload{}, errNotReloading
	}
}

func (r *reloader) ask(ctx context.Context, reply chan<- admin.Reload) error {
	select {
	case r.requests <- reply:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ended:
		return errNotReloading
	}
}

// Last implements admin.Reloader.
func (r *reloader) Last() *admin.Reload { return r.last.Load() }

// Loaded implements admin.Reloader.
func (r *reloader) Loaded() time.Time { return *r.loaded.Load() }

// reload reads the file and applies it. A file that is wrong changes nothing.
func (r *reloader) reload(ctx context.Context) admin.Reload {
	outcome := admin.Reload{At: time.Now(), Outcome: admin.Refused, Changes: []string{}, Warnings: []string{}, Errors: []string{}}
	var diff config.Difference
	cfg, err := config.Load(r.path, kinds)
	if err == nil {
		warn(r.log, cfg)
		for _, w := range cfg.Warnings {
			outcome.Warnings = append(outcome.Warnings, w.String())
		}
		diff, err = r.daemon.Reload(ctx, cfg)
	}
	before := r.wrong
	r.wrong = ""
	if err != nil {
		r.wrong = err.Error()
		outcome.Errors, outcome.Invalid = wrongs(err)
	}
	switch changes := diff.List(); {
	case err != nil && r.wrong == before:
		r.log.Error("not reloaded: what was wrong before still is", "path", r.path)
		r.manager.kept()
		return outcome
	case err != nil:
		r.tell(err)
		r.log.Error("not reloaded: the configuration from before goes on", "path", r.path)
		r.manager.kept()
		return outcome
	case len(changes) == 0:
		r.log.Info("reloaded: nothing has changed", "path", r.path)
		outcome.Outcome = admin.Unchanged
	default:
		r.log.Info("reloaded: "+strings.Join(changes, ", "), "path", r.path)
		outcome.Outcome, outcome.Changes = admin.Applied, changes
	}
	r.manager.ready(cfg)
	r.loaded.Store(&outcome.At)
	return outcome
}

// wrongs says one by one what an error says, and whether the configuration is wrong.
func wrongs(err error) (all []string, invalid bool) {
	var problems config.Errors
	if !errors.As(err, &problems) {
		return []string{err.Error()}, false
	}
	for _, p := range problems {
		all = append(all, p.String())
	}
	return all, true
}

// tell logs what is wrong with a configuration.
func (r *reloader) tell(err error) {
	var problems config.Errors
	if !errors.As(err, &problems) {
		r.log.Error("the configuration cannot be taken", "error", err)
	}
	for _, p := range problems {
		r.log.Error("wrong configuration: "+p.Message, "at", p.Position())
	}
}

// warn logs what works but is hardly meant.
func warn(log *slog.Logger, cfg *config.Config) {
	for _, w := range cfg.Warnings {
		log.Warn(w.Message, "at", w.Position())
	}
}

// listen makes SIGHUP a request to reload until stop is called. On a terminal it
// says that the terminal is gone: then it ends the context. A service is asked by
// its manager instead.
func (r *reloader) listen(ctx context.Context, onTerminal bool, h host) (_ context.Context, stop func()) {
	if h.isService() {
		r.hangups = h.reload
		return ctx, func() {}
	}
	if onTerminal {
		return signal.NotifyContext(ctx, syscall.SIGHUP)
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	r.hangups = hangups
	return ctx, func() { signal.Stop(hangups) }
}

// watchFolder watches the folder of a file, because editors put a new file in
// the place of the old one.
func watchFolder(path string) (*fsnotify.Watcher, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %q: %w", path, err)
	}
	if err := watcher.Add(filepath.Dir(path)); err != nil {
		watcher.Close()
		return nil, fmt.Errorf("watch %q: %w", path, err)
	}
	return watcher, nil
}

// contents is equal for equal contents of a file. What cannot be read is empty.
func contents(path string) [sha256.Size]byte {
	text, err := os.ReadFile(path)
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(text)
}
