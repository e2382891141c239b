package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"imbrouter/router/config"
)

const (
	// maxClients is how many connections there may be at once. More wait until
	// one of them ends.
	maxClients = 64
	// socketMode lets the user and the group of the daemon ask.
	socketMode = 0o660
	// lookTimeout bounds how long it is looked whether anybody answers at a socket.
	lookTimeout = time.Second
)

// ErrInUse is wrapped by the error of Listen when somebody answers at a socket
// already.
var ErrInUse = errors.New("another imbrouter answers there already")

// Listen listens at an address as config.Admin.Listen has it, other than "off". A
// socket that a process left behind which was killed is replaced.
func Listen(address string) (net.Listener, error) {
	path, socket := strings.CutPrefix(address, config.AdminSocket)
	if !socket {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("the admin address: %w; `listen` in [admin] sets it", err)
		}
		return limit(l), nil
	}
	l, err := listenUnix(path)
	if err != nil {
		return nil, fmt.Errorf("the admin socket %q: %w; `listen` in [admin] sets it", path, err)
	}
	return limit(l), nil
}

func listenUnix(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes a socket at which nobody answers. Nothing else is removed.
func removeStale(path string) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !isSocket(info):
		return errors.New("there is a file of that name which is no socket")
	}
	conn, err := net.DialTimeout("unix", path, lookTimeout)
	if err == nil {
		conn.Close()
		return ErrInUse
	}
	if !isRefused(err) { // such as that we may not ask
		return err
	}
	return os.Remove(path)
}

// limited is a listener with room for so many connections at once.
type limited struct {
	net.Listener
	room  chan struct{}
	ended chan struct{}
	close func() error
}

func limit(l net.Listener) net.Listener {
	ended := make(chan struct{})
	return &limited{
		Listener: l, room: make(chan struct{}, maxClients), ended: ended,
		close: sync.OnceValue(func() error { close(ended); return l.Close() }),
	}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.ended:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { <-l.room })}, nil
}

func (l *limited) Close() error { return l.close() }

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
