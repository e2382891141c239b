package hub

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// keepAlive finds out within about 90 s that a peer's machine is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6}

// maxAcceptPause bounds the pause after a failed Accept, which happens when
// the process has no file descriptors left.
const maxAcceptPause = time.Second

// Serve accepts connections from l until Close, and then returns ErrClosed; or
// until l is closed by another, and then returns net.ErrClosed. It closes l.
// A failure to accept is logged, and tried again after a pause.
func (h *Hub) Serve(l net.Listener) error {
	defer l.Close()
	if !h.addListener(l) {
		return ErrClosed
	}
	defer h.removeListener(l)
	var failures int
	for {
		nc, err := l.Accept()
		if err == nil {
			if failures > 0 {
				h.log.Info("connections are accepted again", "failures", failures)
				failures = 0
			}
			h.accept(nc)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			select {
			case <-h.done:
				return ErrClosed
			default:
				return err
			}
		}
		if failures++; failures == 1 {
			h.log.Error("cannot accept connections for now", "error", withRemedy(err))
		}
		select {
		case <-h.done:
			return ErrClosed
		case <-time.After(min(5*time.Millisecond<<min(failures, 10), maxAcceptPause)):
		}
	}
}

// withRemedy returns err with what to do when too many files are open: in this
// process, or in the whole machine.
func withRemedy(err error) error {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%w; raise LimitNOFILE= of the systemd service, or ulimit -n, or lower max_connections", err)
	case errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w; raise the sysctl fs.file-max, or end what has so many files open", err)
	}
	return err
}

func (h *Hub) accept(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		// Fails only when the peer has gone already; reading will tell.
		_ = tcp.SetKeepAliveConfig(keepAlive)
	}
	if err := h.attach(nc, nc.RemoteAddr().String()); err != nil {
		nc.Close()
	}
}

// addListener returns false when the hub is closed.
func (h *Hub) addListener(l net.Listener) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.listeners[l] = struct{}{}
	return true
}

func (h *Hub) removeListener(l io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
}
