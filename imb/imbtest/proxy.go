package imbtest

import (
	"io"
	"maps"
	"math"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Proxy passes TCP connections on to a hub, and fails in the ways of a network
// when it is told to. A fault applies to the connections that are open and to
// those to come. Several may be on at once, but Stall and Swallow take each
// other's place. All methods may be called from any goroutine.
//
// A proxy has buffers, like a network: what it has taken from a sender may not
// have reached the receiver yet.
type Proxy struct {
	listener net.Listener
	accepted chan struct{} // closed when no connection is accepted any more
	links    sync.WaitGroup

	mu        sync.Mutex
	changed   *sync.Cond // something below, or in a link, has changed
	target    string
	refuse    bool
	mode      mode
	rate      int   // bytes a second; 0: no limit
	allowance int64 // of a new link
	swallowed int64
	open      map[*link]struct{}
}

type mode int

const (
	passing mode = iota
	stalled
	swallowing
)

const (
	unlimited = math.MaxInt64
	// throttleSteps is how many portions a second a throttled connection passes.
	throttleSteps = 50
)

// NewProxy starts a proxy in front of target, which need not listen yet. It
// ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{
		listener:  listen(t),
		accepted:  make(chan struct{}),
		target:    target,
		allowance: unlimited,
		open:      make(map[*link]struct{}),
	}
	p.changed = sync.NewCond(&p.mu)
	go p.accept()
	t.Cleanup(func() {
		p.listener.Close()
		<-p.accepted
		p.CloseAll()
		p.links.Wait()
	})
	return p
}

// Addr returns the address that clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetTarget sends new connections to another address: this is how a hub is
// restarted, on another port, at the address that its clients know.
func (p *Proxy) SetTarget(addr string) { p.set(func() { p.target = addr }) }

// Stall stops passing bytes, both ways, and ends of connections. Connections
// stay open, and what is sent waits: for Resume, and then in the sender.
func (p *Proxy) Stall() { p.set(func() { p.mode = stalled }) }

// Swallow discards all bytes, both ways, and does not pass the ends of
// connections on: each side goes on to believe in the other.
func (p *Proxy) Swallow() { p.set(func() { p.mode = swallowing }) }

// SwallowAfter lets n bytes more from the client to the hub pass, on each
// connection that is open or yet to come, and discards what follows them. The
// way back stays open. Swallowed tells when something was discarded.
func (p *Proxy) SwallowAfter(n int64) { p.setAllowance(n) }

// Resume ends Stall, Swallow and SwallowAfter.
func (p *Proxy) Resume() {
	p.setAllowance(unlimited)
	p.set(func() { p.mode = passing })
}

func (p *Proxy) setAllowance(n int64) {
	p.set(func() {
		p.allowance = n
		for l := range p.open {
			l.allowance = n
		}
	})
}

// Throttle limits each direction of each connection to a number of bytes a
// second; 0 takes the limit away.
func (p *Proxy) Throttle(bytesPerSecond int) { p.set(func() { p.rate = bytesPerSecond }) }

// Refuse makes the proxy close new connections at once, or ends that. Those
// that are open stay.
func (p *Proxy) Refuse(refuse bool) { p.set(func() { p.refuse = refuse }) }

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

// Reset breaks every open connection off: both sides get "connection reset by
// peer", and lose what they have not read. It returns when they are gone; the
// proxy takes new ones.
func (p *Proxy) Reset() { p.closeAll(true) }

// CloseAll closes every open connection, as a peer does that ends. It returns
// when they are gone; the proxy takes new ones.
func (p *Proxy) CloseAll() { p.closeAll(false) }

func (p *Proxy) closeAll(reset bool) {
	p.mu.Lock()
	links := slices.Collect(maps.Keys(p.open))
	p.mu.Unlock()
	for _, l := range links {
		l.close(reset)
		<-l.ended
	}
}

// Connections returns how many connections are open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// Swallowed returns how many bytes Swallow and SwallowAfter have discarded.
func (p *Proxy) Swallowed() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.swallowed
}

func (p *Proxy) accept() {
	defer close(p.accepted)
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed: the test is over
		}
		if !p.connect(client.(*net.TCPConn)) {
			client.Close()
		}
	}
}

// connect makes a link of a new connection; false when it cannot or must not.
func (p *Proxy) connect(client *net.TCPConn) bool {
	p.mu.Lock()
	target, refuse := p.target, p.refuse
	p.mu.Unlock()
	if refuse {
		return false
	}
	hub, err := net.DialTimeout("tcp", target, timeout)
	if err != nil {
		return false
	}
	l := &link{
		proxy: p, client: client, hub: hub.(*net.TCPConn),
		closing: make(chan struct{}), ended: make(chan struct{}),
	}
	p.mu.Lock()
	l.allowance = p.allowance
	p.open[l] = struct{}{}
	p.mu.Unlock()
	p.links.Go(l.run)
	return true
}

// link is one connection through the proxy.
type link struct {
	proxy       *Proxy
	client, hub *net.TCPConn
	closing     chan struct{} // closed by close
	ended       chan struct{} // closed when run has returned

	// Guarded by proxy.mu.
	allowance int64 // bytes that may still pass to the hub
	closed    bool
}

func (l *link) run() {
	defer close(l.ended)
	var pumps sync.WaitGroup
	pumps.Go(func() { l.pump(l.hub, l.client) })
	pumps.Go(func() { l.pump(l.client, l.hub) })
	pumps.Wait()
	l.close(false)
	l.proxy.set(func() { delete(l.proxy.open, l) })
}

func (l *link) close(reset bool) {
	l.proxy.set(func() {
		if !l.closed {
			l.closed = true
			close(l.closing)
		}
	})
	for _, c := range []*net.TCPConn{l.client, l.hub} {
		if reset {
			c.SetLinger(0)
		}
		c.Close()
	}
}

// pump passes one direction on, until its sender ends it or the link is closed.
func (l *link) pump(dst, src *net.TCPConn) {
	toHub := dst == l.hub
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		for p := buf[:n]; len(p) > 0; {
			d := l.decide(len(p), toHub)
			if d.closed {
				return
			}
			if d.pass {
				if _, err := dst.Write(p[:d.n]); err != nil {
					l.close(false)
					return
				}
			}
			p = p[d.n:]
			select {
			case <-time.After(d.pause):
			case <-l.closing:
				return
			}
		}
		if err == nil {
			continue
		}
		if l.passEnd(toHub) && err == io.EOF {
			dst.CloseWrite()
		} else {
			l.close(false)
		}
		return
	}
}

// decision is what becomes of the first n of some bytes.
type decision struct {
	n      int
	pass   bool          // or else discard
	pause  time.Duration // afterwards
	closed bool          // the link is: nothing more becomes of anything
}

// decide waits while the proxy is stalled, and then decides about the next
// bytes, of which there are at least one and at most n.
func (l *link) decide(n int, toHub bool) decision {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.mode == stalled && !l.closed {
		p.changed.Wait()
	}
	d := decision{n: n, closed: l.closed, pass: p.mode == passing && !(toHub && l.allowance == 0)}
	if p.rate > 0 {
		d.n = min(d.n, max(1, p.rate/throttleSteps))
	}
	if toHub && d.pass {
		d.n = int(min(int64(d.n), l.allowance))
		l.allowance -= int64(d.n)
	}
	if p.rate > 0 {
		d.pause = time.Duration(d.n) * time.Second / time.Duration(p.rate)
	}
	if !d.pass {
		p.swallowed += int64(d.n)
	}
	return d
}

// passEnd waits until the end of a direction may pass; false when the link is
// closed before.
func (l *link) passEnd(toHub bool) bool {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	for !l.closed && (p.mode != passing || toHub && l.allowance == 0) {
		p.changed.Wait()
	}
	return !l.closed
}
