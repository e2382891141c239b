package imb_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
)

// streamThroughProxy returns a client behind a proxy, and a stream of it that
// has begun at the hub.
func streamThroughProxy(t *testing.T) (*imb.Client, *imb.OutStream, *imbtest.Proxy) {
	t.Helper()
	addr, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	c := connect(t, imb.Options{Address: proxy.Addr(), ReconnectMin: time.Millisecond})
	e := c.Event("e")
	must(t, e.Publish())
	s, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{})
	must(t, err)
	io.WriteString(s, "data")
	must(t, s.Flush(t.Context())) // so that a fault strikes what comes after
	return c, s, proxy
}

// The connection is lost together with the tail, and made again before anybody
// asks. That the new connection works says nothing of the stream.
func TestStreamIsNotConfirmedByALaterConnection(t *testing.T) {
	c, s, proxy := streamThroughProxy(t)
	proxy.SwallowAfter(0)
	must(t, s.Close(t.Context()))
	imbtest.Eventually(t, func() bool { return proxy.Swallowed() > 0 }, "the tail is swallowed")
	proxy.Resume()
	proxy.Reset()
	imbtest.Eventually(t, func() bool { return c.Stats().Connections == 2 }, "the client reconnects")
	must(t, c.Flush(t.Context()))
	if err := s.Flush(t.Context()); !errors.Is(err, imb.ErrDisconnected) {
		t.Errorf("Flush returned %v", err)
	}
}

func TestStreamIsConfirmedWhenTheHubHasItsTail(t *testing.T) {
	c, s, proxy := streamThroughProxy(t)
	proxy.Stall()
	must(t, s.Close(t.Context()))
	imbtest.Eventually(t, func() bool { return c.Stats().SendQueue == 0 }, "the tail is written")
	tailWritten := c.Stats().BytesSent
	ctx, cancel := context.WithCancel(t.Context())
	flushed := make(chan error)
	go func() { flushed <- s.Flush(ctx) }()
	imbtest.Eventually(t, func() bool { return c.Stats().BytesSent > tailWritten }, "the token is written")
	select {
	case err := <-flushed:
		t.Errorf("Flush returned %v while the hub had no tail", err)
	default:
	}
	cancel()
	if err := <-flushed; !errors.Is(err, context.Canceled) {
		t.Errorf("Flush returned %v after ctx ended", err)
	}
	proxy.Resume()
	must(t, s.Flush(t.Context()))
}

func TestStreamThatIsLostWhileItIsConfirmed(t *testing.T) {
	_, s, proxy := streamThroughProxy(t)
	must(t, s.Close(t.Context()))
	must(t, s.Flush(t.Context()))
	proxy.SwallowAfter(0)
	flushed := make(chan error)
	go func() { flushed <- s.Flush(t.Context()) }()
	imbtest.Eventually(t, func() bool { return proxy.Swallowed() > 0 }, "the token is swallowed")
	proxy.Reset()
	if err := <-flushed; !errors.Is(err, imb.ErrDisconnected) {
		t.Errorf("Flush returned %v", err)
	}
}

// A stream without a tail is never confirmed, whatever of it the hub has.
func TestBrokenStreamIsNotConfirmed(t *testing.T) {
	errRead := errors.New("bad sector")
	c := connectHub(t, imb.Options{})
	e := c.Event("e")
	must(t, e.Publish())
	for _, test := range []struct {
		what    string
		destroy func(*imb.OutStream)
		want    error
	}{
		{"aborted", (*imb.OutStream).Abort, imb.ErrStreamEnded},
		{"read in part", func(s *imb.OutStream) { s.ReadFrom(iotest.ErrReader(errRead)) }, errRead},
		{"closed in vain", func(s *imb.OutStream) {
			s.ReadFrom(io.MultiReader(strings.NewReader("a"), iotest.ErrReader(errRead)))
			s.Close(t.Context())
		}, imb.ErrStreamEnded},
	} {
		s, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{})
		must(t, err)
		test.destroy(s)
		if err := s.Flush(t.Context()); !errors.Is(err, test.want) {
			t.Errorf("%s: Flush returned %v, want %v", test.what, err, test.want)
		}
		s.Abort()
	}
}
