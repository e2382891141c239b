package hub

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"imbrouter/imb/wire"
)

const (
	// maxLocatorAnswers bounds how many of those who look for a hub are answered
	// in a second, so that a hub cannot be made to flood somebody.
	maxLocatorAnswers = 100
	// locatorPause is the pause after a datagram could not be received.
	locatorPause = 50 * time.Millisecond
)

// StartLocator answers those who look for a hub with a broadcast, until Close.
// listen is a UDP address, such as "0.0.0.0:4000": the clients ask port 4000.
// They are told the address of l, which the hub serves on; or if that listens on
// every address of this machine, the one by which the asker reaches it. A hub
// that listens on loopback is told to askers on loopback only.
//
// It returns the address that it listens on.
func (h *Hub) StartLocator(listen string, l net.Addr) (net.Addr, error) {
	tcp, ok := l.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("no TCP address that others could be told: %v", l)
	}
	address, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", address)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		conn.Close()
		return nil, ErrClosed
	}
	h.listeners[conn] = struct{}{}
	h.running.Go(func() {
		defer h.removeListener(conn)
		h.locate(conn, tcp.AddrPort())
	})
	h.log.Info("hub can be looked for", "locator", conn.LocalAddr().String())
	return conn.LocalAddr(), nil
}

// locate answers what comes on conn until that is closed.
func (h *Hub) locate(conn *net.UDPConn, hub netip.AddrPort) {
	buf := make([]byte, wire.MaxDatagram)
	var second time.Time // in which the answers are counted
	answers := 0
	for {
		n, asker, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // on Windows also for one that is too large
			select {
			case <-h.done:
			case <-time.After(locatorPause):
			}
			continue
		}
		if f, err := wire.ParseDatagram(buf[:n]); err != nil || f.Command != wire.CmdHubLocate {
			continue
		}
		if now := time.Now(); now.Sub(second) >= time.Second {
			second, answers = now, 0
		}
		if answers++; answers > maxLocatorAnswers {
			continue
		}
		if address, ok := reachable(hub, asker); ok {
			h.count.located.Add(1)
			// Fails when the asker has gone or the network is down: it asks again.
			_, _ = conn.WriteToUDPAddrPort(wire.AppendHubFound(nil, wire.HubURI(address.String())), asker)
		}
	}
}

// reachable returns the address by which an asker reaches the hub.
func reachable(hub, asker netip.AddrPort) (netip.AddrPort, bool) {
	ip := hub.Addr().Unmap()
	if ip.IsUnspecified() {
		// Nothing is sent: the system finds out which way it would go.
		route, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(asker))
		if err != nil {
			return netip.AddrPort{}, false
		}
		defer route.Close()
		ip = route.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	}
	if ip.IsLoopback() && !asker.Addr().Unmap().IsLoopback() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip, hub.Port()), true
}
