package imbtest_test

import (
	"net"
	"testing"

	"go.uber.org/goleak"

	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

func TestStartHub(t *testing.T) {
	t.Run("runs", func(t *testing.T) {
		addr, _ := imbtest.StartHub(t, hub.Options{})
		host, _, err := net.SplitHostPort(addr)
		if err != nil || !net.ParseIP(host).IsLoopback() {
			t.Errorf("the hub listens at %q, error %v", addr, err)
		}
		c := imbtest.DialRaw(t, addr)
		c.ExpectCommand(wire.CmdUniqueClientID)
		if frames := c.Sync(); len(frames) != 0 {
			t.Errorf("the hub sent %v to a client that did nothing", frames)
		}
	})
	goleak.VerifyNone(t) // it has ended with its test
}

// TestStartHubClosed: a test may close its hub, and start another for the
// clients that know the proxy's address.
func TestStartHubClosed(t *testing.T) {
	addr, first := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	c := imbtest.DialRaw(t, proxy.Addr())
	c.ExpectCommand(wire.CmdUniqueClientID)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	c.ExpectClosed()

	addr, _ = imbtest.StartHub(t, hub.Options{})
	proxy.SetTarget(addr)
	imbtest.DialRaw(t, proxy.Addr()).ExpectCommand(wire.CmdUniqueClientID)
}

func TestRecordings(t *testing.T) {
	// What they hold is tested where they are decoded; here, that no test can
	// change them for another.
	for name, recording := range map[string]func() []byte{"client": imbtest.PyimbClient, "hub": imbtest.PyimbHub} {
		p := recording()
		if len(p) < 80_000 {
			t.Errorf("%s: %d bytes", name, len(p))
		}
		p[0]++
		if recording()[0] == p[0] {
			t.Errorf("%s: the bytes are shared", name)
		}
	}
}
