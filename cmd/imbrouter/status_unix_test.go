//go:build unix

package main

import (
	"strings"
	"testing"
)

// A router that was killed leaves its socket behind, and the next one takes its
// place.
func TestSocketOfAKilledRouter(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.writeReceiver("")
	const socket = ".imbrouter/receiver.admin.sock"
	status := func() (string, error) {
		out, err := s.command("status", "receiver.toml").CombinedOutput()
		return string(out), err
	}
	p := s.start("first", "run", "receiver.toml")
	p.awaitReady()
	if out, err := status(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	p.kill()
	if !fileExists(s.path(socket)) {
		t.Fatal("the socket is gone: there is nothing to test")
	}
	if out, err := status(); err == nil || !strings.Contains(out, "no imbrouter answers") {
		t.Errorf("after the kill: %v: %s", err, out)
	}
	p = s.start("second", "run", "receiver.toml")
	p.awaitReady()
	if out, err := status(); err != nil {
		t.Errorf("after another start: %v: %s", err, out)
	}
	p.kill()
}
