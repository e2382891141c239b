package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// The fail points, see sources/dir and sinks/dir. The number lets some files
// pass before the process dies.
var (
	sendPoints = []string{
		"send.claim:3", "send.header:3", "send.body:3", "send.tail:3", "send.confirmed:3", "send.staged:3", "send.archived:3",
	}
	receivePoints = []string{
		"receive.created:3", "receive.written:3", "receive.synced:3", "receive.published:3", "receive.dir-synced:3",
		"receive.landed:3", "receive.kept",
	}
)

// dropMixed drops files of sizes around those of a chunk and of a buffer.
func (s *site) dropMixed() {
	for i, size := range []int{0, 1, 1000, 64 << 10, 64<<10 + 1, 300_000, 1 << 20, 2 << 20} {
		s.drop(fmt.Sprintf("%d/%d.bin", i%3, i), size)
	}
}

// collide begins two streams with one id, which makes both incomplete.
func collide(t *testing.T, hub string) {
	t.Helper()
	c := imbtest.DialRaw(t, hub)
	const event, id = 1, 7
	header := func(name string) []byte {
		return wire.AppendEvent(nil, wire.Event{
			ID: event, Kind: wire.StreamHeader, Data: wire.AppendStreamStart(nil, wire.StreamStart{StreamID: id, Name: name}),
		})
	}
	c.Send(
		wire.AppendPublish(nil, wire.EventRef{ID: event, Name: "demo.files"}),
		header("first.bin"), header("second.bin"),
	)
}

// Faults 14 and 24, of the quickstart, where one process is all of them. A file
// that has not left drop/ when it dies is received in the end. One that has, the
// hub had taken, and whether it was received before the crash nobody knows: IMB
// has no acknowledgement by receivers, and the hub died as well.
func TestQuickstartKilledAtEachStep(t *testing.T) {
	t.Parallel()
	for _, point := range slices.Concat(sendPoints, receivePoints) {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.writeQuickstart()
			s.dropMixed()
			daemon := s.startToFail("killed", point, "run", "quickstart.toml")
			if point == "receive.kept" {
				hub := daemon.hubAddress()
				awaitSubscriber(t, hub)
				collide(t, hub)
			}
			daemon.awaitCrash()
			unsent := s.unsent()

			daemon = s.start("second", "run", "quickstart.toml")
			s.awaitSent()
			s.awaitReceived(unsent)
			daemon.kill()

			s.start("third", "run", "quickstart.toml").awaitReady()
			s.checkAfterCrash()
			copies := s.received()
			for name, n := range copies {
				if n > 2 {
					t.Errorf("%q was received %d times, after one crash", name, n)
				}
			}
			t.Logf("%d files dropped, %d of them in sent/ at the crash, %d received, %d of them twice",
				len(s.dropped), len(s.dropped)-len(unsent), len(copies), len(s.tree("received"))-len(copies))
		})
	}
}

// unsent lists the files that have not left drop/.
func (s *site) unsent() []string {
	s.t.Helper()
	sent := s.tree("drop/sent")
	names := slices.Collect(maps.Keys(s.dropped))
	return slices.DeleteFunc(names, func(name string) bool { return sent[name] == s.dropped[name] })
}

// checkAfterCrash fails the test if a process that was started after a crash
// has left something over, when it is ready.
func (s *site) checkAfterCrash() {
	s.t.Helper()
	if left := s.partials(); len(left) > 0 {
		s.t.Errorf("left in partial/: %q", left)
	}
	if left := s.files("drop/.imbrouter/staged"); len(left) > 0 {
		s.t.Errorf("left in staged/: %q", left)
	}
}

// Fault 14 where the sender dies and the hub and the receiver live on: every
// file is received, although some may be twice.
func TestSenderKilledAtEachStep(t *testing.T) {
	t.Parallel()
	for _, point := range sendPoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.writeReceiver("")
			receiver := s.start("receiver", "run", "receiver.toml")
			hub := receiver.hubAddress()
			awaitSubscriber(t, hub)
			s.writeSender(hub, "")
			s.dropMixed()
			s.startToFail("killed", point, "run", "sender.toml").awaitCrash()

			s.start("sender", "run", "sender.toml")
			s.awaitSent()
			s.awaitReceived(slices.Collect(maps.Keys(s.dropped)))
			receiver.kill()

			s.start("receiver", "run", "receiver.toml").awaitReady()
			s.checkAfterCrash()
			for name, n := range s.received() {
				if n > 2 {
					t.Errorf("%q was received %d times, after one crash", name, n)
				}
			}
		})
	}
}

// Fault 24 where the receiver dies and the hub and the sender live on. What the
// hub had given to the dead receiver is lost: IMB has no memory. But nothing is
// half, and the receiver that is started again gets all that comes then.
func TestReceiverKilledAtEachStep(t *testing.T) {
	t.Parallel()
	for _, point := range receivePoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.writeSender("", "")
			sender := s.start("sender", "run", "sender.toml")
			hub := sender.hubAddress()
			s.writeReceiver(hub)
			receiver := s.startToFail("killed", point, "run", "receiver.toml")
			awaitSubscriber(t, hub)
			s.dropMixed()
			if point == "receive.kept" {
				collide(t, hub)
			}
			receiver.awaitCrash()
			s.received()
			s.awaitSent()

			s.start("second", "run", "receiver.toml").awaitReady()
			s.checkAfterCrash()
			awaitSubscriber(t, hub)
			s.drop("later.bin", 100_000)
			s.awaitReceived([]string{"later.bin"})
			t.Logf("%d of %d files received", len(s.received()), len(s.dropped))
		})
	}
}

// Variables for a longer TestRandomKills, and for one with the choices of an
// earlier one; the moments are never the same.
const (
	killsVariable = "IMBROUTER_TEST_KILLS" // how many processes are killed
	seedVariable  = "IMBROUTER_TEST_SEED"
)

// numberFrom returns the number in an environment variable, or another one.
func numberFrom(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text, ok := os.LookupEnv(variable)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// The sender, the hub and the receiver die at random moments while files are
// dropped: faults 14, 24 and 41 in any order. The sender keeps its promise, that
// every file is sent, and the receiver its own, that no file is half.
func TestRandomKills(t *testing.T) {
	t.Parallel()
	kills := numberFrom(t, killsVariable, 25)
	const filesPerKill = 8
	seed := numberFrom(t, seedVariable, rand.Uint64())
	t.Logf("%s=%d", seedVariable, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	// pause waits for a random time, which is what this test is about.
	pause := func(most time.Duration) { <-time.After(time.Duration(random.Int64N(int64(most)))) }

	s := newSite(t)
	hub, addr := s.startHub()
	proxy := imbtest.NewProxy(t, addr) // the address stays when the hub is started anew
	s.writeSender(proxy.Addr(), "")
	s.writeReceiver(proxy.Addr())
	sender := s.start("sender", "run", "sender.toml")
	receiver := s.start("receiver", "run", "receiver.toml")

	killed := map[string]int{}
	for kill := range kills {
		finish := []func(){}
		for n := range filesPerKill {
			size := random.IntN(64 << 10)
			switch random.IntN(20) {
			case 0:
				size = 0
			case 1:
				size = 1<<20 + random.IntN(4<<20)
			}
			name := fmt.Sprintf("%d/%d-%d.bin", random.IntN(3), kill, n)
			if slow := random.IntN(8) == 0; slow && runtime.GOOS == "linux" { // elsewhere a slow writer cannot be told from none
				finish = append(finish, s.beginDrop(name, size))
			} else {
				s.drop(name, size)
			}
			pause(40 * time.Millisecond)
		}
		switch random.IntN(3) {
		case 0:
			killed["sender"]++
			sender.kill()
			pause(100 * time.Millisecond)
			sender = s.start("sender", "run", "sender.toml")
		case 1:
			killed["receiver"]++
			receiver.kill()
			pause(100 * time.Millisecond)
			receiver = s.start("receiver", "run", "receiver.toml")
		case 2:
			killed["hub"]++
			hub.kill()
			pause(100 * time.Millisecond)
			hub, addr = s.startHub()
			proxy.SetTarget(addr)
		}
		for _, f := range finish {
			f()
		}
	}
	s.awaitSent()

	// After all that everything works.
	receiver.kill()
	s.start("receiver", "run", "receiver.toml").awaitReady()
	s.checkAfterCrash()
	awaitSubscriber(t, addr)
	s.drop("last.bin", 100_000)
	s.awaitReceived([]string{"last.bin"})
	s.awaitSent()

	copies := s.received()
	t.Logf("killed %v; %d files sent, %d received, %d of them more than once", killed, len(s.dropped), len(copies),
		len(s.tree("received"))-len(copies))
}
