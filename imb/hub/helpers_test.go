package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns a hub that is closed when the test ends.
func start(t testing.TB, o hub.Options) *hub.Hub {
	h := hub.New(o)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return h
}

// client is a connection to a hub that speaks the bare protocol.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *wire.Reader
	wire.UniqueClientID
}

// dialHub connects within the process, and reads the greeting.
func dialHub(t testing.TB, h *hub.Hub) *client {
	t.Helper()
	conn, err := h.Dial(context.Background())
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	return greeted(t, conn)
}

// dialTCP connects to a hub that serves on a socket, and reads the greeting.
func dialTCP(t testing.TB, l net.Listener) *client {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return greeted(t, conn)
}

func greeted(t testing.TB, conn net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second)) // of a test that hangs
	c := &client{t: t, conn: conn, r: wire.NewReader(conn)}
	f := c.next()
	var err error
	if c.UniqueClientID, err = wire.ParseUniqueClientID(f.Payload); f.Command != wire.CmdUniqueClientID || err != nil {
		t.Fatalf("greeting is %s", describe(f))
	}
	return c
}

// next returns the next frame that the hub sends.
func (c *client) next() wire.Frame {
	c.t.Helper()
	f, err := c.r.Next()
	if err != nil {
		c.t.Fatalf("connection ended: %v", err)
	}
	return f
}

// send writes bytes to the hub.
func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatalf("cannot send: %v", err)
	}
}

// told returns what the hub has told the client since it was asked last, up to
// now: it asks for the unique client id, and so knows when it has read all.
// Everything that the client has sent before has then been worked off.
func (c *client) told() []string {
	c.t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := c.conn.Write(wire.AppendUniqueClientID(nil, wire.UniqueClientID{}))
		sent <- err
	}()
	var told []string
	for {
		f := c.next()
		if f.Command == wire.CmdUniqueClientID {
			if err := <-sent; err != nil {
				c.t.Fatal(err)
			}
			return told
		}
		told = append(told, describe(f))
	}
}

// expect fails the test unless the hub has told exactly that.
func (c *client) expect(want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.told()); diff != "" {
		c.t.Errorf("told (-want +got):\n%s", diff)
	}
}

// done waits until the hub has worked off what the client sent.
func (c *client) done() {
	c.t.Helper()
	c.told()
}

// close ends the connection and waits until the hub has noticed.
func (c *client) close(h *hub.Hub) {
	c.t.Helper()
	before := h.Stats().Connections
	c.conn.Close()
	eventually(c.t, "a connection less", func() bool { return h.Stats().Connections < before })
}

func (c *client) subscribe(id int32, name string) {
	c.t.Helper()
	c.send(wire.AppendSubscribe(nil, wire.EventRef{ID: id, Name: name}))
}

func (c *client) publish(id int32, name string) {
	c.t.Helper()
	c.send(wire.AppendPublish(nil, wire.EventRef{ID: id, Name: name}))
}

func (c *client) unsubscribe(name string) {
	c.t.Helper()
	c.send(wire.AppendText(nil, wire.CmdUnsubscribe, name))
}

func (c *client) unpublish(name string) {
	c.t.Helper()
	c.send(wire.AppendText(nil, wire.CmdUnpublish, name))
}

// signal sends a normal event with free bytes.
func (c *client) signal(id int32, data string) {
	c.t.Helper()
	c.send(signal(id, data))
}

func signal(id int32, data string) []byte {
	return wire.AppendEvent(nil, wire.Event{ID: id, Kind: wire.NormalEvent, Data: []byte(data)})
}

func (c *client) stream(kind wire.Kind, id, stream int32, text string) {
	c.t.Helper()
	c.send(streamPart(kind, id, stream, text))
}

// streamPart is a part of a stream; of a header the text is the stream's name.
func streamPart(kind wire.Kind, id, stream int32, text string) []byte {
	data := wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: stream, Bytes: []byte(text)})
	if kind == wire.StreamHeader {
		data = wire.AppendStreamStart(nil, wire.StreamStart{StreamID: stream, Name: text})
	}
	return wire.AppendEvent(nil, wire.Event{ID: id, Kind: kind, Data: data})
}

func (c *client) setVariable(name, value string) {
	c.t.Helper()
	c.send(wire.AppendSetVariable(nil, wire.Variable{Name: name, Value: []byte(value)}))
}

// describe tells a frame from the hub in one line.
func describe(f wire.Frame) string {
	switch f.Command {
	case wire.CmdSetEventIDTranslation:
		t, err := wire.ParseSetEventIDTranslation(f.Payload)
		return line(err, "hub %d = client %d", t.HubID, t.ClientID)
	case wire.CmdPublish, wire.CmdSubscribe:
		r, err := wire.ParseEventRef(f.Payload)
		return line(err, "%v %d %d %q", f.Command, r.ID, r.EntryType, r.Name)
	case wire.CmdUnpublish, wire.CmdUnsubscribe:
		name, err := wire.ParseText(f.Payload)
		return line(err, "%v %q", f.Command, name)
	case wire.CmdSetVariable:
		v, err := wire.ParseSetVariable(f.Payload)
		return line(err, "%q = %q", v.Name, v.Value)
	case wire.CmdEvent:
		e, err := wire.ParseEvent(f.Payload)
		if e.Kind.IsStream() {
			s, err := wire.ParseStreamChunk(e.Data)
			return line(err, "event %d %v %d %q", e.ID, e.Kind, s.StreamID, s.Bytes)
		}
		return line(err, "event %d %v %q", e.ID, e.Kind, e.Data)
	default:
		return line(nil, "%v %q", f.Command, f.Payload)
	}
}

func line(err error, format string, args ...any) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf(format, args...)
}

// header is how describe tells the header of a stream.
func header(id, stream int32, name string) string {
	return fmt.Sprintf("event %d stream %d %q", id, stream, wire.AppendString(nil, name))
}

// listen serves the hub on a free port of the loopback interface.
func serve(t testing.TB, h *hub.Hub) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	t.Cleanup(func() {
		h.Close()
		if err := <-served; err != hub.ErrClosed {
			t.Errorf("Serve: %v", err)
		}
	})
	return l
}

// eventually waits for a condition that nothing tells of.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-tick.C
	}
}

// logBook keeps what a hub logs.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// lines returns the lines that hold all of the texts.
func (b *logBook) lines(texts ...string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
next:
	for line := range strings.Lines(b.buf.String()) {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue next
			}
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}
