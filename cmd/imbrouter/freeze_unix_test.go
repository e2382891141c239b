//go:build unix

package main

import (
	"fmt"
	"syscall"
	"testing"

	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
)

// Fault 43: one hub is frozen, and the way to another becomes a black hole,
// while a file is on its way to each. TCP takes part of the one file, and all of
// the other. Both stay until their hub answers. It takes half a minute, in which
// the test only waits, to find out that a silent hub is not just slow.
func TestHubThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	s := newSite(t)
	frozen, frozenAddr := s.startHub()
	behind, _ := imbtest.StartHub(t, hub.Options{})
	hole := imbtest.NewProxy(t, behind)
	s.write("sender.toml", fmt.Sprintf(`
[connections.frozen]
address = %q
federation = "demo"
[connections.hole]
address = %q
federation = "demo"
[sources.large]
type = "dir"
path = "drop"
exclude = ["small.bin"]
[sources.small]
type = "dir"
path = "other"
[sinks.frozen]
type = "imb"
connection = "frozen"
event = "files"
[sinks.hole]
type = "imb"
connection = "hole"
event = "files"
[routes.frozen]
from = ["large"]
to = ["frozen"]
[routes.hole]
from = ["small"]
to = ["hole"]
`, frozenAddr, hole.Addr()))
	sender := s.start("sender", "run", "sender.toml")
	sender.await(`connected to the hub" sink=frozen`)
	sender.await(`connected to the hub" sink=hole`)

	frozen.signal(syscall.SIGSTOP)
	hole.Swallow()
	s.drop("large.bin", 20<<20)
	s.write("other/small.bin", "small")
	for _, sink := range []string{"frozen", "hole"} {
		sender.await(`sink=` + sink + ` .*lost the connection to the hub: the hub does not answer`)
		sender.await(`the destination is away.*hub of connection \\"` + sink + `\\".*lost the connection`)
	}
	if left := s.input(); len(left) != 1 || !fileExists(s.path("other/small.bin")) {
		t.Errorf("left to be sent is %q, and other/small.bin", left)
	}
	if n := sender.count(`msg=sent`); n != 0 {
		t.Errorf("%d files were sent", n)
	}

	frozen.signal(syscall.SIGCONT)
	hole.Resume()
	s.awaitSent()
	eventually(t, func() bool { return fileExists(s.path("other/sent/small.bin")) }, "the small file is sent")
	sender.await(`the destination is back" source=large`)
	sender.await(`the destination is back" source=small`)
	if n := sender.count(`the destination is away`); n > 4 {
		t.Errorf("told %d times that a destination is away", n)
	}
}
