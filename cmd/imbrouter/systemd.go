package main

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"

	"imbrouter/router/config"
)

// serviceManager tells systemd how the daemon is, when systemd runs it: the
// states of sd_notify(3), and the line that "systemctl status" shows. It is safe
// for concurrent use.
type serviceManager struct {
	log *slog.Logger

	mu      sync.Mutex
	summary string // what the daemon does, for STATUS; "" before it is ready
	ends    bool
}

// ready says that what a configuration names runs.
func (m *serviceManager) ready(cfg *config.Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ends { // a reload may be done only after that
		m.summary = summary(cfg)
		m.tell(daemon.SdNotifyReady, "STATUS="+m.summary)
	}
}

// reloading says that a configuration is read: ready or kept tells how it went.
func (m *serviceManager) reloading() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.summary != "" && !m.ends {
		m.tell(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
	}
}

// kept says that a configuration was not taken and the one before it goes on.
func (m *serviceManager) kept() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.summary != "" && !m.ends {
		m.tell(daemon.SdNotifyReady, "STATUS="+m.summary+"; the changed configuration was not taken, see the log")
	}
}

// stopping says that what is in flight is being finished.
func (m *serviceManager) stopping(cfg *config.Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends = true
	m.summary = "Stopping: what is in flight has " + cfg.Router.StopTimeout.String()
	m.tell(daemon.SdNotifyStopping, "STATUS="+m.summary)
}

// stuck says that something does not return.
func (m *serviceManager) stuck(kind, name string) {
	m.tell(fmt.Sprintf("STATUS=Stuck: %s %q", kind, name))
}

// alive gives a sign of life.
func (m *serviceManager) alive() { m.tell(daemon.SdNotifyWatchdog) }

// unstuck is the first sign of life after stuck.
func (m *serviceManager) unstuck() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell(daemon.SdNotifyWatchdog, "STATUS="+m.summary)
}

func (m *serviceManager) tell(assignments ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		m.log.Warn("the service manager was not told", "what", assignments, "error", err)
	}
}

// summary says in a line what a configuration runs.
func summary(cfg *config.Config) string {
	text := fmt.Sprintf("Running %s from %s to %s", count(len(cfg.Routes), "route"),
		count(len(cfg.Sources), "source"), count(len(cfg.Sinks), "sink"))
	if cfg.Hub != nil {
		text += "; hub at " + cfg.Hub.Listen
	}
	return text
}
