package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imbrouter/router/admin"
	"imbrouter/router/daemon/daemontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everything has a part of each kind, and a hub.
const everything = `
[hub]
listen = "127.0.0.1:0"
[connections.local]
federation = "demo"
[sources.outbox]
type = "dir"
path = "drop"
[sources.incoming]
type = "imb"
events = ["files", "alarms.*"]
[sinks.broadcast]
type = "imb"
event = "files"
[sinks.inbox]
type = "dir"
path = "received"
[sinks.print]
type = "log"
[routes.send]
from = ["outbox"]
to = ["broadcast"]
[routes.receive]
from = ["incoming"]
to = ["inbox"]
[routes.alarms]
from = ["incoming"]
to = ["print"]
when = 'kind == "normal" && json.level > 3'
`

// site is a daemon that runs, and its admin address.
type site struct {
	t      *testing.T
	daemon *daemontest.Daemon
	server *admin.Server
	client *admin.Client
	http   http.Client
	url    string

	stuck atomic.Pointer[[2]string]
	last  atomic.Pointer[admin.Reload]
}

// shortDir returns a folder whose path leaves room for that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs a configuration with an admin address until the test ends.
func start(t *testing.T, text string) *site {
	t.Helper()
	s := &site{t: t, daemon: daemontest.Start(t, text, daemontest.Options{Dir: shortDir(t)})}
	s.stuck.Store(new([2]string))
	s.server = admin.New(admin.Options{
		Daemon: s.daemon.Daemon, Reloader: s, Version: "v1.2.3",
		Stuck: func() (kind, name string) { found := s.stuck.Load(); return found[0], found[1] },
	})
	address := s.daemon.Config().Admin.Listen
	l, err := admin.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://localhost"
	transport := &http.Transport{}
	if l.Addr().Network() == "tcp" {
		address = l.Addr().String()
		s.url = "http://" + address
	} else {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", l.Addr().String())
		}
	}
	s.http.Transport = transport
	s.client = admin.NewClient(address, "")
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.server.Serve(ctx, l); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); serving.Wait(); transport.CloseIdleConnections() })
	s.server.Enter(admin.Running)
	return s
}

// Request implements admin.Reloader.
func (s *site) Request(context.Context) error { return errors.New("not now") }

// Reload implements admin.Reloader.
func (s *site) Reload(context.Context) (admin.Reload, error) {
	r := admin.Reload{At: time.Now(), Outcome: admin.Refused, Errors: []string{"wrong"}, Invalid: true}
	s.last.Store(&r)
	return r, nil
}

// Last implements admin.Reloader.
func (s *site) Last() *admin.Reload { return s.last.Load() }

// Loaded implements admin.Reloader.
func (s *site) Loaded() time.Time { return time.Unix(1234567890, 0) }

// get asks for a path and returns the status code and the body.
func (s *site) get(path string) (code int, body string) {
	s.t.Helper()
	response, err := s.http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (s *site) status() admin.Status {
	s.t.Helper()
	status, err := s.client.Status(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return status
}

// series returns what /metrics tells of this program: values by name and labels.
func (s *site) series() map[string]string {
	s.t.Helper()
	code, body := s.get("/metrics")
	if code != http.StatusOK {
		s.t.Fatalf("/metrics answers %d: %s", code, body)
	}
	all := map[string]string{}
	for line := range strings.Lines(body) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "imbrouter_") {
			all[name] = value
		}
	}
	return all
}

func (s *site) drop(name string, size int) {
	s.t.Helper()
	part := s.daemon.Path(name)
	if err := os.WriteFile(part, make([]byte, size), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(part, s.daemon.Path("drop/"+name)); err != nil {
		s.t.Fatal(err)
	}
}

func quoted(args ...any) string { return fmt.Sprintf("%q", args) }
