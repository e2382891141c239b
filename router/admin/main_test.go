package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imbrouter/router/admin"
	"imbrouter/router/config"
	"imbrouter/router/daemon"
	dirsink "imbrouter/sinks/dir"
	imbsink "imbrouter/sinks/imb"
	logsink "imbrouter/sinks/log"
	dirsource "imbrouter/sources/dir"
	imbsource "imbrouter/sources/imb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var kinds = config.Kinds{
	Sources: map[string]func() config.Source{
		"dir": func() config.Source { return dirsource.NewConfig() },
		"imb": func() config.Source { return imbsource.NewConfig() },
	},
	Sinks: map[string]func() config.Sink{
		"dir": func() config.Sink { return dirsink.NewConfig() },
		"imb": func() config.Sink { return imbsink.NewConfig() },
		"log": func() config.Sink { return logsink.NewConfig() },
	},
}

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
	dir    string
	daemon *daemon.Daemon
	server *admin.Server
	client *admin.Client
	http   http.Client
	url    string

	mu  sync.Mutex
	log bytes.Buffer

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
	s := &site{t: t, dir: shortDir(t)}
	s.stuck.Store(new([2]string))
	cfg := s.config(text)
	ready := make(chan struct{})
	d, err := daemon.New(cfg, daemon.Options{
		Log: slog.New(slog.NewTextHandler(s, nil)), OnReady: func() { close(ready) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.daemon = d
	s.server = admin.New(admin.Options{
		Daemon: d, Reloader: s, Version: "v1.2.3",
		Stuck: func() (kind, name string) { found := s.stuck.Load(); return found[0], found[1] },
	})
	l, err := admin.Listen(cfg.Admin.Listen)
	if err != nil {
		t.Fatal(err)
	}
	address := cfg.Admin.Listen
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
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	running.Go(func() {
		if err := s.server.Serve(ctx, l); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait(); transport.CloseIdleConnections() })
	<-ready
	s.server.Enter(admin.Running)
	return s
}

// Write takes the log.
func (s *site) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

// hub returns the address of the hub inside.
func (s *site) hub() string {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	match := regexp.MustCompile(`hub is listening" address=(\S+)`).FindSubmatch(s.log.Bytes())
	if match == nil {
		s.t.Fatal("the log does not tell the hub's address")
	}
	return string(match[1])
}

func (s *site) config(text string) *config.Config {
	s.t.Helper()
	cfg, err := config.Parse(filepath.Join(s.dir, "test.toml"), []byte(text), kinds)
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
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
	part := filepath.Join(s.dir, name)
	if err := os.WriteFile(part, make([]byte, size), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(part, filepath.Join(s.dir, "drop", name)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) exists(name string) bool {
	_, err := os.Stat(filepath.Join(s.dir, name))
	return err == nil
}

func quoted(args ...any) string { return fmt.Sprintf("%q", args) }
