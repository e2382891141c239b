//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// manager is the other end of NOTIFY_SOCKET, where systemd would be.
type manager struct {
	t       *testing.T
	address string

	mu   sync.Mutex
	told []string // assignments, such as "READY=1", in the order in which they came
}

func newManager(t *testing.T) *manager {
	t.Helper()
	folder, err := os.MkdirTemp("", "notify") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, address: filepath.Join(folder, "s")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-ended; os.RemoveAll(folder) })
	go func() {
		defer close(ended)
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, strings.Split(strings.TrimSpace(string(buf[:n])), "\n")...)
			m.mu.Unlock()
		}
	}()
	return m
}

// all returns every assignment that has come.
func (m *manager) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.told)
}

// count returns how often an assignment that begins so has come.
func (m *manager) count(prefix string) (n int) {
	for _, assignment := range m.all() {
		if strings.HasPrefix(assignment, prefix) {
			n++
		}
	}
	return n
}

// await waits until an assignment that begins so has come more than n times.
func (m *manager) await(prefix string, n int) {
	m.t.Helper()
	eventually(m.t, func() bool { return m.count(prefix) > n }, "%s comes for the %dth time", prefix, n+1)
}
