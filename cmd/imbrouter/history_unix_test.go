//go:build unix

package main

import (
	"strings"
	"testing"

	"imbrouter/imb/imbtest"
)

// Killed after it has sent the last byte and before the hub has confirmed it, a
// router says so at its next start, and sends the file again.
func TestHistoryOfAKilledSender(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, addr := s.startHub()
	proxy := imbtest.NewProxy(t, addr)
	s.writeSender(proxy.Addr(), "")
	sender := s.start("sender", "run", "sender.toml")
	sender.awaitReady()
	proxy.SwallowAfter(0)
	s.drop("file.bin", 3000)
	eventually(t, func() bool { return strings.Contains(s.history("--outcome", "unconfirmed"), "file.bin") }, "the file is sent")
	sender.kill()
	proxy.Reset()
	proxy.Resume()

	again := s.start("sender", "run", "sender.toml")
	again.await("streams were sent, and perhaps not delivered, when the program ended before.*count=1")
	s.awaitSent()
	history := s.history()
	possibly, sent := strings.Index(history, "possibly_sent"), strings.Index(history, "sent_to_nobody")
	if possibly < 0 || sent < possibly || strings.Count(history, "file.bin") != 2 {
		t.Errorf("history:\n%s", history)
	}
}

// history returns what `imbrouter history sender.toml` prints.
func (s *site) history(args ...string) string {
	s.t.Helper()
	out, err := s.command(append([]string{"history", "sender.toml"}, args...)...).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	return string(out)
}
