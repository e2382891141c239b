package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// watchdog gives systemd the signs of life without which it ends the process and
// starts it anew, see WatchdogSec in systemd.service(5).
type watchdog struct {
	interval time.Duration // that systemd waits for a sign
	log      *slog.Logger
	manager  *serviceManager
	stuck    func() (kind, name string) // see Daemon.Stuck
}

// newWatchdog returns nil when systemd wants no signs.
func newWatchdog(log *slog.Logger, manager *serviceManager, stuck func() (kind, name string)) *watchdog {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the service manager's watchdog gets no signs of life", "error", err)
	}
	if interval <= 0 {
		return nil
	}
	return &watchdog{interval, log, manager, stuck}
}

// run gives a sign twice in each interval, until ctx ends. It gives none while
// something is stuck, which is for half an interval at least, and looks more
// often then, so that what goes on late may still be in time.
func (w *watchdog) run(ctx context.Context) {
	var kind, name string // of what was stuck at the last look
	var since time.Time   // when the first sign was withheld
	pause := w.interval / 2
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		wasKind, wasName := kind, name
		kind, name = w.stuck()
		switch {
		case kind != "":
			if wasKind == "" {
				since, pause = time.Now(), w.interval/8
			}
			if kind != wasKind || name != wasName {
				w.log.Error("stuck: the service manager gets no sign of life until it goes on", kind, name)
				w.manager.stuck(kind, name)
			}
		case wasKind != "":
			pause = w.interval / 2
			w.log.Info("no longer stuck: the service manager gets signs of life again",
				wasKind, wasName, "withheld", time.Since(since).Round(time.Millisecond))
			w.manager.unstuck()
		default:
			w.manager.alive()
		}
	}
}
