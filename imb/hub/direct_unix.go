//go:build unix

package hub

import (
	"io"
	"net"
	"syscall"
)

// direct returns a writer to the connection that is an outbox.DirectWriter if the
// system can write without waiting there.
func direct(nc net.Conn) io.Writer {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nc
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nc
	}
	w := &directConn{Conn: nc, raw: raw}
	w.once = w.write
	return w
}

// directConn is an outbox.DirectWriter.
type directConn struct {
	net.Conn
	raw  syscall.RawConn
	once func(fd uintptr) bool // write, made once
	data []byte
	n    int
}

// TryWrite implements outbox.DirectWriter.
func (w *directConn) TryWrite(p []byte) int {
	w.data, w.n = p, 0
	_ = w.raw.Write(w.once)
	w.data = nil
	return w.n
}

// write is called with the connection's descriptor, which does not block.
func (w *directConn) write(fd uintptr) (done bool) {
	if n, err := syscall.Write(int(fd), w.data); err == nil {
		w.n = n
	}
	return true
}
