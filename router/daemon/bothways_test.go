package daemon_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// Two federations of one hub that are relayed both ways. Takes the address of
// the hub that the router sees, and more keys of each source and sink.
const bothWays = `
[connections.north]
address = "%[1]s"
federation = "north"
[connections.south]
address = "%[1]s"
federation = "south"
[sources.north]
type = "imb"
connection = "north"
events = ["e"]
ignore_relayed = true
%[2]s
[sources.south]
type = "imb"
connection = "south"
events = ["e"]
ignore_relayed = true
%[2]s
[sinks.north]
type = "imb"
connection = "north"
%[2]s
[sinks.south]
type = "imb"
connection = "south"
%[2]s
[routes.to-south]
from = ["north"]
to = ["south"]
[routes.to-north]
from = ["south"]
to = ["north"]
`

// foreignHub is a hub that knows nothing of routers: their relay events are
// events like others to it. One that does not echo hands nothing back to its
// sender. It returns its address.
func foreignHub(t *testing.T, echoes bool) string {
	t.Helper()
	target, _ := imbtest.StartHub(t, hub.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			own := &sentEvents{count: map[string]int{}}
			running.Go(func() {
				defer server.(*net.TCPConn).CloseWrite()
				pass(client, server, func(f wire.Frame) []byte {
					if f.Command == wire.CmdEvent {
						own.add(f, 1)
					}
					return bytes.Replace(f.Raw, []byte("imbrouter.relay."), []byte("imbrouter-relay."), 1)
				})
			})
			running.Go(func() {
				defer client.Close()
				pass(server, client, func(f wire.Frame) []byte {
					if !echoes && f.Command == wire.CmdEvent && own.add(f, -1) {
						return nil
					}
					return f.Raw
				})
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

// pass passes frames on until the connection ends.
func pass(from, to net.Conn, change func(wire.Frame) []byte) {
	for r := wire.NewReader(from); ; {
		f, err := r.Next()
		if err != nil {
			return
		}
		if _, err := to.Write(change(f)); err != nil {
			return
		}
	}
}

// sentEvents are those that a client has sent and that have not come back.
type sentEvents struct {
	mu    sync.Mutex
	count map[string]int // by all but the event's id
}

// add adds to the number of equal events, unless there would be less than none.
func (s *sentEvents) add(f wire.Frame, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := string(f.Payload[4:])
	if s.count[key]+n < 0 {
		return false
	}
	s.count[key] += n
	return true
}

// Both directions carry more than all queues hold, and neither waits for the
// other: the echoes of the one do not stand in the way of the other.
func TestBothWaysUnderLoad(t *testing.T) {
	const streams, size = 4, 16 << 20
	addr, _ := imbtest.StartHub(t, hub.Options{QueueBytes: 1 << 20})
	l := listen(t, addr)
	r := start(t, bothWays, addr, `queue = "256KiB"`)

	var sending sync.WaitGroup
	want := map[string]int{}
	for _, from := range []string{"north", "south"} {
		out := publish(t, connect(t, addr), from+".e")
		sending.Go(func() {
			for i := range streams {
				body := io.LimitReader(zeros{}, size)
				if _, err := out.SendStream(t.Context(), fmt.Sprint(from, i), body, imb.StreamOptions{ChunkSize: 64 << 10}); err != nil {
					t.Error(err)
				}
			}
		})
		for _, to := range []string{"north", "south"} {
			for i := range streams {
				want[fmt.Sprintf("%s.e %s%d: %d bytes", to, from, i, size)]++
			}
		}
	}
	sending.Wait()
	got := map[string]int{}
	for _, line := range l.streams.Wait(t, len(want)) {
		got[line]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("arrived: %v\nwant: %v", got, want)
	}
	if r.logged("overflowed") || r.logged("lost") {
		t.Error("something was given up")
	}
}

// zeros is without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Nothing goes round, also when connections are lost in mid-traffic.
func TestBothWaysWithLostConnections(t *testing.T) {
	const messages, losses = 2000, 4
	forEachHub(t, func(t *testing.T, addr string, _ bool) {
		l := texts(t, addr)
		proxy := imbtest.NewProxy(t, addr)
		start(t, bothWays, proxy.Addr(), "")
		sender := connect(t, addr)
		north, south := publish(t, sender, "north.e"), publish(t, sender, "south.e")
		for i := range messages {
			send(t, north, fmt.Sprint("from north ", i))
			send(t, south, fmt.Sprint("from south ", i))
			if err := sender.Flush(t.Context()); err != nil { // not all at once
				t.Fatal(err)
			}
			switch each := messages / losses; i % each {
			case each / 2:
				proxy.Reset()
			case each - 1:
				awaitRelayed(t, l, north, "south", fmt.Sprint("after ", i))
				awaitRelayed(t, l, south, "north", fmt.Sprint("after ", i))
			}
		}
		count := count(l)
		for _, from := range []string{"north", "south"} {
			for _, to := range []string{"north", "south"} {
				lost := 0
				for i := range messages {
					switch n := count[fmt.Sprintf("%s.e: from %s %d", to, from, i)]; {
					case n == 0 && from != to:
						lost++
					case n != 1:
						t.Errorf("from %s in %s: %d came %d times", from, to, i, n)
					}
				}
				t.Logf("from %s in %s: %d of %d were lost with their connections", from, to, lost, messages)
			}
		}
	})
}

// What was relayed and got lost does not make the router take another sender's
// message for its own.
func TestBothWaysAfterALoss(t *testing.T) {
	const (
		messages = 100
		filler   = 64 << 10 // bytes; more than is lost of anything else
	)
	forEachHub(t, func(t *testing.T, addr string, spares bool) {
		l := texts(t, addr)
		proxy := imbtest.NewProxy(t, addr)
		r := start(t, bothWays, proxy.Addr(), "")
		north := publish(t, connect(t, addr), "north.e")
		south := publish(t, connect(t, addr), "south.e")
		awaitRelayed(t, l, north, "south", "first")
		awaitRelayed(t, l, south, "north", "first")

		proxy.SwallowAfter(0)
		text := func(i int) string { return fmt.Sprintf("this goes to the south, and is lost: %d", i) }
		size := 0 // of their frames
		for i := range messages {
			send(t, north, text(i))
			size += len(wire.AppendEvent(nil, wire.Event{Data: wire.AppendString(nil, text(i))}))
		}
		// What the connection has not taken whole is sent again on the next one. So
		// more follows until it is certain that all of them are lost.
		send(t, north, strings.Repeat("filler", filler/len("filler")))
		lost := func() bool { return proxy.Swallowed() > int64(size+filler/2) }
		imbtest.Eventually(t, lost, "what goes to the south is lost")
		proxy.Reset()
		proxy.Resume()
		if !spares {
			// Markers from before may be lost as well, so that it is that many or more.
			forgotten := regexp.MustCompile(`no longer waited for" source=south count=([1-9]\d{2,})`)
			imbtest.Eventually(t, func() bool { return forgotten.MatchString(r.Logged.String()) }, "the source in the south forgets %d messages", messages)
		}
		awaitRelayed(t, l, north, "south", "after")
		awaitRelayed(t, l, south, "north", "after")
		for i := range messages {
			send(t, south, text(i))
		}
		imbtest.Eventually(t, func() bool {
			count := count(l)
			for i := range messages {
				if count["north.e: "+text(i)] != 2 {
					return false
				}
			}
			return true
		}, "each arrives in the north, once from there and once from the south")
	})
}

// Both sides say the same at the same time, from the first message on, when the
// router has yet to find out what kind of hub it is: of the hub of this project
// nobody's message is taken for one that comes back.
func TestBothWaysFromTheFirstMessage(t *testing.T) {
	const messages = 20_000
	addr, _ := imbtest.StartHub(t, hub.Options{})
	l := texts(t, addr)
	start(t, bothWays, addr, "")
	var sending sync.WaitGroup
	for _, from := range []string{"north", "south"} {
		e := publish(t, connect(t, addr), from+".e")
		sending.Go(func() {
			for i := range messages {
				send(t, e, fmt.Sprint(i))
			}
		})
	}
	sending.Wait()
	l.Wait(t, 4*messages)
	for text, n := range count(l) {
		if n != 2 {
			t.Errorf("%q came %d times", text, n)
		}
	}
}

func forEachHub(t *testing.T, test func(t *testing.T, addr string, spares bool)) {
	t.Run("own hub", func(t *testing.T) {
		addr, _ := imbtest.StartHub(t, hub.Options{})
		test(t, addr, true)
	})
	t.Run("foreign hub", func(t *testing.T) { test(t, foreignHub(t, true), false) })
	t.Run("foreign hub without echoes", func(t *testing.T) { test(t, foreignHub(t, false), false) })
}

func send(t *testing.T, e *imb.Event, text string) {
	t.Helper()
	if err := e.SignalString(t.Context(), text); err != nil {
		t.Error(err)
	}
}

// texts collects the signals of both federations, with their events.
func texts(t *testing.T, addr string) *imbtest.Collector[string] {
	t.Helper()
	c := connect(t, addr)
	got := new(imbtest.Collector[string])
	for _, name := range []string{"north.e", "south.e"} {
		e, err := c.Subscribe(name)
		if err != nil {
			t.Fatal(err)
		}
		e.HandleAll(func(m imb.Message) {
			d := wire.NewDecoder(m.Data)
			got.Add(name + ": " + d.String())
		})
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return got
}

func count(got *imbtest.Collector[string]) map[string]int {
	n := map[string]int{}
	for _, text := range got.All() {
		n[text]++
	}
	return n
}

// awaitRelayed waits until what is sent on an event arrives in the other
// federation. What is sent begins with a word that no other call has.
func awaitRelayed(t *testing.T, got *imbtest.Collector[string], from *imb.Event, to, word string) {
	t.Helper()
	text := word + " marker on " + from.Name()
	n := 0
	imbtest.Eventually(t, func() bool {
		n++
		send(t, from, fmt.Sprint(text, n))
		return slices.ContainsFunc(got.All(), func(line string) bool { return strings.HasPrefix(line, to+".e: "+text) })
	}, "what is sent on %s arrives in the %s", from.Name(), to)
}
