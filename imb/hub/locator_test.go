package hub_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// asker looks for a hub at a locator.
type asker struct {
	t    testing.TB
	conn *net.UDPConn
}

func ask(t testing.TB, locator net.Addr) asker {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, locator.(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return asker{t, conn}
}

// send sends a datagram.
func (a asker) send(datagram []byte) {
	a.t.Helper()
	if _, err := a.conn.Write(datagram); err != nil {
		a.t.Fatal(err)
	}
}

// answer returns the address that is answered within a time.
func (a asker) answer(within time.Duration) (address string, ok bool) {
	a.t.Helper()
	buf := make([]byte, 1000)
	a.conn.SetReadDeadline(time.Now().Add(within))
	n, err := a.conn.Read(buf)
	if err != nil {
		return "", false
	}
	f, err := wire.ParseDatagram(buf[:n])
	if err != nil || f.Command != wire.CmdHubFound {
		a.t.Fatalf("answered % x: %v", buf[:n], err)
	}
	if address, err = wire.ParseHubURI(wire.ParseHubFound(f.Payload)); err != nil {
		a.t.Fatal(err)
	}
	return address, true
}

func locator(t testing.TB, h *hub.Hub, at net.Addr) net.Addr {
	t.Helper()
	l, err := h.StartLocator("127.0.0.1:0", at)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Who asks is told the hub's address, or the way to it.
func TestLocator(t *testing.T) {
	for what, tt := range map[string]struct {
		hub  net.TCPAddr
		want string
	}{
		"this machine":        {net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4001}, "127.0.0.1:4001"},
		"another address":     {net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4002}, "192.0.2.1:4002"},
		"every address":       {net.TCPAddr{IP: net.IPv4zero, Port: 4003}, "127.0.0.1:4003"},
		"every address, IPv6": {net.TCPAddr{IP: net.IPv6unspecified, Port: 4004}, "127.0.0.1:4004"},
	} {
		t.Run(what, func(t *testing.T) {
			h := start(t, hub.Options{})
			a := ask(t, locator(t, h, &tt.hub))
			a.send(wire.AppendHubLocate(nil))
			if got, ok := a.answer(20 * time.Second); !ok || got != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
			if n := h.Stats().Located; n != 1 {
				t.Errorf("%d answers are counted", n)
			}
		})
	}
}

// What is no question is not answered, and does no harm.
func TestLocatorAndGarbage(t *testing.T) {
	h := start(t, hub.Options{})
	a := ask(t, locator(t, h, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4001}))
	for _, garbage := range [][]byte{
		{}, []byte("hello"), make([]byte, 2000),
		wire.AppendHubFound(nil, "imb://another"),
		append(wire.AppendHubLocate(nil), 0),
		wire.AppendFrame(nil, wire.CmdHubLocate, []byte("x"))[:17],
	} {
		a.send(garbage)
	}
	a.send(wire.AppendHubLocate(nil))
	if got, ok := a.answer(20 * time.Second); !ok || got != "127.0.0.1:4001" {
		t.Errorf("told %q", got)
	}
	if n := h.Stats().Located; n != 1 {
		t.Errorf("%d answers, want 1", n)
	}
}

// A hub does not answer more than a hundred times in a second.
func TestLocatorRateIsBounded(t *testing.T) {
	h := start(t, hub.Options{})
	a := ask(t, locator(t, h, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4001}))
	for range 5 { // on a busy machine a hundred may take longer than a second
		began := time.Now()
		for range 100 {
			a.send(wire.AppendHubLocate(nil))
			if _, ok := a.answer(20 * time.Second); !ok {
				t.Fatal("not answered")
			}
		}
		if time.Since(began) > 900*time.Millisecond {
			continue
		}
		for {
			a.send(wire.AppendHubLocate(nil))
			if _, ok := a.answer(50 * time.Millisecond); ok {
				break
			}
		}
		if d := time.Since(began); d < 900*time.Millisecond {
			t.Errorf("the 101st answer came after %v", d)
		}
		return
	}
	t.Skip("this machine is too busy")
}

func TestLocatorErrors(t *testing.T) {
	h := start(t, hub.Options{})
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4001}
	l := locator(t, h, at)
	if _, err := h.StartLocator(l.String(), at); err == nil {
		t.Error("two of them listen on one address")
	}
	if _, err := h.StartLocator("127.0.0.1", at); err == nil {
		t.Error("listens without a port")
	}
	if _, err := h.StartLocator("127.0.0.1:0", &net.UnixAddr{}); err == nil {
		t.Error("tells an address that is none")
	}
	h.Close()
	if _, err := h.StartLocator("127.0.0.1:0", at); !errors.Is(err, hub.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	conn, err := net.ListenUDP("udp", l.(*net.UDPAddr)) // Close has set it free
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
