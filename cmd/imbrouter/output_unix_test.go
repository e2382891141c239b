//go:build unix

package main

import (
	"bufio"
	"os"
	"strings"
	"syscall"
	"testing"

	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
)

// pipe returns both ends of one; the reader's is closed by the test.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// A service outlives whoever reads its log: a journal that is restarted, or
// "2>&1 | head".
func TestServicesOutliveTheReaderOfTheirLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	hubLog, hubErr := pipe(t)
	hub := s.command("hub", "--listen", "127.0.0.1:0")
	hub.Stderr = hubErr
	hubProcess := s.startCommand("hub", hub)
	line, err := bufio.NewReader(hubLog).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, addr, _ := strings.Cut(strings.TrimSpace(line), "address=")
	hubLog.Close()

	log, stderr := pipe(t)
	s.writeSender(addr, "")
	sender := s.command("run", "sender.toml")
	sender.Stderr = stderr
	senderProcess := s.startCommand("sender", sender)
	for lines := bufio.NewScanner(log); lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C"); {
	}
	log.Close()
	for _, name := range []string{"one.bin", "two.bin"} {
		s.drop(name, 1000)
		s.awaitSent()
	}
	for _, p := range []*process{senderProcess, hubProcess} {
		p.signal(syscall.SIGTERM)
		if code := p.awaitEnd(); code != 0 {
			t.Errorf("%v ended with %v", p.cmd.Args, p.cmd.ProcessState)
		}
	}
}

// tapInto starts a tap that writes into out, and sends a text that it sees.
func tapInto(t *testing.T, out *os.File, text string) *process {
	t.Helper()
	addr, _ := imbtest.StartHub(t, hub.Options{})
	s := newSite(t)
	cmd := s.command("tap", "--json", "--hub", addr, "demo.*")
	cmd.Stdout = out
	tap := s.startCommand("tap", cmd)
	tap.await("listening")
	c := connect(t, addr)
	e, err := c.Publish("chat")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.SignalString(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	return tap
}

func TestTapEndsWhenItsOutputCannotBeWritten(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("this system has no full device: %v", err)
	}
	defer full.Close()
	tap := tapInto(t, full, "hello")
	if code := tap.awaitEnd(); code != exitFailure {
		t.Errorf("exit code %d, want %d", code, exitFailure)
	}
	tap.await(`imbrouter: write to standard output: .*no space left`)
}

// "tap | head -1" ends as every program in a pipe does, without a word.
func TestTapEndsWithItsReader(t *testing.T) {
	t.Parallel()
	r, w := pipe(t)
	r.Close()
	tap := tapInto(t, w, "hello")
	tap.awaitEnd()
	if status := tap.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGPIPE {
		t.Errorf("it ended with %v", tap.cmd.ProcessState)
	}
	if tap.count(`imbrouter:`) > 0 {
		t.Errorf("it complained: %s", tap.output())
	}
}

// A tap whose output nobody takes can be stopped all the same.
func TestTapStopsWhenNobodyReads(t *testing.T) {
	t.Parallel()
	stuck := func(t *testing.T) *process {
		r, w := pipe(t)
		tap := tapInto(t, w, strings.Repeat("x", 1<<20))
		if _, err := r.Read(make([]byte, 1)); err != nil { // it is in the midst of its line now
			t.Fatal(err)
		}
		return tap
	}
	t.Run("asked once", func(t *testing.T) {
		t.Parallel()
		tap := stuck(t)
		tap.signal(syscall.SIGTERM)
		if code := tap.awaitEnd(); code != exitFailure {
			t.Errorf("exit code %d, want %d", code, exitFailure)
		}
		tap.await("what reads the output takes nothing")
	})
	t.Run("asked again", func(t *testing.T) {
		t.Parallel()
		tap := stuck(t)
		eventually(t, func() bool { return tap.cmd.Process.Signal(syscall.SIGINT) != nil }, "it ends")
		tap.awaitEnd()
		if status := tap.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGINT {
			t.Errorf("it ended with %v", tap.cmd.ProcessState)
		}
	})
}
