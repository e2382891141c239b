//go:build unix

package main

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"imbrouter/imb"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// writeReloaded writes a configuration of which a part differs with each turn:
// what a route does, how a source or a sink is set, and what there is at all.
func (s *site) writeReloaded(hub string, turn int) {
	var b strings.Builder
	fmt.Fprintf(&b, `
[connections.north]
address = %[1]q
federation = "north"
[connections.south]
address = %[1]q
federation = "south"
[sources.north]
type = "imb"
connection = "north"
events = ["e"]
queue = "%[2]dMiB"
[sinks.south]
type = "imb"
connection = "south"
max_events = %[3]d
[routes.relay]
from = ["north"]
to = ["south"]
when = '%[4]d > 0'
[sources.drop]
type = "dir"
path = "drop"
parallel = %[5]d
[sinks.files]
type = "imb"
connection = "south"
event = "files"
[sources.incoming]
type = "imb"
connection = "south"
events = ["files"]
[sinks.inbox]
type = "dir"
path = "received"
max_open = %[6]d
[routes.send]
from = ["drop"]
to = ["files"]
[routes.receive]
from = ["incoming"]
to = ["inbox"]
`, hub, 8+turn/5%2, 1000+turn/4%2, 1+turn%2, 2+turn/3%3, 100+turn/2%2)
	if turn%2 == 1 {
		b.WriteString("[sinks.print]\ntype = \"log\"\nlevel = \"debug\"\n[routes.look]\nfrom = [\"incoming\"]\nto = [\"print\"]\n")
	}
	s.write("reloaded.toml", b.String())
}

// A configuration that changes 50 times under a stream of signals and files
// loses none of them. A source of a hub that is replaced overlaps with the one
// before it, so some may come twice.
func TestReloadUnderTraffic(t *testing.T) {
	const reloads = 50
	s := newSite(t)
	_, addr := s.startHub()
	got := new(imbtest.Collector[int])
	subscriber := connect(t, addr)
	e := subscriber.FullEvent("south.e")
	if err := e.Subscribe(); err != nil {
		t.Fatal(err)
	}
	e.HandleAll(func(m imb.Message) {
		text, _ := wire.NormalText(m.Data)
		n, err := strconv.Atoi(string(text))
		if err != nil {
			t.Errorf("a signal %q", text)
		}
		got.Add(n)
	})
	if err := subscriber.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.writeReloaded(addr, 0)
	p := s.start("reloaded", "run", "reloaded.toml")
	p.awaitReady()

	sent := 0 // until ended is closed, the sender's
	enough, ended := make(chan struct{}), make(chan struct{})
	out := connect(t, addr)
	go func() {
		defer close(ended)
		event := out.FullEvent("north.e")
		if err := event.Publish(); err != nil {
			t.Error(err)
		}
		for {
			select {
			case <-enough:
				return
			default:
			}
			if err := event.SignalString(t.Context(), strconv.Itoa(sent)); err != nil {
				t.Error(err)
				return
			}
			sent++
			if err := out.Flush(t.Context()); err != nil { // at the hub's pace
				t.Error(err)
				return
			}
		}
	}()
	var names []string
	for turn := 1; turn <= reloads; turn++ {
		for i := range 3 {
			name := fmt.Sprintf("%d-%d.bin", turn, i)
			s.drop(name, 100<<10*i)
			names = append(names, name)
		}
		s.writeReloaded(addr, turn)
		p.signal(syscall.SIGHUP)
		eventually(t, func() bool { return p.count(`msg="reloaded: `) == turn }, "reload %d is logged", turn)
	}
	close(enough)
	<-ended
	s.awaitSent()
	s.awaitReceived(names)
	distinct := func() int {
		seen := map[int]bool{}
		for _, i := range got.All() {
			seen[i] = true
		}
		return len(seen)
	}
	eventually(t, func() bool { return distinct() == sent }, "every one of %d signals arrives", sent)
	twice := 0
	for _, times := range s.received() {
		twice += times - 1
	}
	t.Logf("%d reloads, %d signals (%d more came twice), %d files (%d more came twice)",
		reloads, sent, len(got.All())-sent, len(names), twice)
	if p.count(`level=ERROR`) > 0 {
		t.Error("the log has errors")
	}
	p.signal(syscall.SIGTERM)
	if code := p.awaitEnd(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
