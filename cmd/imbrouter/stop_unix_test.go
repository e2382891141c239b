//go:build unix

package main

import (
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
)

// signal sends a signal to the process.
func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// Fault 64: the process is asked to stop while it sends a file that takes longer
// than stop_timeout, or is asked twice. The file stays, and is sent after the
// next start.
func TestStopDuringASend(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		stopTimeout string
		signals     []syscall.Signal
		most        time.Duration // for stopping; some seconds are for a machine that does much else
	}{
		{"time-out", "2s", []syscall.Signal{syscall.SIGTERM}, 7 * time.Second},
		{"second SIGTERM", "5m", []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, 5 * time.Second},
		{"SIGTERM, then SIGINT", "5m", []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}, 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			addr, _ := imbtest.StartHub(t, hub.Options{})
			proxy := imbtest.NewProxy(t, addr)
			proxy.Throttle(200_000)
			s.writeSender(proxy.Addr(), "[router]\nstop_timeout = \""+test.stopTimeout+"\"\n")

			subscriber := connect(t, addr)
			event, err := subscriber.Subscribe("files")
			if err != nil {
				t.Fatal(err)
			}
			begun := make(chan struct{}, 2)
			event.HandleStreams(func(imb.IncomingStream) imb.StreamReceiver { begun <- struct{}{}; return nil })
			if err := subscriber.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}

			s.drop("large.bin", 20_000_000)
			sender := s.start("sender", "run", "sender.toml")
			<-begun
			asked := time.Now()
			for _, sig := range test.signals {
				sender.signal(sig)
				sender.await("stopping")
			}
			code := sender.awaitEnd()
			took := time.Since(asked)
			t.Logf("stopped after %v", took.Round(time.Millisecond))
			if code != exitFailure {
				t.Errorf("exit code %d, want %d", code, exitFailure)
			}
			if took > test.most {
				t.Errorf("stopping took %v", took)
			}
			sender.await("imbrouter: stopped before everything in flight was done")
			if left := s.input(); len(left) != 1 || len(s.files("drop/sent")) > 0 {
				t.Errorf("left to be sent is %q, and sent/ has %q", left, s.files("drop/sent"))
			}

			proxy.Throttle(0)
			sender = s.start("sender", "run", "sender.toml")
			s.awaitSent()
			sender.signal(syscall.SIGTERM)
			if code := sender.awaitEnd(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

// Ctrl-C ends a command that waits for its input, as it does at a terminal.
func TestInterruptWhileInputIsRead(t *testing.T) {
	t.Parallel()
	addr, _ := imbtest.StartHub(t, hub.Options{})
	subscriber := connect(t, addr)
	event := subscriber.Event("any")
	begun := make(chan struct{}, 2)
	event.HandleAll(func(imb.Message) { begun <- struct{}{} })
	event.HandleStreams(func(imb.IncomingStream) imb.StreamReceiver { begun <- struct{}{}; return nil })
	if err := event.Subscribe(); err != nil {
		t.Fatal(err)
	}
	if err := subscriber.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	for _, name := range []string{"signal", "send"} {
		cmd := s.command(name, "--hub", addr, "demo.any", "-")
		input, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		p := s.startCommand(name, cmd)
		io.WriteString(input, "one\n")
		<-begun
		p.signal(syscall.SIGINT)
		if code := p.awaitEnd(); code != exitFailure {
			t.Errorf("%s: exit code %d, want %d", name, code, exitFailure)
		}
	}
}

// A process that is its own receiver receives, before it stops, all that it has
// sent.
func TestQuickstartStoppedWhileItSends(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.writeQuickstart()
	const files = 60
	for n := range files {
		s.drop(fmt.Sprintf("%d.bin", n), 600_000)
	}
	daemon := s.start("daemon", "run", "quickstart.toml")
	eventually(t, func() bool { return s.entries("received") > files/6 }, "some files are received")
	daemon.signal(syscall.SIGTERM)
	if code := daemon.awaitEnd(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	sent, received := s.tree("drop/sent"), s.received()
	for name := range sent {
		if received[name] == 0 {
			t.Errorf("%q was sent and not received", name)
		}
	}
	if left := s.partials(); len(left) > 0 {
		t.Errorf("left in partial/: %q", left)
	}
	t.Logf("%d of %d files were sent", len(sent), files)
}
