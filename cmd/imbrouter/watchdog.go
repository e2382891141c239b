package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// lookInterval is within which time it is looked twice whether something is stuck,
// when systemd does not say.
const lookInterval = 10 * time.Second

// watchdog looks whether something is stuck. It gives systemd the signs of life
// without which it ends the process and starts it anew, where it wants them, see
// WatchdogSec in systemd.service(5).
type watchdog struct {
	interval time.Duration // that systemd waits for a sign
	log      *slog.Logger
	manager  *serviceManager
	look     func() (kind, name string) // Daemon.Stuck, which nobody else may call
	found    atomic.Pointer[stuckPart]  // at the last look
}

// stuckPart is what does not return; zero for nothing.
type stuckPart struct{ kind, name string }

func newWatchdog(log *slog.Logger, manager *serviceManager, look func() (kind, name string)) *watchdog {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the service manager's watchdog gets no signs of life", "error", err)
	}
	if interval <= 0 {
		interval = lookInterval
	}
	w := &watchdog{interval: interval, log: log, manager: manager, look: look}
	w.found.Store(new(stuckPart))
	return w
}

// stuck tells what did not return at the last look, see Daemon.Stuck.
func (w *watchdog) stuck() (kind, name string) {
	found := w.found.Load()
	return found.kind, found.name
}

// run gives a sign twice in each interval, until ctx ends. It gives none while
// something is stuck, which is for half an interval at least, and looks more
// often then, so that what goes on late may still be in time.
func (w *watchdog) run(ctx context.Context) {
	var since time.Time // when the first sign was withheld
	pause := w.interval / 2
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		was := *w.found.Load()
		var found stuckPart
		found.kind, found.name = w.look()
		w.found.Store(&found)
		switch {
		case found.kind != "":
			if was.kind == "" {
				since, pause = time.Now(), w.interval/8
			}
			if found != was {
				w.log.Error("stuck: /healthz fails, and the service manager gets no sign of life, until it goes on",
					found.kind, found.name)
				w.manager.stuck(found.kind, found.name)
			}
		case was.kind != "":
			pause = w.interval / 2
			w.log.Info("no longer stuck", was.kind, was.name, "withheld", time.Since(since).Round(time.Millisecond))
			w.manager.unstuck()
		default:
			w.manager.alive()
		}
	}
}
