// Package admin tells how a router that runs is, over HTTP, on a Unix socket or an
// address of this machine:
//
//	GET  /healthz           200 while nothing hangs, see daemon.Daemon.Stuck; else 503 and what does
//	GET  /readyz            200 when the routes are up and their hubs are connected; else 503 and why not
//	GET  /metrics           for Prometheus, see metrics.go for what there is
//	GET  /api/status        the same for programs and people, as JSON: a Status
//	POST /api/reload        reads the configuration again; answers with a Reload
//	GET  /debug/pprof/      profiles, when they are switched on
//
//	listener, err := admin.Listen(cfg.Admin.Listen)
//	if err != nil { … }
//	s := admin.New(admin.Options{Daemon: d, Reloader: r, …})
//	err = s.Serve(ctx, listener) // until ctx ends
//
// [Client] asks for these from another process.
//
// Who can open the socket may ask; on an address of the machine that is everyone
// who is on it, unless there is a token. A request that a browser makes for
// another site is refused. Package router/admin/web adds a page, with Handle.
//
// Nothing here can hold up the router. What is told is read from counters; the
// few locks on the way are held for moments only, and when one is not given
// back, requests end with 503. A client has a short time for everything, and
// there is room for a limited number of them.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"imbrouter/router/daemon"
)

// What a client may take: time, and bytes.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 60 * time.Second
	reloadTimeout = 2 * time.Minute // a reload waits for disks and hubs
	maxHeader     = 16 << 10
	maxBody       = 64 << 10
)

const (
	// answerTimeout is how long it may take to gather an answer, which only
	// takes that long when a lock is not given back.
	answerTimeout = 5 * time.Second
	// maxAnswers is how many may be gathered at once, each for /metrics and for
	// /api/status.
	maxAnswers = 4
	// shutdownTimeout is how long answers that are under way may take at the end.
	shutdownTimeout = time.Second
)

// Options are what a Server tells of.
type Options struct {
	Daemon   *daemon.Daemon
	Reloader Reloader
	// Stuck returns what daemon.Daemon.Stuck said when it was asked last.
	Stuck   func() (kind, name string)
	Version string
	Token   string       // everyone who asks must have it; "" is none, see ReadToken
	Log     *slog.Logger // nil discards
}

// Reloader reads the configuration again and puts it in the place of the one
// that runs. It is safe for concurrent use.
type Reloader interface {
	// Request asks for it, and returns at once.
	Request(ctx context.Context) error
	// Reload returns when it is done. The error is for a reload that did not
	// come about; what is wrong with a configuration is in the Reload.
	Reload(ctx context.Context) (Reload, error)
	// Last returns the last one; nil when there was none.
	Last() *Reload
	// Loaded returns when the configuration that runs was read.
	Loaded() time.Time
}

// Server answers on the admin address.
type Server struct {
	options Options
	log     *slog.Logger
	mux     *http.ServeMux
	started time.Time
	phase   atomic.Value // of type Phase
}

// New makes a Server for a daemon that is about to run.
func New(o Options) *Server {
	s := &Server{options: o, log: o.Log, mux: http.NewServeMux(), started: time.Now()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.phase.Store(Starting)
	registry := newRegistry(s)
	s.mux.HandleFunc("GET /healthz", s.health)
	s.mux.HandleFunc("GET /readyz", s.ready)
	s.mux.Handle("GET /metrics", bounded(promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
	})))
	s.mux.Handle("GET /api/status", bounded(http.HandlerFunc(s.status)))
	s.mux.Handle("POST /api/reload", http.MaxBytesHandler(http.HandlerFunc(s.reload), maxBody))
	if o.Daemon.Config().Admin.Pprof {
		s.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		s.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		s.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		s.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		s.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return s
}

// Handle adds what another package answers, before Serve. What it reads of a
// request, and for how long, is its own to bound.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// A Phase of a daemon's life is what it is doing.
type Phase string

// The phases, in their order.
const (
	Starting Phase = "starting"
	Running  Phase = "running" // the routes are up
	Stopping Phase = "stopping"
)

// Enter says that a phase begins. A Server begins with Starting.
func (s *Server) Enter(p Phase) { s.phase.Store(p) }

// Serve answers until ctx ends, and returns when every connection is closed. It
// closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelRequests()
	server := &http.Server{
		Handler:           s.guard(l.Addr()),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // of clients that are cut off
	}
	var ending sync.WaitGroup
	defer ending.Wait()
	served := make(chan struct{})
	defer close(served)
	ending.Go(func() {
		select {
		case <-ctx.Done():
		case <-served:
		}
		cancelRequests()
		patience, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if server.Shutdown(patience) != nil {
			_ = server.Close()
		}
	})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the admin address answers no more: %w", err)
	}
	return nil
}

// bounded lets few requests in at once, and answers for those that take too long.
func bounded(h http.Handler) http.Handler {
	room := make(chan struct{}, maxAnswers)
	return http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
			h.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}), answerTimeout, "too much is asked at once, or something is stuck: see /healthz\n")
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if stuck := s.stuck(); stuck != "" {
		unavailable(w, stuck)
		return
	}
	fmt.Fprintln(w, "ok")
}

// stuck says what does not return, "" for nothing.
func (s *Server) stuck() string {
	kind, name := s.options.Stuck()
	if kind == "" {
		return ""
	}
	return fmt.Sprintf("stuck: %s %q", kind, name)
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if reasons := s.notReady(s.options.Daemon.Router().Observe()); len(reasons) > 0 {
		unavailable(w, reasons...)
		return
	}
	fmt.Fprintln(w, "ready")
}

func unavailable(w http.ResponseWriter, reasons ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprintln(w, strings.Join(reasons, "\n"))
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Status()) }

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(reloadTimeout))
	if r.URL.Query().Get("wait") == "false" {
		if err := s.options.Reloader.Request(r.Context()); err != nil {
			unavailable(w, err.Error())
			return
		}
		w.WriteHeader(http.StatusAccepted)
		return
	}
	reload, err := s.options.Reloader.Reload(r.Context())
	if err != nil {
		unavailable(w, err.Error())
		return
	}
	answer(w, http.StatusOK, reload)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails when the client is gone
}
