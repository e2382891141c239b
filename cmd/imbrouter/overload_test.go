package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/dustin/go-humanize"

	"imbrouter/imb"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// filesVariable makes TestManyFiles drop that many.
const filesVariable = "IMBROUTER_TEST_FILES"

// The most that a process may use under overload: some times what it does, but
// far less than files or streams without a bound would take.
const (
	mostMemory      = 256 << 20
	mostDescriptors = 400
)

// check logs the peaks and fails the test when they are out of bounds.
func (p *peaks) check(t *testing.T) {
	t.Helper()
	t.Logf("peaks: %s, %d descriptors", humanize.IBytes(uint64(p.memory)), p.descriptors)
	if p.memory > mostMemory && !raceEnabled { // the race detector takes several times as much
		t.Errorf("%s of memory, want at most %s", humanize.IBytes(uint64(p.memory)), humanize.IBytes(mostMemory))
	}
	if p.descriptors > mostDescriptors {
		t.Errorf("%d descriptors, want at most %d", p.descriptors, mostDescriptors)
	}
}

// entries counts what is in a folder, which need not exist.
func (s *site) entries(folder string) int {
	s.t.Helper()
	f, err := os.Open(s.path(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(names)
}

// Thousands of small files are there at once.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some seconds, and more on a machine that does much else")
	}
	files := int(numberFrom(t, filesVariable, 2000))
	s := newSite(t)
	s.writeQuickstart()
	for n := range files {
		s.drop(fmt.Sprintf("new/%d.bin", n), n%1000)
	}
	// As one, they come into the folder that is watched.
	if err := os.Rename(s.path("drop"), s.path("ready")); err != nil {
		t.Fatal(err)
	}
	daemon := s.start("daemon", "run", "quickstart.toml")
	daemon.awaitReady()
	if err := os.Rename(s.path("ready/new"), s.path("drop/new")); err != nil {
		t.Fatal(err)
	}
	used := newPeaks(daemon)
	for landed := 0; landed < files; {
		before := landed
		eventually(t, func() bool {
			used.look(t)
			landed = s.entries("received/new")
			return landed > before
		}, "more than %d of %d files are received", before, files)
	}
	s.awaitSent()
	used.check(t)
	if n := len(s.received()); n != files {
		t.Errorf("%d files were received, want %d", n, files)
	}
	if n := daemon.count("level=(WARN|ERROR)"); n > 0 {
		t.Errorf("%d warnings", n)
	}
}

// Fault 28: somebody begins 10,000 streams and ends none. They are bounded, one
// route's number does not bear on another's, and a route that was full takes
// streams again when the silent ones have timed out.
func TestManyOpenStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("collect.toml", `
[hub]
listen = "127.0.0.1:0"
[connections.hub]
federation = "demo"
[sources.flooded]
type = "imb"
events = ["flood"]
stream_timeout = "3s"
[sources.incoming]
type = "imb"
events = ["files"]
[sinks.flooded]
type = "dir"
path = "flooded"
[sinks.inbox]
type = "dir"
path = "received"
[routes.flooded]
from = ["flooded"]
to = ["flooded"]
[routes.receive]
from = ["incoming"]
to = ["inbox"]
`)
	daemon := s.start("daemon", "run", "collect.toml")
	addr := daemon.hubAddress()
	daemon.awaitReady()
	awaitSubscriber(t, addr)
	s.writeSender(addr, "")
	sender := s.start("sender", "run", "sender.toml")
	sender.awaitReady()

	flood := imbtest.DialRaw(t, addr)
	const event, streams = 1, 10_000
	flood.Send(wire.AppendPublish(nil, wire.EventRef{ID: event, Name: "demo.flood"}))
	part := func(kind wire.Kind, data []byte) []byte {
		return wire.AppendEvent(nil, wire.Event{ID: event, Kind: kind, Data: data})
	}
	used := newPeaks(daemon)
	for id := range int32(streams) {
		flood.Send(
			part(wire.StreamHeader, wire.AppendStreamStart(nil, wire.StreamStart{StreamID: id, Name: fmt.Sprint(id)})),
			part(wire.StreamBody, wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: id, Bytes: make([]byte, 1000)})),
		)
		if id%1000 == 500 {
			name := fmt.Sprintf("%d.bin", id)
			s.drop(name, 10_000)
			s.awaitReceived([]string{name})
			used.look(t)
		}
	}
	flood.Sync()
	partials := func() int { return s.entries("flooded/.imbrouter/partial") }
	t.Logf("%d streams are open in the folder", partials())
	used.look(t)

	eventually(t, func() bool { used.look(t); return partials() == 0 }, "the silent streams time out")
	client := connect(t, addr)
	e, err := client.Publish("flood")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.SendStream(t.Context(), "last.bin", strings.NewReader("the last"), imb.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return fileExists(s.path("flooded/last.bin")) }, "the next stream is received")
	if n := len(s.tree("flooded")); n != 1 {
		t.Errorf("%d files were received, want one", n)
	}
	used.check(t)
	t.Logf("%d lines of log", daemon.count("(?m)^time="))
	s.awaitSent()
	s.received()
}
