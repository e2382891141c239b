package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// The connection is lost in the second of three files. Whoever sent them is
// told which of them the hub has for certain.
func TestSendTellsWhatTheHubHas(t *testing.T) {
	t.Parallel()
	addr, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	proxy.SwallowAfter(100_000)
	s := newSite(t)
	s.write("a.bin", strings.Repeat("a", 1000))
	s.write("b.bin", strings.Repeat("b", 1_000_000))
	s.write("c.bin", "c")
	send := s.start("send", "send", "--hub", proxy.Addr(), "demo.files", "a.bin", "b.bin", "c.bin")
	eventually(t, func() bool { return proxy.Swallowed() >= 900_000 }, "the second file is swallowed")
	proxy.Resume()
	proxy.Reset()
	if code := send.awaitEnd(); code != exitUnreachable {
		t.Errorf("exit code %d, want %d", code, exitUnreachable)
	}
	send.await(`file sent: "a.bin" on "demo.files", 1000 B`)
	send.await(`imbrouter: send "b.bin": .*lost the connection to the hub.*`)
	send.await(`confirmed: "a.bin"; not confirmed: "b.bin", "c.bin"`)
	if n := send.count(`file sent`); n != 1 {
		t.Errorf("%d files are told to be sent", n)
	}
}

// startSignals starts "imbrouter signal -" and returns what it reads.
func startSignals(t *testing.T, hub string) (*process, io.WriteCloser) {
	t.Helper()
	s := newSite(t)
	cmd := s.command("signal", "--hub", hub, "demo.chat", "-")
	lines, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return s.startCommand("signal", cmd), lines
}

// subscribeTexts collects the texts of demo.chat.
func subscribeTexts(t *testing.T, hub string) *imbtest.Collector[string] {
	t.Helper()
	got := new(imbtest.Collector[string])
	c := connect(t, hub)
	e := c.Event("chat")
	if _, err := e.Handle(wire.NormalEvent, func(m imb.Message) {
		text, _ := wire.NormalText(m.Data)
		got.Add(string(text))
	}); err != nil {
		t.Fatal(err)
	}
	if err := e.Subscribe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return got
}

// A signal is lost with the connection, which is back before the input ends:
// the later ones arrive, and yet not all is well.
func TestSignalsOfALostConnectionAreNotConfirmed(t *testing.T) {
	t.Parallel()
	addr, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	got := subscribeTexts(t, addr)
	signal, lines := startSignals(t, proxy.Addr())
	io.WriteString(lines, "one\n")
	got.Wait(t, 1)
	proxy.SwallowAfter(0)
	io.WriteString(lines, "two\n")
	eventually(t, func() bool { return proxy.Swallowed() > 0 }, "the second signal is swallowed")
	proxy.Resume()
	proxy.Reset()
	signal.await("connected to the hub again")
	io.WriteString(lines, "three\n")
	got.Wait(t, 2)
	lines.Close()
	if code := signal.awaitEnd(); code != exitUnreachable {
		t.Errorf("exit code %d, want %d", code, exitUnreachable)
	}
	signal.await("imbrouter: lost the connection to the hub.* not confirmed")
}

// What stands before a line that no signal can hold is sent.
func TestLineThatIsTooLongForASignal(t *testing.T) {
	t.Parallel()
	addr, _ := imbtest.StartHub(t, hub.Options{})
	got := subscribeTexts(t, addr)
	signal, lines := startSignals(t, addr)
	go func() {
		defer lines.Close()
		io.WriteString(lines, "one\ntwo\n")
		lines.Write(bytes.Repeat([]byte("x"), wire.MaxEventData+1)) // fails when the program ends before
	}()
	if code := signal.awaitEnd(); code != exitFailure {
		t.Errorf("exit code %d, want %d", code, exitFailure)
	}
	signal.await(`imbrouter: line 3 of standard input: longer than 10 MiB, which no signal can hold; the lines before it are sent`)
	if texts := got.Wait(t, 2); texts[0] != "one" || texts[1] != "two" {
		t.Errorf("received %q", texts)
	}
}
