//go:build unix

package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"imbrouter/router/failpoint"
)

// watched runs the program as systemd does with a WatchdogSec of a second.
func (s *site) watched(name, point string, args ...string) (*process, *manager) {
	s.t.Helper()
	m := newManager(s.t)
	cmd := s.command(args...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.address, "WATCHDOG_USEC=1000000", failpoint.Variable+"="+point)
	return s.startCommand(name, cmd), m
}

// Fault 64: an expression does not return. No sign of life is given meanwhile,
// the log tells of the route, or the sink, once, and again when it goes on.
func TestWatchdogIsNotFedWhileAnExpressionHangs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ point, stuck string }{
		{"filter.when", "route=send"},
		{"filter.set.stream", "route=send"},
		{"filter.filename", "sink=inbox"},
	} {
		const running = "Running 1 route from 1 source to 1 sink; hub at 127.0.0.1:0"
		t.Run(test.point, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.write("router.toml", `
[hub]
listen = "127.0.0.1:0"
[connections.hub]
federation = "demo"
[sources.outbox]
type = "dir"
path = "drop"
[sinks.inbox]
type = "dir"
path = "received"
filename = 'stream'
[routes.send]
from = ["outbox"]
to = ["inbox"]
when = 'size > 0'
set.stream = 'stream'
`)
			// The second file hangs: routes are not stuck because they were busy once.
			p, m := s.watched("daemon", test.point+":2:hang=5s", "run", "router.toml")
			m.await("READY=1", 0)
			s.drop("one.bin", 1000)
			s.awaitSent()
			m.await("WATCHDOG=1", m.count("WATCHDOG=1"))
			s.drop("two.bin", 1000)
			p.await(`level=ERROR msg="stuck: .*" ` + test.stuck)
			if test.point == "filter.when" {
				s.checkStuck(p)
			}
			p.await(`level=INFO msg="no longer stuck" ` + test.stuck + ` withheld=`)
			m.await("WATCHDOG=1", m.count("WATCHDOG=1")+2)
			s.awaitSent()
			told := m.all()
			stuck := slices.IndexFunc(told, func(a string) bool { return strings.HasPrefix(a, "STATUS=Stuck: ") })
			if stuck < 0 || !slices.Equal(told[stuck+1:min(stuck+3, len(told))], []string{"WATCHDOG=1", "STATUS=" + running}) {
				t.Errorf("after it was stuck the service manager was told %q", told[stuck+1:])
			}
			if n := p.count(`msg="(no longer )?stuck`); n != 2 {
				t.Errorf("the log tells %d times of being stuck, want 2", n)
			}
			p.signal(syscall.SIGTERM)
			if code := p.awaitEnd(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// Fault 64: waiting is not being stuck, neither for a hub that is frozen, with
// queues that are full, nor for a stop that takes its time.
func TestWatchdogIsFedWhileAHubIsFrozen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	hub, addr := s.startHub()
	s.writeSender(addr, `when = 'size > 0'
[router]
stop_timeout = "3s"
`)
	p, m := s.watched("sender", "", "run", "sender.toml")
	p.await(`connected to the hub`)
	hub.signal(syscall.SIGSTOP)
	s.drop("large.bin", 30<<20)
	p.await(`transfer stands still`)
	m.await("WATCHDOG=1", m.count("WATCHDOG=1")+6)
	p.signal(syscall.SIGTERM)
	m.await("STOPPING=1", 0)
	m.await("WATCHDOG=1", m.count("WATCHDOG=1")+2)
	if code := p.awaitEnd(); code != exitFailure {
		t.Errorf("exit code %d, want %d", code, exitFailure)
	}
	if strings.Contains(p.output(), "stuck:") {
		t.Error("it was told to be stuck")
	}
	hub.signal(syscall.SIGCONT)
}

// checkStuck asks a router that hangs how it is.
func (s *site) checkStuck(p *process) {
	s.t.Helper()
	cmd := s.command("status", "router.toml")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != exitFailure || !strings.Contains(string(out), `stuck: route "send"`) {
		s.t.Errorf("status gives %v: %s", err, out)
	}
}
