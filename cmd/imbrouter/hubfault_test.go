package main

import (
	"testing"

	"imbrouter/imb/imbtest"
)

// Faults 41, 44 and 45. The hub stops reading in the middle of a file, although
// TCP takes all of it from the sender, and then it is lost. The file is not
// taken for sent; it is sent again, and received whole, once.
func TestHubLostBeforeItHasReadAFile(t *testing.T) {
	t.Parallel()
	const size = 3_000_000
	for _, test := range []struct {
		name  string
		reads int64 // bytes
		kill  bool  // the hub, or else the connection is reset
	}{
		{"reset in mid-frame", 100_000, false},
		{"killed in mid-stream", 1_000_000, true},
		{"reset before the tail", size - 1000, false},
		{"killed before the tail", size - 1000, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			hub, addr := s.startHub()
			upstream, downstream := imbtest.NewProxy(t, addr), imbtest.NewProxy(t, addr)
			s.writeSender(upstream.Addr(), "")
			s.writeReceiver(downstream.Addr())
			receiver := s.start("receiver", "run", "receiver.toml")
			awaitSubscriber(t, addr)
			sender := s.start("sender", "run", "sender.toml")
			s.drop("first.bin", 1000) // all is connected
			s.awaitReceived([]string{"first.bin"})
			s.awaitSent()

			upstream.SwallowAfter(test.reads)
			s.drop("file.bin", size)
			eventually(t, func() bool { return upstream.Swallowed() >= size-test.reads }, "the sender has written all")
			eventually(t, func() bool { return len(s.partials()) == 1 }, "the receiver has the beginning")
			if test.kill {
				hub.kill()
				receiver.await("lost the connection to the hub")
				_, addr = s.startHub()
				downstream.SetTarget(addr)
				upstream.SetTarget(addr)
				awaitSubscriber(t, addr)
			} else {
				upstream.Reset()
			}
			sender.await("lost the connection to the hub")
			if left := s.input(); len(left) != 1 || len(s.tree("drop/sent")) != 1 {
				t.Fatalf("left to be sent is %q", left)
			}
			if n := len(s.received()); n != 1 {
				t.Fatalf("%d files were received, want the first only", n)
			}
			upstream.Resume()
			s.awaitSent()
			s.awaitReceived([]string{"file.bin"})
			sender.await(`the destination is away.*path=file.bin.*lost the connection to the hub`)
			sender.await(`the destination is back`)
			if n := s.received()["file.bin"]; n != 1 {
				t.Errorf("received %d times", n)
			}
			if test.kill { // the receiver knows that the stream ended
				receiver.await(`stream lost.*stream=file.bin`)
			}
		})
	}
}

// A file does not go to nobody because its sender was back at the hub before
// those who subscribe.
func TestSenderIsBackBeforeTheReceiver(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, addr := s.startHub()
	upstream, downstream := imbtest.NewProxy(t, addr), imbtest.NewProxy(t, addr)
	s.writeSender(upstream.Addr(), "")
	s.writeReceiver(downstream.Addr())
	s.start("receiver", "run", "receiver.toml")
	awaitSubscriber(t, addr)
	sender := s.start("sender", "run", "sender.toml")
	s.drop("first.bin", 1000)
	s.awaitReceived([]string{"first.bin"})
	s.awaitSent()

	downstream.Refuse(true)
	downstream.Reset()
	upstream.Reset()
	eventually(t, func() bool { return sender.count("connected to the hub") == 2 }, "the sender is back")
	s.drop("second.bin", 1000)
	sender.await("not back yet")
	downstream.Refuse(false)
	s.awaitReceived([]string{"second.bin"})
	s.awaitSent()
	if sender.count("sent to nobody") > 0 {
		t.Error("a file went to nobody")
	}
}
