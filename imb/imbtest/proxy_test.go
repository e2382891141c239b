package imbtest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imbrouter/imb/imbtest"
)

// startEcho starts a server that sends back what it gets. It returns its
// address, and how many connections it has.
func startEcho(t *testing.T) (addr string, connections func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	open := 0
	count := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		open += n
		return open
	}
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			count(1)
			running.Go(func() {
				io.Copy(c, c)
				c.Close()
				count(-1)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l.Addr().String(), func() int { return count(0) }
}

// line is a client's end of a connection through a proxy to an echo server.
type line struct {
	t *testing.T
	*net.TCPConn
}

func dial(t *testing.T, addr string) line {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return line{t, c.(*net.TCPConn)}
}

func (l line) send(p []byte) {
	l.t.Helper()
	if _, err := l.Write(p); err != nil {
		l.t.Fatalf("sending: %v", err)
	}
}

func (l line) expect(want string) {
	l.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(l, got); err != nil || string(got) != want {
		l.t.Fatalf("received %q, error %v; want %q", got[:n], err, want)
	}
}

// expectNothing looks for a moment. What it cannot see, because it comes later,
// the test's next expect finds in place of what it wants.
func (l line) expectNothing() {
	l.t.Helper()
	l.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	defer l.SetReadDeadline(time.Now().Add(10 * time.Second))
	var p [1]byte
	if n, err := l.Read(p[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Fatalf("received %q, error %v; want nothing", p[:n], err)
	}
}

func (l line) expectEnd(want error) {
	l.t.Helper()
	if n, err := l.Read(make([]byte, 1)); !errors.Is(err, want) {
		l.t.Fatalf("read %d bytes, error %v; want %v", n, err, want)
	}
}

// startLine starts an echo server, a proxy and a connection through both.
func startLine(t *testing.T) (*imbtest.Proxy, line) {
	t.Helper()
	addr, _ := startEcho(t)
	proxy := imbtest.NewProxy(t, addr)
	c := dial(t, proxy.Addr())
	c.send([]byte("hello"))
	c.expect("hello")
	return proxy, c
}

func TestProxyPasses(t *testing.T) {
	proxy, c := startLine(t)
	if n := proxy.Connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var sent sync.WaitGroup
	sent.Go(func() {
		c.send(want)
		c.CloseWrite() // an end in one direction passes, too
	})
	got, err := io.ReadAll(c)
	sent.Wait()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back, error %v; want the %d that were sent", len(got), err, len(want))
	}
	imbtest.Eventually(t, func() bool { return proxy.Connections() == 0 }, "an ended connection is forgotten")
	if n := proxy.Swallowed(); n != 0 {
		t.Errorf("%d bytes swallowed", n)
	}
}

func TestProxyStall(t *testing.T) {
	proxy, c := startLine(t)
	proxy.Stall()
	c.send([]byte("held"))
	c.expectNothing()
	late := dial(t, proxy.Addr())
	late.send([]byte("late"))
	late.CloseWrite()
	late.expectNothing()
	proxy.Resume()
	c.expect("held")
	late.expect("late")
	late.expectEnd(io.EOF)
}

// TestProxyStallHoldsSenderUp: what waits is bounded by buffers.
func TestProxyStallHoldsSenderUp(t *testing.T) {
	proxy, c := startLine(t)
	proxy.Stall()
	c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wrote %d bytes into a stalled line, error %v", n, err)
	}
}

func TestProxySwallow(t *testing.T) {
	addr, serverConnections := startEcho(t)
	proxy := imbtest.NewProxy(t, addr)
	gone := dial(t, proxy.Addr())
	c := dial(t, proxy.Addr())
	imbtest.Eventually(t, func() bool { return serverConnections() == 2 }, "the server has both connections")

	proxy.Swallow()
	const size = 32 << 20 // more than any buffer holds
	c.send(make([]byte, size))
	imbtest.Eventually(t, func() bool { return proxy.Swallowed() == size }, "all is swallowed")
	c.expectNothing()
	gone.CloseWrite()
	gone.expectNothing()
	if n := serverConnections(); n != 2 {
		t.Errorf("the server has %d connections, want 2: it is not to see an end", n)
	}
	proxy.Resume()
	c.send([]byte("x"))
	c.expect("x")
	gone.expectEnd(io.EOF)
	imbtest.Eventually(t, func() bool { return serverConnections() == 1 }, "the end passes after Resume")
}

func TestProxySwallowAfter(t *testing.T) {
	proxy, c := startLine(t)
	proxy.SwallowAfter(4)
	late := dial(t, proxy.Addr())
	for _, l := range []line{c, late} {
		l.send([]byte("12"))
		l.expect("12")
		l.send([]byte("345678"))
		l.expect("34")
		l.expectNothing()
	}
	if n := proxy.Swallowed(); n != 8 {
		t.Errorf("%d bytes swallowed, want 8", n)
	}
	proxy.Resume()
	for _, l := range []line{c, late} {
		l.send([]byte("9"))
		l.expect("9")
	}
}

func TestProxyReset(t *testing.T) {
	addr, serverConnections := startEcho(t)
	proxy := imbtest.NewProxy(t, addr)
	lines := []line{dial(t, proxy.Addr()), dial(t, proxy.Addr())}
	for _, l := range lines {
		l.send([]byte("x"))
		l.expect("x")
	}
	proxy.Stall() // a stalled one, too
	lines[0].send([]byte("held"))
	proxy.Reset()
	if n := proxy.Connections(); n != 0 {
		t.Errorf("%d connections after Reset", n)
	}
	for _, l := range lines {
		l.expectEnd(syscall.ECONNRESET)
	}
	imbtest.Eventually(t, func() bool { return serverConnections() == 0 }, "the server's ends are gone")

	proxy.Resume()
	again := dial(t, proxy.Addr())
	again.send([]byte("again"))
	again.expect("again")
}

func TestProxyCloseAll(t *testing.T) {
	proxy, c := startLine(t)
	proxy.CloseAll()
	if n := proxy.Connections(); n != 0 {
		t.Errorf("%d connections after CloseAll", n)
	}
	c.expectEnd(io.EOF)
	again := dial(t, proxy.Addr())
	again.send([]byte("again"))
	again.expect("again")
}

func TestProxyThrottle(t *testing.T) {
	proxy, c := startLine(t)
	proxy.Throttle(100_000)
	const size = 20_000
	start := time.Now()
	c.send(make([]byte, size))
	c.expect(string(make([]byte, size)))
	// The last portion need not wait for its own time.
	if took, want := time.Since(start), 180*time.Millisecond; took < want {
		t.Errorf("%d bytes took %v, want at least %v", size, took, want)
	}

	proxy.Throttle(10)
	c.send(make([]byte, size)) // would take half an hour
	proxy.CloseAll()           // does not wait for it
}

func TestProxyThrottleEnds(t *testing.T) {
	proxy, c := startLine(t)
	proxy.Throttle(1000)
	proxy.Throttle(0)
	const size = 1 << 20
	var sent sync.WaitGroup
	sent.Go(func() { c.send(make([]byte, size)) })
	c.expect(string(make([]byte, size))) // 17 minutes at the old rate
	sent.Wait()
}

func TestProxyRefuse(t *testing.T) {
	proxy, c := startLine(t)
	proxy.Refuse(true)
	dial(t, proxy.Addr()).expectEnd(io.EOF)
	c.send([]byte("still open"))
	c.expect("still open")
	proxy.Refuse(false)
	again := dial(t, proxy.Addr())
	again.send([]byte("again"))
	again.expect("again")
}

// TestProxySetTarget: a server that is not there, and then another.
func TestProxySetTarget(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	proxy := imbtest.NewProxy(t, l.Addr().String())
	dial(t, proxy.Addr()).expectEnd(io.EOF)

	addr, _ := startEcho(t)
	proxy.SetTarget(addr)
	c := dial(t, proxy.Addr())
	c.send([]byte("found"))
	c.expect("found")
}

// TestProxyEndsWithTest: whatever is going on, nothing is left behind, and
// nobody waits for it.
func TestProxyEndsWithTest(t *testing.T) {
	faults := map[string]func(*imbtest.Proxy){
		"none":      func(*imbtest.Proxy) {},
		"stalled":   (*imbtest.Proxy).Stall,
		"swallows":  (*imbtest.Proxy).Swallow,
		"throttled": func(p *imbtest.Proxy) { p.Throttle(1) },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			server, _ := startEcho(t)
			proxy := imbtest.NewProxy(t, server)
			fault(proxy)
			dial(t, proxy.Addr()).send([]byte("on its way"))
			imbtest.Eventually(t, func() bool { return proxy.Connections() == 1 }, "the proxy has the connection")
		})
		goleak.VerifyNone(t)
	}
}
