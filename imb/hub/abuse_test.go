package hub_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// heapInUse returns the bytes that the whole process uses, the test's clients
// included.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// descriptors returns how many the process has open; 0 where that is not known.
func descriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

// owned tells the hub a name for its log.
func (c *client) owned(name string) *client {
	c.t.Helper()
	c.send(wire.AppendSetClientInfo(nil, wire.SetClientInfo{OwnerName: name}))
	c.done()
	c.conn.SetDeadline(time.Time{})
	return c
}

// sendUntilEnd sends what next makes until the connection ends.
func (c *client) sendUntilEnd(next func(n int) []byte) {
	for n := 0; ; n++ {
		if _, err := c.conn.Write(next(n)); err != nil {
			return
		}
	}
}

// await reads up to an event with that data.
func (c *client) await(data string) {
	c.t.Helper()
	for want := fmt.Sprintf(" normal %q", data); !strings.HasSuffix(describe(c.next()), want); {
	}
}

// TestAbuse: while others do, all at once, what a hub has to stand, two clients
// talk to each other and hardly notice. Who does not take what is sent to it is
// disconnected, and so is who sends no IMB, and nobody else. The log tells who
// it was. Memory is bounded, and given back.
func TestAbuse(t *testing.T) {
	const (
		rounds  = 30
		longest = 3 * time.Second // there and back, on a machine that does much else
		most    = 160 << 20       // bytes of memory; without limits it is soon a gigabyte
	)
	memory, open := heapInUse(), descriptors()
	var log logBook
	h := start(t, hub.Options{QueueBytes: 256 << 10, SlowConsumerTimeout: 500 * time.Millisecond, Log: log.logger()})
	l := serve(t, h)

	// Three that do not take what is sent to them: one reads nothing, one a
	// little now and then, and of the third the machine is gone.
	proxy := imbtest.NewProxy(t, l.Addr().String())
	conn, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	sleeper, trickler, vanished := dialTCP(t, l).owned("sleeper"), dialTCP(t, l).owned("trickler"), greeted(t, conn).owned("vanished")
	for _, c := range []*client{sleeper, trickler, vanished} {
		c.subscribe(0, "fed.flood")
		c.done()
	}
	proxy.Stall()
	flooder, beginner := dialTCP(t, l).owned("flooder"), dialTCP(t, l).owned("beginner")
	flooder.publish(0, "fed.flood")
	beginner.publish(0, "fed.streams")
	namer, liar := dialTCP(t, l).owned("namer"), dialTCP(t, l).owned("liar")
	signals := bytes.Repeat(signal(0, strings.Repeat("x", 1000)), 16)
	lies := slices.Concat(
		signal(0, "")[:12], []byte{0xFF, 0xFF, 0xFF, 0x7F}, // a size of 2 GiB
		signal(0, "")[:12], []byte{0xFF, 0xFF, 0xFF, 0xFF}, // a size of −1
		[]byte(strings.Repeat("GET / HTTP/1.1\r\n", 4096)),
	)
	var abusers sync.WaitGroup
	abusers.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := trickler.conn.Read(make([]byte, 100)); err != nil {
				return
			}
		}
	})
	abusers.Go(func() { flooder.sendUntilEnd(func(int) []byte { return signals }) })
	abusers.Go(func() { liar.sendUntilEnd(func(int) []byte { return lies }) })
	abusers.Go(func() {
		beginner.sendUntilEnd(func(n int) []byte {
			begin := wire.AppendStreamStart(nil, wire.StreamStart{StreamID: int32(n), Name: "begun"})
			return wire.AppendEvent(nil, wire.Event{Kind: wire.StreamHeader, Data: begin})
		})
	})
	abusers.Go(func() {
		namer.sendUntilEnd(func(n int) []byte {
			return wire.AppendPublish(nil, wire.EventRef{ID: int32(n), Name: fmt.Sprintf("%01000d", n)})
		})
	})

	ask, answer := dialTCP(t, l), dialTCP(t, l)
	ask.subscribe(0, "fed.answer")
	answer.subscribe(0, "fed.question")
	ask.publish(1, "fed.question")
	answer.publish(1, "fed.answer")
	ask.done()
	answer.done()
	var slowest time.Duration
	var used int64
	wasToldOfAll := func() bool {
		for _, line := range [][]string{
			{"half full", "owner=sleeper"}, {"half full", "owner=trickler"}, {"half full", "owner=vanished"},
			{"client disconnected", "owner=liar", "sends no IMB"},
			{"too many streams open"}, {"too many events on one connection"},
		} {
			if len(log.lines(line...)) != 1 {
				return false
			}
		}
		return true
	}
	deadline := time.Now().Add(time.Minute)
	for n := 0; n < rounds || !wasToldOfAll(); n++ {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not tell of all abuse, after %d rounds", n)
		}
		began, question := time.Now(), fmt.Sprint("round ", n)
		for _, c := range []*client{ask, answer} {
			c.conn.SetDeadline(began.Add(10 * longest))
		}
		ask.signal(1, question)
		answer.await(question)
		answer.signal(1, question)
		ask.await(question)
		slowest = max(slowest, time.Since(began))
		if n%10 == 0 {
			used = max(used, heapInUse()-memory)
		}
	}
	t.Logf("the slowest talk took %v; at most %d MiB of memory, %d descriptors", slowest, used>>20, descriptors()-open)
	if slowest > longest {
		t.Errorf("a talk took %v", slowest)
	}
	if used > most {
		t.Errorf("%d MiB of memory, want at most %d", used>>20, most>>20)
	}
	eventually(t, "3 slow consumers are gone, and 5 connections left", func() bool {
		s := h.Stats()
		return s.SlowConsumers == 3 && s.Connections == 5
	})

	proxy.CloseAll()
	for _, c := range []*client{sleeper, trickler, flooder, beginner, namer, liar, ask, answer} {
		c.conn.Close()
	}
	abusers.Wait()
	eventually(t, "all gone", func() bool { s := h.Stats(); return s.Connections == 0 && s.Events == 0 })
	for owner, count := range map[string]string{"liar": "not_imb=", "beginner": "cut_streams=", "namer": "refused_events="} {
		if n := len(log.lines("client disconnected", "owner="+owner, count)); n != 1 {
			t.Errorf("%d lines tell how often %s did it", n, owner)
		}
	}
	eventually(t, "memory is given back", func() bool { return heapInUse()-memory < 8<<20 })
	eventually(t, "descriptors are given back", func() bool { return descriptors()-open <= 4 }) // the listeners
}

// TestManyConnections: as many clients as are allowed are served, those beyond
// are refused, and what they take is bounded and given back.
func TestManyConnections(t *testing.T) {
	const (
		allowed, beyond = 1000, 100
		most            = 64 << 20 // bytes of memory
	)
	memory, open := heapInUse(), descriptors()
	var log logBook
	h := start(t, hub.Options{MaxConnections: allowed, Log: log.logger()})
	l := serve(t, h)
	var clients []*client
	for range allowed {
		c := dialTCP(t, l)
		c.subscribe(0, "fed.x")
		clients = append(clients, c)
	}
	for range beyond {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes from a connection beyond the limit", n)
		}
		conn.Close()
	}
	if s := h.Stats(); s.Connections != allowed || s.Refused != beyond {
		t.Errorf("%d connections, %d refused", s.Connections, s.Refused)
	}
	if n := len(log.lines("level=WARN", "connections are refused")); n != 1 {
		t.Errorf("%d lines tell of refused connections", n)
	}
	for _, c := range clients {
		c.done()
	}
	clients[0].signal(0, "to all")
	for _, c := range clients {
		c.await("to all")
	}
	used := heapInUse() - memory
	t.Logf("%d MiB of memory, %d descriptors, at both ends", used>>20, descriptors()-open)
	if used > most {
		t.Errorf("%d MiB of memory, want at most %d", used>>20, most>>20)
	}
	for _, c := range clients {
		c.conn.Close()
	}
	eventually(t, "all gone", func() bool { s := h.Stats(); return s.Connections == 0 && s.Events == 0 })
	eventually(t, "descriptors are given back", func() bool { return descriptors()-open <= 3 }) // the listener
}

// TestMemoryOfManyEventNames: many names of the length that is allowed do not
// take the memory that they would.
func TestMemoryOfManyEventNames(t *testing.T) {
	const (
		names = 50_000
		most  = 64 << 20 // bytes
	)
	memory := heapInUse()
	h := start(t, hub.Options{})
	c, other := dialHub(t, h), dialHub(t, h)
	prefix := strings.Repeat("x", 1024-8)
	for id := int32(0); id < names; {
		var batch []byte
		for range 1000 {
			batch = wire.AppendPublish(batch, wire.EventRef{ID: id, Name: fmt.Sprintf("%s%08d", prefix, id)})
			id++
		}
		c.send(batch)
	}
	c.done()
	used := heapInUse() - memory
	t.Logf("%d MiB", used>>20)
	if used > most {
		t.Errorf("%d MiB of memory, want at most %d", used>>20, most>>20)
	}
	other.subscribe(0, "of another")
	other.signal(0, "goes on")
	other.await("goes on")
	c.close(h)
	eventually(t, "memory is given back", func() bool { return heapInUse()-memory < 8<<20 })
}
