//go:build unix

package admin_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"imbrouter/router/admin"
	"imbrouter/router/config"
)

func TestSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "deep", "a.sock")
	address := config.AdminSocket + path
	l, err := admin.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	if _, err := admin.Listen(address); !errors.Is(err, admin.ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("a socket that is in use gives %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is there after Close")
	}
}

// What a process leaves behind that is killed is replaced; nothing else is.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "a.sock")
	address := config.AdminSocket + path
	killed, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	killed.SetUnlinkOnClose(false)
	killed.Close()
	l, err := admin.Listen(address)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	l.Close()

	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Listen(address); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file gives %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "mine" {
		t.Error("the file is gone")
	}
}

func TestAddressIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := admin.Listen(l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "`listen` in [admin]") {
		t.Errorf("an address that is taken gives %v", err)
	}
}

func TestClientWithoutRouter(t *testing.T) {
	dir := shortDir(t)
	for _, address := range []string{config.AdminSocket + filepath.Join(dir, "none.sock"), "127.0.0.1:1"} {
		_, err := admin.NewClient(address, "").Status(t.Context())
		if !errors.Is(err, admin.ErrNotRunning) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
