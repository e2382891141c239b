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
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"imbrouter/router/config"
	routerdaemon "imbrouter/router/daemon"
)

// quietTime is how long a configuration that is watched must not have changed
// before it is read: editors write in several steps.
const quietTime = 300 * time.Millisecond

// reloader takes a configuration that was changed into a running daemon.
type reloader struct {
	path    string
	daemon  *routerdaemon.Daemon
	log     *slog.Logger
	manager *serviceManager
	hangups <-chan os.Signal
	watcher *fsnotify.Watcher // of the file's folder; nil when it is not watched
	wrong   string            // what was told to be wrong with the file last; "" when it was taken
}

// run reloads when it is asked to, and when the file has changed if it is
// watched, until ctx ends.
func (r *reloader) run(ctx context.Context) {
	var events <-chan fsnotify.Event
	var failures <-chan error
	if r.watcher != nil {
		events, failures = r.watcher.Events, r.watcher.Errors
	}
	quiet := time.NewTimer(0)
	quiet.Stop()
	last := contents(r.path)
	for {
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
		}
		r.manager.reloading()
		r.reload(ctx)
	}
}

// reload reads the file and applies it. A file that is wrong changes nothing.
func (r *reloader) reload(ctx context.Context) {
	var diff config.Difference
	cfg, err := config.Load(r.path, kinds)
	if err == nil {
		warn(r.log, cfg)
		diff, err = r.daemon.Reload(ctx, cfg)
	}
	before := r.wrong
	r.wrong = ""
	if err != nil {
		r.wrong = err.Error()
	}
	switch changes := diff.String(); {
	case err != nil && r.wrong == before:
		r.log.Error("not reloaded: what was wrong before still is", "path", r.path)
		r.manager.kept()
		return
	case err != nil:
		r.tell(err)
		r.log.Error("not reloaded: the configuration from before goes on", "path", r.path)
		r.manager.kept()
		return
	case changes == "":
		r.log.Info("reloaded: nothing has changed", "path", r.path)
	default:
		r.log.Info("reloaded: "+changes, "path", r.path)
	}
	r.manager.ready(cfg)
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
