// Package web is the page on the admin address: what flows through the routes, what
// is in transit, what became of files, what failed and can be tried again, and what
// happens on events, in a browser.
//
//	page := web.New(web.Options{Daemon: d, Status: server.Status, Reload: r.Reload, Log: log})
//	server.Handle("/", page)
//	page.Run(ctx) // until ctx ends
//
// The page is whole as it comes from the server and can be read and used without
// JavaScript; then a browser asks for it again every ten seconds. With JavaScript
// its sections are sent anew as they change, see live.go. Nothing is loaded from
// elsewhere, and the Content-Security-Policy has it so.
//
// Who may ask, and whether anything may be changed, is decided before a request
// comes here: package admin does. What is shown may have been written by anyone
// who can reach a hub: html/template escapes it, and texts are cut.
//
// Nobody who looks can hold up the router: everything is bounded, and those for
// whom there is no room are told so.
package web

import (
	"bytes"
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"imbrouter/router/admin"
	"imbrouter/router/daemon"
)

// What those who look may take.
const (
	maxViewers = 16 // that are sent what changes
	maxTaps    = 4
	maxPuts    = 4   // requests that bring files
	maxFiles   = 100 // in one such request
	maxShown   = 50  // files, failed files of a source, and dead letters that are listed

	// answerTimeout is how long it may take to gather the page, which only takes
	// that long when a lock is not given back.
	answerTimeout = 5 * time.Second
	// writeTimeout is how long a client may take nothing of what it is sent.
	writeTimeout = 20 * time.Second
	// readTimeout is how long a client that puts a file may send nothing.
	readTimeout = 60 * time.Second
	// actTimeout bounds what a button does.
	actTimeout = 20 * time.Second
	// maxForm bounds what a button sends, in bytes.
	maxForm = 64 << 10
)

// interval is the time between two looks at the router.
const interval = time.Second

// Options are what a Page shows.
type Options struct {
	Daemon *daemon.Daemon
	// Status and Reload are those of package admin's Server and Reloader.
	Status func() admin.Status
	Reload func(context.Context) (admin.Reload, error)
	Log    *slog.Logger // nil discards
}

// Page answers what a browser asks.
type Page struct {
	options Options
	log     *slog.Logger
	mux     *http.ServeMux

	rates   rates
	history history
	failed  failures
	board   board
	acting  sync.Mutex // held while a button does something
	viewers atomic.Int64
	taps    chan struct{} // room
	puts    chan struct{} // room
}

// New makes a Page. Nothing runs yet.
func New(o Options) *Page {
	p := &Page{
		options: o, log: o.Log, mux: http.NewServeMux(),
		taps: make(chan struct{}, maxTaps), puts: make(chan struct{}, maxPuts),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.history.init()
	p.board.init()
	p.failed.init(o.Daemon)
	p.mux.Handle("GET /{$}", http.TimeoutHandler(http.HandlerFunc(p.page), answerTimeout, "something is stuck: see /healthz\n"))
	p.mux.HandleFunc("GET /live", p.live)
	p.mux.HandleFunc("GET /tap", p.tap)
	p.mux.Handle("GET "+admin.StaticPath, http.StripPrefix(admin.StaticPath, http.HandlerFunc(static)))
	p.mux.HandleFunc("POST /put/{source}", p.put)
	p.mux.HandleFunc("POST /failed/again", p.fileAgain)
	p.mux.HandleFunc("POST /dead/again", p.letterAgain)
	p.mux.HandleFunc("POST /dead/remove", p.letterRemove)
	p.mux.HandleFunc("POST /reload", p.reload)
	return p
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	admin.Harden(w.Header())
	p.mux.ServeHTTP(w, r)
}

// Run looks at the router and keeps up what is shown until ctx ends.
func (p *Page) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { p.followJournal(ctx) })
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.look()
		}()
		select {
		case <-done:
		case <-ctx.Done(): // a lock that is not given back, or a disk, would be waited for for ever
			return
		}
	}
}

// look looks at the router, and puts up what there is to see for those who look.
func (p *Page) look() {
	status := p.options.Status()
	p.rates.add(time.Now(), status)
	if p.viewers.Load() > 0 {
		p.publish(p.view(status))
	}
}

func (p *Page) page(w http.ResponseWriter, r *http.Request) {
	p.history.await(r.Context())
	var text bytes.Buffer
	if err := templates.ExecuteTemplate(&text, "page.html", p.view(p.options.Status())); err != nil {
		p.log.Error("the page cannot be shown", "error", err)
		http.Error(w, "the page cannot be shown; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(text.Bytes()) // fails when the client is gone
}

//go:embed static page.html
var files embed.FS

// static serves the files beside the page. A browser asks each time whether it
// still has the right one.
func static(w http.ResponseWriter, r *http.Request) {
	text, err := fs.ReadFile(files, "static/"+r.URL.Path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", tags[r.URL.Path])
	http.ServeContent(w, r, r.URL.Path, time.Time{}, bytes.NewReader(text))
}
