package hub_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// TestClose: every client gets what is queued for it, and endSession.
func TestClose(t *testing.T) {
	h := hub.New(hub.Options{})
	l := serve(t, h)
	clients := []*client{dialHub(t, h), dialTCP(t, l), dialTCP(t, l)}
	for _, c := range clients {
		c.subscribe(0, "fed.x")
		c.done()
	}
	clients[0].signal(0, "last")
	clients[0].done()
	closed := make(chan error, 1)
	go func() { closed <- h.Close() }()
	for i, c := range clients {
		want := []string{`event 0 normal "last"`, `endSession ""`}
		if i == 0 {
			want = want[1:]
		}
		for _, want := range want {
			if got := describe(c.next()); got != want {
				t.Errorf("client %d got %s, want %s", i, got, want)
			}
		}
		if _, err := c.r.Next(); err != io.EOF {
			t.Errorf("client %d: %v", i, err)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if _, err := h.Dial(context.Background()); !errors.Is(err, hub.ErrClosed) {
		t.Errorf("Dial: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the port is still open")
	}
	if s := h.Stats(); s.Connections != 0 || s.Events != 0 {
		t.Errorf("%+v", s)
	}
}

// TestCloseWithoutUse starts nothing and leaves nothing.
func TestCloseWithoutUse(t *testing.T) {
	if err := hub.New(hub.Options{}).Close(); err != nil {
		t.Error(err)
	}
}

// TestCloseIsBounded: clients that do not read, and senders that wait for
// them, do not hold Close up.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{QueueBytes: queueBytes})
		stuck, sender := dialHub(t, h), dialHub(t, h)
		stuck.subscribe(0, "fed.x")
		stuck.done()
		sender.publish(0, "fed.x")
		sender.done()
		go func() {
			for {
				if _, err := sender.conn.Write(signal(0, strings.Repeat("x", 1000))); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		began := time.Now()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestHalfClose: a client that has nothing more to say still gets what is
// queued for it.
func TestHalfClose(t *testing.T) {
	h := start(t, hub.Options{})
	c := dialTCP(t, serve(t, h))
	c.subscribe(0, "fed.x")
	const signals = 10_000
	var batch []byte
	for range signals {
		batch = append(batch, signal(0, "one of many")...)
	}
	go func() {
		c.conn.Write(batch)
		c.conn.(*net.TCPConn).CloseWrite()
	}()
	events := 0
	for {
		f, err := c.r.Next()
		if err != nil {
			if err != io.EOF || events != signals {
				t.Errorf("%d events, then %v", events, err)
			}
			return
		}
		if f.Command == wire.CmdEvent {
			events++
		}
	}
}

// TestDialCancelled: a context that has ended makes no connection.
func TestDialCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	h := start(t, hub.Options{})
	if _, err := h.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// flakyListener fails a few times.
type flakyListener struct {
	net.Listener
	failures atomic.Int32
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, os.NewSyscallError("accept4", syscall.EMFILE)
	}
	return l.Listener.Accept()
}

// TestAcceptFails: the hub goes on when connections can be accepted again.
func TestAcceptFails(t *testing.T) {
	var log logBook
	h := hub.New(hub.Options{Log: log.logger()})
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &flakyListener{Listener: inner}
	l.failures.Store(3)
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	dialTCP(t, inner).expect()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != hub.ErrClosed {
		t.Errorf("Serve: %v", err)
	}
	if n := len(log.lines("level=ERROR", "too many open files; raise LimitNOFILE=", "max_connections")); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if n := len(log.lines("accepted again", "failures=3")); n != 1 {
		t.Errorf("told %d times that all is well", n)
	}
}

// TestServeEndsWithItsListener: a listener that its owner closes ends Serve,
// and a closed hub takes no other.
func TestServeEndsWithItsListener(t *testing.T) {
	h := hub.New(hub.Options{})
	serveOn := func() (net.Listener, chan error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- h.Serve(l) }()
		return l, served
	}
	l, served := serveOn()
	c := dialTCP(t, l)
	l.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	c.expect() // goes on
	c.conn.Close()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	l, served = serveOn()
	if err := <-served; err != hub.ErrClosed {
		t.Errorf("Serve: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener of a closed hub: %v", err)
	}
}
