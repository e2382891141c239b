package hub_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

func TestMaxConnections(t *testing.T) {
	var log logBook
	h := start(t, hub.Options{MaxConnections: 2, Log: log.logger()})
	l := serve(t, h)
	a := dialHub(t, h)
	dialTCP(t, l)
	for range 3 {
		if _, err := h.Dial(context.Background()); !errors.Is(err, hub.ErrTooManyConnections) {
			t.Errorf("Dial: %v", err)
		}
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes from a connection beyond the limit", n)
		}
		conn.Close()
	}
	if s := h.Stats(); s.Connections != 2 || s.Refused != 6 {
		t.Errorf("%d connections, %d refused", s.Connections, s.Refused)
	}
	if lines := log.lines("level=WARN", "refused", "limit=2"); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
	a.close(h)
	dialHub(t, h).expect()
}

// TestMaxEvents: a connection has so many events and no more; what it has goes
// on to work, and what it gives up can be replaced.
func TestMaxEvents(t *testing.T) {
	var log logBook
	h := start(t, hub.Options{MaxEvents: 3, Log: log.logger()})
	c, other := dialHub(t, h), dialHub(t, h)
	c.subscribe(0, "a")
	c.publish(1, "b")
	c.subscribe(2, "c")
	c.subscribe(3, "d")
	c.publish(4, "e")
	c.subscribe(5, "f*")
	c.subscribe(6, "a")
	c.expect("hub 0 = client 0", "hub 2 = client 2")
	if n := h.Stats().Events; n != 3 {
		t.Errorf("%d events", n)
	}
	if lines := log.lines("level=WARN", "refused", "limit=3"); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
	c.signal(0, "goes on")
	c.publish(0, "a") // not one more
	c.unsubscribe("c")
	c.subscribe(2, "f*")
	c.expect(`event 0 normal "goes on"`, "hub 2 = client -1")
	other.publish(0, "f1")
	other.publish(1, "f2")
	other.expect(`subscribe 2 0 "f1"`)
	c.expect("hub 2 = client 2", `publish 2 0 "f1"`)
	other.publish(2, "g") // the limit is each connection's own
	other.subscribe(3, "g too many")
	other.expect()
}

// TestMaxEventsUnderOneName: ids for one name count each.
func TestMaxEventsUnderOneName(t *testing.T) {
	h := start(t, hub.Options{MaxEvents: 3})
	c := dialHub(t, h)
	for id := range int32(10) {
		c.subscribe(id, strings.Replace("aaaaaaaaaa", "a", "A", int(id)))
	}
	c.expect("hub 0 = client 0", "hub 0 = client 1", "hub 0 = client 2")
}

// TestManyEventNames: 100,000 names from one client are bounded, and all of it
// is given back.
func TestManyEventNames(t *testing.T) {
	h := start(t, hub.Options{})
	c := dialHub(t, h)
	var batch []byte
	for id := range int32(100_000) {
		batch = wire.AppendPublish(batch, wire.EventRef{ID: id, Name: fmt.Sprintf("fed.event %d", id)})
	}
	c.send(batch)
	c.expect()
	if n := h.Stats().Events; n != 20_000 {
		t.Errorf("%d events", n)
	}
	c.close(h)
	if n := h.Stats().Events; n != 0 {
		t.Errorf("%d events are left over", n)
	}
}

func TestLongNames(t *testing.T) {
	h := start(t, hub.Options{})
	c := dialHub(t, h)
	c.subscribe(0, strings.Repeat("x", 1024))
	c.subscribe(1, strings.Repeat("x", 1025))
	c.publish(2, strings.Repeat("y", 1<<20))
	c.expect("hub 0 = client 0")
	if n := h.Stats().Events; n != 1 {
		t.Errorf("%d events", n)
	}
}

// TestIdleMemory: a thousand idle connections take well below 32 MiB.
func TestIdleMemory(t *testing.T) {
	const connections = 1000
	h := start(t, hub.Options{})
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := inUse()
	var clients []*client
	for range connections {
		c := dialHub(t, h)
		c.subscribe(0, "fed.x")
		c.publish(0, "fed.x")
		clients = append(clients, c)
	}
	for _, c := range clients {
		c.done()
	}
	// A client here has a reader of its own with a buffer of 4 KiB.
	per := (inUse()-before)/connections - 4<<10
	t.Logf("%d bytes a connection", per)
	if per > 24<<10 {
		t.Errorf("an idle connection takes %d bytes", per)
	}
	runtime.KeepAlive(clients)
}
