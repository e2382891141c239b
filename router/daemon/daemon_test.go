package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/daemon/daemontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a daemon under test.
type running struct{ *daemontest.Daemon }

// start runs a configuration, whose text is formatted, until the test ends, and
// returns when it is ready.
func start(t testing.TB, text string, args ...any) running {
	t.Helper()
	return startWith(t, nil, text, args...)
}

// startWith is start with a sink that is of the type "own" in the configuration.
func startWith(t testing.TB, sink router.Sink, text string, args ...any) running {
	t.Helper()
	return running{daemontest.Start(t, fmt.Sprintf(text, args...), daemontest.Options{Sink: sink})}
}

// reload puts another configuration in the place of the one that runs.
func (r running) reload(text string, args ...any) error {
	_, err := r.Reload(context.Background(), r.Parse(fmt.Sprintf(text, args...)))
	return err
}

func (r running) logged(text string) bool { return strings.Contains(r.Logged.String(), text) }

// listen subscribes to everything of a hub.
type listener struct {
	client  *imb.Client
	signals imbtest.Collector[string]
	streams imbtest.Collector[string] // event, name, and length or error
}

func listen(t *testing.T, addr string) *listener {
	t.Helper()
	l := &listener{client: connect(t, addr)}
	e, err := l.client.Subscribe("*")
	if err != nil {
		t.Fatal(err)
	}
	e.HandleAll(func(m imb.Message) {
		l.signals.Add(fmt.Sprintf("%s kind %v flags %x tick %d: %s", m.Name, m.Kind, m.Flags, m.Tick, m.Data))
	})
	e.HandleStreams(func(in imb.IncomingStream) imb.StreamReceiver {
		return &heard{l: l, in: in}
	})
	if err := l.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

type heard struct {
	l    *listener
	in   imb.IncomingStream
	body bytes.Buffer
}

func (h *heard) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *heard) End(err error) {
	if err != nil {
		h.l.streams.Add(fmt.Sprintf("%s %s cut off after %d: %v", h.in.Name, h.in.StreamName, h.body.Len(), err))
		return
	}
	h.l.streams.Add(fmt.Sprintf("%s %s: %d bytes", h.in.Name, h.in.StreamName, h.body.Len()))
}

func connect(t testing.TB, addr string) *imb.Client {
	t.Helper()
	c, err := imb.Connect(t.Context(), imb.Options{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil && !errors.Is(err, imb.ErrNotConnected) {
			t.Errorf("closing a client: %v", err)
		}
	})
	return c
}

func publish(t testing.TB, c *imb.Client, name string) *imb.Event {
	t.Helper()
	e, err := c.Publish(name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const relay = `
[connections.north]
address = "%s"
federation = "north"
[connections.south]
address = "%s"
federation = "south"
[sources.north]
type = "imb"
connection = "north"
events = ["*", "=other.event"]
[sinks.south]
type = "imb"
connection = "south"
[routes.relay]
from = ["north"]
to = ["south"]
`

func TestRelayKeepsAllButTheFederation(t *testing.T) {
	north, _ := imbtest.StartHub(t, hub.Options{})
	south, _ := imbtest.StartHub(t, hub.Options{})
	l := listen(t, south)
	start(t, relay, north, south)

	c := connect(t, north)
	for _, m := range []imb.Message{
		{Kind: wire.NormalEvent, Data: []byte("free bytes")},
		{Kind: wire.Buffer, Flags: wire.Priority, Tick: 7, Data: wire.AppendBuffer(nil, wire.BufferData{Bytes: []byte("b")})},
		{Kind: 77, Flags: 0x4200, Tick: -1, Data: []byte("a kind without a name")},
	} {
		if err := publish(t, c, "north.a.b").Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := publish(t, c, "other.event").SignalString(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	_, err := publish(t, c, "north.files").SendStream(t.Context(), "dir/name", bytes.NewReader(make([]byte, 300_000)), imb.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(l.signals.Wait(t, 4), "\n") + "\n" + strings.Join(l.streams.Wait(t, 1), "\n")
	want := "south.a.b kind normal flags 0 tick 0: free bytes\n" +
		"south.a.b kind buffer flags 100 tick 7: \x00\x00\x00\x00\x01\x00\x00\x00b\n" +
		"south.a.b kind 77 flags 4200 tick -1: a kind without a name\n" +
		"south.other.event kind normal flags 0 tick 0: \x01\x00\x00\x00x\n" +
		"south.files dir/name: 300000 bytes"
	if got != want {
		t.Errorf("the south got\n%s\nwant\n%s", got, want)
	}
}

// A sender that goes away in the middle of a stream leaves it without a tail,
// and so does the relay.
func TestRelayOfAStreamThatIsCutOff(t *testing.T) {
	north, _ := imbtest.StartHub(t, hub.Options{})
	south, _ := imbtest.StartHub(t, hub.Options{})
	raw := imbtest.DialRaw(t, south)
	raw.ExpectCommand(wire.CmdUniqueClientID) // the greeting
	raw.Send(wire.AppendSubscribe(nil, wire.EventRef{Name: "south.files"}))
	raw.Sync()
	d := start(t, strings.Replace(relay, "[sinks", "stream_timeout = \"100ms\"\n[sinks", 1), north, south)

	c := connect(t, north)
	out, err := publish(t, c, "north.files").OpenStream(t.Context(), "half", imb.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(make([]byte, 50_000)); err != nil {
		t.Fatal(err)
	}
	out.Abort()
	imbtest.Eventually(t, func() bool { return d.logged("stream lost") }, "the log tells of a lost stream")
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	kindsSeen := map[wire.Kind]int{}
	for _, f := range raw.Sync() {
		if f.Command == wire.CmdEvent {
			kindsSeen[wire.EventKind(f.Payload)]++
		}
	}
	if kindsSeen[wire.StreamHeader] != 1 || kindsSeen[wire.StreamBody] == 0 || kindsSeen[wire.StreamTail] != 0 {
		t.Errorf("the south got %v, want a header, bodies and no tail", kindsSeen)
	}
}

// The destination of a relay is lost while a stream goes through: it ends there
// without a tail, although the source goes on to the end, and the next one is
// whole again.
func TestRelayWhoseDestinationIsLost(t *testing.T) {
	north, _ := imbtest.StartHub(t, hub.Options{})
	south, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, south)
	l := listen(t, south)
	d := start(t, relay, north, proxy.Addr())
	imbtest.Eventually(t, func() bool { return proxy.Connections() == 1 }, "the router is connected")

	c := connect(t, north)
	event := publish(t, c, "north.files")
	out, err := event.OpenStream(t.Context(), "first", imb.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(make([]byte, 500_000)); err != nil {
		t.Fatal(err)
	}
	proxy.Reset()
	imbtest.Eventually(t, func() bool { return d.logged("lost the connection") && proxy.Connections() == 1 }, "the router is connected again")
	if _, err := out.Write(make([]byte, 500_000)); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	imbtest.Eventually(t, func() bool { return d.logged("stream lost") }, "the log tells of a lost stream")
	imbtest.Eventually(t, func() bool {
		_, err := event.SendStream(t.Context(), "later", bytes.NewReader(make([]byte, 1000)), imb.StreamOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range l.streams.All() {
			if s == "south.files later: 1000 bytes" {
				return true
			}
		}
		return false
	}, "a later stream arrives")
	for _, s := range l.streams.All() {
		if strings.HasPrefix(s, "south.files first: ") {
			t.Errorf("the stream whose destination was lost arrived as a whole one: %s", s)
		}
	}
}

// A hub that is down at the start is waited for; files stay where they are.
func TestHubDownAtStart(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	proxy.Refuse(true)
	d := start(t, `
[connections.c]
address = "%s"
[sources.drop]
type = "dir"
path = "drop"
[sinks.out]
type = "imb"
event = "files"
[routes.send]
from = ["drop"]
to = ["out"]
`, proxy.Addr())
	d.write(t, "drop/a.txt", "hello")
	imbtest.Eventually(t, func() bool { return d.logged("destination is not available") }, "the log says why the file stays")
	if !d.Exists("drop/a.txt") {
		t.Fatal("the file does not stay")
	}
	l := listen(t, addr)
	proxy.Refuse(false)
	if got := l.streams.Wait(t, 1)[0]; got != "files a.txt: 5 bytes" {
		t.Errorf("received %q", got)
	}
	imbtest.Eventually(t, func() bool { return d.Exists("drop/sent/a.txt") }, "the file is in sent/")
}

// Signals wait in the sink's queue while the hub is away, or fail as configured.
func TestSignalsWhileTheDestinationIsAway(t *testing.T) {
	for _, whenDown := range []string{"queue", "fail"} {
		t.Run(whenDown, func(t *testing.T) {
			north, _ := imbtest.StartHub(t, hub.Options{})
			south, _ := imbtest.StartHub(t, hub.Options{})
			proxy := imbtest.NewProxy(t, south)
			proxy.Refuse(true)
			l := listen(t, south)
			d := start(t, strings.Replace(relay, "[routes", "when_down = \""+whenDown+"\"\n[routes", 1), north, proxy.Addr())
			event := publish(t, connect(t, north), "north.e")
			if err := event.SignalString(t.Context(), "early"); err != nil {
				t.Fatal(err)
			}
			if whenDown == "fail" {
				imbtest.Eventually(t, func() bool { return d.logged("signal failed") }, "the log tells of a lost signal")
			}
			if err := event.SignalString(t.Context(), "early too"); err != nil {
				t.Fatal(err)
			}
			if whenDown == "queue" {
				proxy.Refuse(false)
				got := l.signals.Wait(t, 2)
				if !strings.HasSuffix(got[0], "early") || !strings.HasSuffix(got[1], "early too") {
					t.Errorf("received %q", got)
				}
			}
		})
	}
}
