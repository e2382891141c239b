package imb_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

const federation = "demo"

// connect connects a client that is closed when the test is over.
func connect(t testing.TB, o imb.Options) *imb.Client {
	t.Helper()
	if o.Federation == "" {
		o.Federation = federation
	}
	c, err := imb.Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, c) })
	return c
}

// closeNow closes a client, whatever it has not sent.
func closeNow(t testing.TB, c *imb.Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c.Close(ctx)
	if c.State() != imb.Closed {
		t.Errorf("state after Close: %v", c.State())
	}
}

// connectHub connects a client to a hub of its own.
func connectHub(t testing.TB, o imb.Options) *imb.Client {
	t.Helper()
	o.Address, _ = imbtest.StartHub(t, hub.Options{})
	return connect(t, o)
}

// letPass lets time pass in a synctest bubble, and what happens in it be done.
func letPass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ready publishes and subscribes an event, and waits until the hub knows.
func ready(t testing.TB, c *imb.Client, e *imb.Event) {
	t.Helper()
	must(t, e.Publish())
	must(t, e.Subscribe())
	must(t, c.Flush(t.Context()))
}

func text(s string) []byte { return wire.AppendString(nil, s) }

// collectTexts gathers the strings of an event's normal events.
func collectTexts(t testing.TB, e *imb.Event) *imbtest.Collector[string] {
	t.Helper()
	got := new(imbtest.Collector[string])
	_, err := e.Handle(wire.NormalEvent, func(m imb.Message) {
		s, err := wire.ParseText(m.Data)
		if err != nil {
			s = err.Error()
		}
		got.Add(s)
	})
	must(t, err)
	return got
}

// received is an incoming stream and what became of it.
type received struct {
	imb.IncomingStream
	Data  []byte
	Err   error
	Ended bool
}

// streamRecorder receives all streams of an event.
type streamRecorder struct {
	failWrite error // what every Write returns

	mu      sync.Mutex
	started []*received
}

func recordStreams(e *imb.Event) *streamRecorder {
	r := new(streamRecorder)
	e.HandleStreams(r.start)
	return r
}

func (r *streamRecorder) start(s imb.IncomingStream) imb.StreamReceiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := &received{IncomingStream: s}
	r.started = append(r.started, got)
	return recording{r, got}
}

// all returns the streams so far, in the order of their beginning.
func (r *streamRecorder) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []received
	for _, s := range r.started {
		c := *s
		c.Data = bytes.Clone(s.Data)
		all = append(all, c)
	}
	return all
}

// wait waits until n streams have ended and returns all.
func (r *streamRecorder) wait(t testing.TB, n int) []received {
	t.Helper()
	imbtest.Eventually(t, func() bool {
		ended := 0
		for _, s := range r.all() {
			if s.Ended {
				ended++
			}
		}
		return ended >= n
	}, "%d streams end", n)
	return r.all()
}

type recording struct {
	recorder *streamRecorder
	stream   *received
}

func (r recording) Write(p []byte) (int, error) {
	r.recorder.mu.Lock()
	defer r.recorder.mu.Unlock()
	if r.recorder.failWrite != nil {
		return 0, r.recorder.failWrite
	}
	r.stream.Data = append(r.stream.Data, p...)
	return len(p), nil
}

func (r recording) End(err error) {
	r.recorder.mu.Lock()
	defer r.recorder.mu.Unlock()
	if r.stream.Ended {
		panic("End called twice")
	}
	r.stream.Err, r.stream.Ended = err, true
}

// scriptedHub is the hub at which a client of the test connects: the test plays
// it itself, in memory.
type scriptedHub struct {
	t     testing.TB
	conns chan net.Conn
}

func newScriptedHub(t testing.TB) *scriptedHub {
	return &scriptedHub{t, make(chan net.Conn)}
}

// Dial is for imb.Options; it waits until the test accepts.
func (h *scriptedHub) Dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case h.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// accept waits for the client to dial.
func (h *scriptedHub) accept() *peer {
	h.t.Helper()
	select {
	case conn := <-h.conns:
		return &peer{RawConn: imbtest.NewRawConn(h.t, conn), conn: conn, echo: true, ids: make(map[string]int32), names: make(map[int32]string)}
	case <-time.After(time.Minute):
		h.t.Fatal("the client did not dial")
		return nil
	}
}

// peer is the hub's side of a connection. It behaves like a hub as far as
// serve is called.
type peer struct {
	*imbtest.RawConn
	conn     net.Conn
	echo     bool             // send events back
	ids      map[string]int32 // the client's ids of the events that it subscribed, by name
	names    map[int32]string // and the reverse, also of those that it published
	requests int              // of the unique client id
}

// hubID is what the peer calls the event that the client gave an id.
func hubID(clientID int32) int32 { return clientID + 100 }

// serve reads one frame and answers as a hub does.
func (p *peer) serve() wire.Frame {
	f := p.Next()
	switch f.Command {
	case wire.CmdSubscribe, wire.CmdPublish:
		r, _ := wire.ParseEventRef(f.Payload)
		p.names[r.ID] = r.Name
		if f.Command == wire.CmdSubscribe {
			p.ids[r.Name] = r.ID
			p.Send(wire.AppendSetEventIDTranslation(nil, wire.Translation{HubID: hubID(r.ID), ClientID: r.ID}))
		}
	case wire.CmdUniqueClientID:
		p.requests++
		p.Send(wire.AppendUniqueClientID(nil, wire.UniqueClientID{ID: 0x10000001, Handle: 1}))
	case wire.CmdEvent:
		e, _ := wire.ParseEvent(f.Payload)
		if _, subscribed := p.ids[p.names[e.ID]]; subscribed && p.echo {
			e.ID = hubID(e.ID)
			p.Send(wire.AppendEvent(nil, e))
		}
	}
	return f
}

// greet serves the client's greeting, up to the last request of the probe, and
// returns its frames.
func (p *peer) greet() []wire.Frame {
	var frames []wire.Frame
	for p.requests < 2 {
		frames = append(frames, p.serve())
	}
	return frames
}

// serveUntil serves frames up to one of that command.
func (p *peer) serveUntil(c wire.Command) wire.Frame {
	for {
		if f := p.serve(); f.Command == c {
			return f
		}
	}
}

// swallow takes everything from now on and answers nothing.
func (p *peer) swallow() {
	p.conn.SetReadDeadline(time.Time{})
	go io.Copy(io.Discard, p.conn) // until either side closes
}

// event makes an event frame as the hub sends it to the client.
func (p *peer) event(name string, kind wire.Kind, data []byte) []byte {
	return wire.AppendEvent(nil, wire.Event{ID: hubID(p.ids[name]), Kind: kind, Data: data})
}

// The parts of a stream as the hub sends them.

func (p *peer) header(event string, id int32, name string) []byte {
	return p.event(event, wire.StreamHeader, wire.AppendStreamStart(nil, wire.StreamStart{StreamID: id, Name: name}))
}

func (p *peer) body(event string, id int32, data string) []byte {
	return p.event(event, wire.StreamBody, wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: id, Bytes: []byte(data)}))
}

func (p *peer) tail(event string, id int32, data string) []byte {
	return p.event(event, wire.StreamTail, wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: id, Bytes: []byte(data)}))
}

// connectScripted connects a client to a hub that the test plays from then on.
// setUp prepares the client before it greets.
func connectScripted(t testing.TB, o imb.Options, setUp func(*imb.Client)) (*imb.Client, *scriptedHub, *peer) {
	t.Helper()
	h := newScriptedHub(t)
	o.Dial, o.Retry = h.Dial, true
	c := connect(t, o)
	if setUp != nil {
		setUp(c)
	}
	p := h.accept()
	p.greet()
	imbtest.Eventually(t, func() bool { return c.State() == imb.Connected }, "the client connects")
	return c, h, p
}

// stateRecorder records changes of state, for imb.Options.
type stateRecorder struct{ imbtest.Collector[stateChange] }

type stateChange struct {
	State imb.State
	Err   error
}

func (r *stateRecorder) record(s imb.State, err error) { r.Add(stateChange{s, err}) }

// lastLoss returns the cause of the last loss, or nil.
func (r *stateRecorder) lastLoss() error {
	var err error
	for _, c := range r.All() {
		if c.State == imb.Connecting {
			err = c.Err
		}
	}
	return err
}

// logRecorder is a log whose lines can be looked at.
type logRecorder struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logRecorder) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logRecorder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// count returns how many lines hold a text.
func (l *logRecorder) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range bytes.Lines(l.buf.Bytes()) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}
	return n
}
