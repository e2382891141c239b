package imb_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// startLocator makes a hub answer on loopback, and returns where.
func startLocator(t *testing.T, h *hub.Hub, addr string) string {
	t.Helper()
	at, err := net.ResolveTCPAddr("tcp", addr)
	must(t, err)
	l, err := h.StartLocator("127.0.0.1:0", at)
	must(t, err)
	return l.String()
}

func TestLocate(t *testing.T) {
	addr, h := imbtest.StartHub(t, hub.Options{})
	ask := startLocator(t, h, addr)
	got, err := imb.Locate(t.Context(), ask)
	if err != nil || got != addr {
		t.Errorf("found %q, %v; want %q", got, err, addr)
	}
	var log logRecorder
	c := connect(t, imb.Options{Address: "locate:" + ask, Log: log.logger()})
	must(t, c.Flush(t.Context()))
	if n := log.count(addr); n != 1 {
		t.Errorf("the hub that was found is logged %d times", n)
	}
}

// A name server that does not answer holds nobody up for longer than ctx says.
func TestLocateWhileNamesAreLookedUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(dialing context.Context, _, _ string) (net.Conn, error) {
		cancel()
		<-dialing.Done()
		return nil, dialing.Err()
	}}
	defer func() { net.DefaultResolver = before }()
	if _, err := imb.Locate(ctx, "hub.example"); !errors.Is(err, context.Canceled) {
		t.Errorf("Locate returned %v", err)
	}
}

// The hub is looked for anew whenever the connection is lost.
func TestLocateAfterALoss(t *testing.T) {
	addr, h := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	ask := startLocator(t, h, proxy.Addr())
	c := connect(t, imb.Options{Address: "locate:" + ask, ReconnectMin: time.Millisecond})
	proxy.Reset()
	imbtest.Eventually(t, func() bool { return c.Stats().Connections == 2 && h.Stats().Located == 2 }, "the hub is found again")
}

// fakeLocator answers what comes to it with datagrams of the test's.
func fakeLocator(t *testing.T, answers func(question int) [][]byte) string {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1000)
		for question := 0; ; question++ {
			_, asker, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			for _, answer := range answers(question) {
				conn.WriteToUDP(answer, asker)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// A question that gets lost is asked again, and answers that are none do not
// count.
func TestLocateIsPatient(t *testing.T) {
	ask := fakeLocator(t, func(question int) [][]byte {
		if question == 0 {
			return nil
		}
		return [][]byte{
			[]byte("garbage"), {}, wire.AppendHubLocate(nil),
			wire.AppendHubFound(nil, "no uri"), wire.AppendHubFound(nil, "imb://host:port"),
			wire.AppendHubFound(nil, "imb://hub.example/path"), wire.AppendHubFound(nil, "imb://too.late"),
		}
	})
	if got, err := imb.Locate(t.Context(), ask); err != nil || got != "hub.example:4000" {
		t.Errorf("found %q, %v", got, err)
	}
}

func TestLocateInVain(t *testing.T) {
	t.Parallel()
	nobody := fakeLocator(t, func(int) [][]byte { return nil })
	_, err := imb.Connect(t.Context(), imb.Options{Address: "locate:" + nobody})
	if !errors.Is(err, imb.ErrNoHub) || !strings.Contains(err.Error(), nobody) {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := imb.Locate(ctx, nobody); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if _, err := imb.Locate(t.Context(), "127.0.0.1:http2k"); err == nil {
		t.Error("a port that is none is asked")
	}
}

func TestLocateTarget(t *testing.T) {
	for address, want := range map[string]string{
		"locate": "", "locate:": "", "locate:192.168.1.255:4000": "192.168.1.255:4000",
	} {
		if ask, ok := imb.LocateTarget(address); !ok || ask != want {
			t.Errorf("%q: %q, %t", address, ask, ok)
		}
	}
	for _, address := range []string{"", "localhost:4000", "locate.example", "relocate:1"} {
		if ask, ok := imb.LocateTarget(address); ok {
			t.Errorf("%q: asks %q", address, ask)
		}
	}
}
