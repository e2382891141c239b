package imbtest

import (
	"bytes"
	"net"
	"slices"
	"testing"
	"time"

	"imbrouter/imb/wire"
)

// RawConn is one end of an IMB connection that knows frames and nothing else:
// it sends what it is told, right or wrong, and tells what it receives. Its
// methods fail the test when the peer does not do what is expected within ten
// seconds; they are called on the goroutine of the test.
type RawConn struct {
	t       testing.TB
	conn    net.Conn
	reader  *wire.Reader
	greeted bool // a unique client id was received: that of the greeting
}

// DialRaw connects to a hub. The hub's greeting is the first frame that it
// receives.
func DialRaw(t testing.TB, addr string) *RawConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		t.Fatalf("imbtest: %v", err)
	}
	return NewRawConn(t, conn)
}

// NewRawConn makes a RawConn of a connection, such as one within the process,
// and closes it when the test is over.
func NewRawConn(t testing.TB, conn net.Conn) *RawConn {
	c := &RawConn{t: t, conn: conn, reader: wire.NewReader(conn)}
	t.Cleanup(c.Close)
	return c
}

// Close closes the connection.
func (c *RawConn) Close() { c.conn.Close() }

// Send writes frames, or any other bytes, in one call.
func (c *RawConn) Send(frames ...[]byte) {
	c.t.Helper()
	c.conn.SetWriteDeadline(time.Now().Add(timeout))
	if _, err := c.conn.Write(slices.Concat(frames...)); err != nil {
		c.t.Fatalf("imbtest: sending: %v", err)
	}
}

// Next returns the next frame. Its bytes stay valid.
func (c *RawConn) Next() wire.Frame {
	c.t.Helper()
	f, err := c.next()
	if err != nil {
		c.t.Fatalf("imbtest: waiting for a frame: %v", err)
	}
	return f
}

func (c *RawConn) next() (wire.Frame, error) {
	c.conn.SetReadDeadline(time.Now().Add(timeout))
	f, err := c.reader.Next()
	if err != nil {
		return wire.Frame{}, err
	}
	f.Raw = bytes.Clone(f.Raw)
	f.Payload = f.Raw[wire.HeaderSize:][:len(f.Payload)]
	c.greeted = c.greeted || f.Command == wire.CmdUniqueClientID
	return f, nil
}

// ExpectCommand returns the next frame, which has to be of that command.
func (c *RawConn) ExpectCommand(want wire.Command) wire.Frame {
	c.t.Helper()
	f, err := c.next()
	if err != nil {
		c.t.Fatalf("imbtest: waiting for %v: %v", want, err)
	}
	if f.Command != want {
		c.t.Fatalf("imbtest: received %v %q, want %v", f.Command, f.Payload, want)
	}
	return f
}

// ExpectEvent returns the event in the next frame, which has to be one of that
// kind.
func (c *RawConn) ExpectEvent(want wire.Kind) wire.Event {
	c.t.Helper()
	e, err := wire.ParseEvent(c.ExpectCommand(wire.CmdEvent).Payload)
	if err != nil {
		c.t.Fatalf("imbtest: %v", err)
	}
	if e.Kind != want {
		c.t.Fatalf("imbtest: received an event of kind %v, want %v", e.Kind, want)
	}
	return e
}

// ExpectClosed waits until the peer closes the connection, in order or not,
// and returns the frames that it sent before.
func (c *RawConn) ExpectClosed() []wire.Frame {
	c.t.Helper()
	var frames []wire.Frame
	for {
		f, err := c.next()
		if err, ok := err.(net.Error); ok && err.Timeout() {
			c.t.Fatalf("imbtest: the connection is still open, after %d frames", len(frames))
		}
		if err != nil {
			return frames
		}
		frames = append(frames, f)
	}
}

// Sync asks the hub for the unique client id, and returns the frames that came
// before the answer, without the greeting. By then the hub has done all that this connection sent;
// so nothing is returned when, and only when, nothing came of it.
func (c *RawConn) Sync() []wire.Frame {
	c.t.Helper()
	c.Send(wire.AppendUniqueClientID(nil, wire.UniqueClientID{}))
	var frames []wire.Frame
	for {
		greeted := c.greeted
		f := c.Next()
		switch {
		case f.Command != wire.CmdUniqueClientID:
			frames = append(frames, f)
		case greeted:
			return frames
		}
	}
}

// RawListener is a port at which a test plays the hub.
type RawListener struct {
	t testing.TB
	l *net.TCPListener
}

// ListenRaw listens on a free port of the loopback interface until the test is
// over.
func ListenRaw(t testing.TB) *RawListener {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { l.Close() })
	return &RawListener{t, l.(*net.TCPListener)}
}

// Addr returns the address that clients connect to.
func (l *RawListener) Addr() string { return l.l.Addr().String() }

// Accept waits for a client. The greeting of a hub is the caller's to send.
func (l *RawListener) Accept() *RawConn {
	l.t.Helper()
	l.l.SetDeadline(time.Now().Add(timeout))
	conn, err := l.l.Accept()
	if err != nil {
		l.t.Fatalf("imbtest: waiting for a client: %v", err)
	}
	return NewRawConn(l.t, conn)
}
