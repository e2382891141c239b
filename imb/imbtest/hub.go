package imbtest

import (
	"errors"
	"net"
	"testing"

	"imbrouter/imb/hub"
)

// StartHub starts a hub on a free port of the loopback interface, and closes
// it when the test is over. A test may close it earlier; to restart it without
// its clients' knowing, it starts another and points a [Proxy] to that.
func StartHub(t testing.TB, o hub.Options) (addr string, h *hub.Hub) {
	t.Helper()
	l := listen(t)
	h = hub.New(o)
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	t.Cleanup(func() {
		if err := h.Close(); err != nil && !errors.Is(err, hub.ErrClosed) {
			t.Errorf("imbtest: closing the hub: %v", err)
		}
		if err := <-served; !errors.Is(err, hub.ErrClosed) {
			t.Errorf("imbtest: the hub ended with %v", err)
		}
	})
	return l.Addr().String(), h
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("imbtest: finding a free port: %v", err)
	}
	return l
}
