package web

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"imbrouter/router/config"
	"imbrouter/router/daemon"
	"imbrouter/router/deadletter"
)

// failedInterval is the time between two looks at the folders for what has failed.
const failedInterval = 3 * time.Second

// failures knows what has failed and can be tried again. It is looked for when
// somebody looks.
type failures struct {
	daemon *daemon.Daemon

	mu      sync.Mutex
	at      time.Time
	sources []failedSource
	letters []letter
	dead    int    // letters in all
	stamp   string // of the files that the letters are in
}

// failedSource are files that a source has given up.
type failedSource struct {
	Source string
	Files  []failedFile
	More   int
	Error  string // why they cannot be looked at
}

type failedFile struct {
	ID, Name, Size, Reason string
	At                     time.Time
}

// letter is a dead letter for people.
type letter struct {
	ID, Route, Event, Text, Reason string
	Size                           string
	At                             time.Time
}

func (f *failures) init(d *daemon.Daemon) { f.daemon = d }

// forget makes the next look a new one.
func (f *failures) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = time.Time{}
}

// list returns what has failed, as it was not long ago.
func (f *failures) list() (sources []failedSource, letters []letter, dead int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) >= failedInterval {
		f.at = time.Now()
		cfg := f.daemon.Config()
		f.sources = failedFiles(cfg)
		f.look(deadletter.Dir(cfg.Router.StateDir, cfg.Path))
	}
	return f.sources, f.letters, f.dead
}

func failedFiles(cfg *config.Config) (all []failedSource) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		depot, ok := cfg.Sources[name].(config.Depot)
		if !ok {
			continue
		}
		files, inAll, err := depot.Failed(maxShown)
		s := failedSource{Source: name, More: inAll - len(files)}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.Error = short(err.Error())
		}
		for _, file := range files {
			s.Files = append(s.Files, failedFile{
				ID: id("failed", name, file.Name), Name: file.Name, Size: size(file.Size), Reason: short(file.Reason), At: file.At.Local(),
			})
		}
		if len(s.Files) > 0 || s.Error != "" {
			all = append(all, s)
		}
	}
	return all
}

// look reads the dead letters if their files have changed. The lock is held.
func (f *failures) look(dir string) {
	stamp := stampOf(dir)
	if stamp == f.stamp {
		return
	}
	f.stamp, f.letters, f.dead = stamp, nil, 0
	for l, err := range deadletter.List(dir, "") {
		if err != nil {
			continue // a line that is damaged, of which the command dead tells
		}
		f.dead++
		text, ok := l.Text()
		if !ok {
			text = "data that is no text"
		}
		f.letters = append(f.letters, letter{
			ID: l.ID, Route: l.Route, Event: short(l.FullName()), Text: brief(text), Reason: short(l.Error), Size: size(int64(len(l.Data))), At: l.Time.Local(),
		})
		if len(f.letters) >= 2*maxShown {
			f.letters = latest(f.letters)
		}
	}
	f.letters = latest(f.letters)
}

// latest returns the newest letters, the newest first.
func latest(letters []letter) []letter {
	slices.SortFunc(letters, func(a, b letter) int { return strings.Compare(b.ID, a.ID) })
	return slices.Clone(letters[:min(len(letters), maxShown)])
}

// stampOf is equal for a folder of which no file has changed.
func stampOf(dir string) string {
	var stamp strings.Builder
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			fmt.Fprintf(&stamp, "%s %d %d\n", entry.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	return stamp.String()
}

// act does what a button is for, with the form of the request, and tells what
// came of it.
func (p *Page) act(w http.ResponseWriter, r *http.Request, do func(ctx context.Context) (done string, err error)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(actTimeout + writeTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), actTimeout)
	defer cancel()
	p.acting.Lock() // so that two buttons do not send the same twice
	done, err := do(ctx)
	p.acting.Unlock()
	p.failed.forget()
	if err != nil {
		http.Error(w, short(err.Error()), http.StatusConflict)
		return
	}
	p.done(w, r, done)
}

// done tells of a success: the script of the page gets a text, and a browser
// without it the page.
func (p *Page) done(w http.ResponseWriter, r *http.Request, text string) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, text)
}

func (p *Page) fileAgain(w http.ResponseWriter, r *http.Request) {
	p.act(w, r, func(context.Context) (string, error) {
		source, name := r.PostFormValue("source"), r.PostFormValue("name")
		depot, ok := p.options.Daemon.Config().Sources[source].(config.Depot)
		if !ok {
			return "", fmt.Errorf("there is no source %q with a folder", source)
		}
		if err := depot.Again(name); err != nil {
			return "", err
		}
		p.log.Info("a file that failed is tried again", "source", source, "path", name)
		return fmt.Sprintf("%q is back in the folder of %s, and tried again.", name, source), nil
	})
}

func (p *Page) letterAgain(w http.ResponseWriter, r *http.Request) {
	p.act(w, r, func(ctx context.Context) (string, error) {
		dir, l, err := p.letter(r.PostFormValue("id"))
		if err != nil {
			return "", err
		}
		letters := []deadletter.Letter{l}
		replayed := p.options.Daemon.Again(ctx, letters)
		_, err = daemon.Settle(dir, letters, replayed)
		if failed := replayed[0].Err; failed != nil {
			return "", errors.Join(failed, err)
		}
		p.log.Info("a dead letter has got through", "route", l.Route, "event", l.FullName(), "id", l.ID)
		return fmt.Sprintf("The signal on %q has got through.", l.FullName()), err
	})
}

func (p *Page) letterRemove(w http.ResponseWriter, r *http.Request) {
	p.act(w, r, func(context.Context) (string, error) {
		dir, l, err := p.letter(r.PostFormValue("id"))
		if err != nil {
			return "", err
		}
		_, err = deadletter.Remove(dir, l.ID)
		p.log.Info("a dead letter was removed", "route", l.Route, "event", l.FullName(), "id", l.ID)
		return fmt.Sprintf("The signal on %q is removed.", l.FullName()), err
	})
}

func (p *Page) letter(id string) (dir string, l deadletter.Letter, err error) {
	cfg := p.options.Daemon.Config()
	dir = deadletter.Dir(cfg.Router.StateDir, cfg.Path)
	l, err = deadletter.Get(dir, id)
	return dir, l, err
}

func (p *Page) reload(w http.ResponseWriter, r *http.Request) {
	p.act(w, r, func(ctx context.Context) (string, error) {
		reload, err := p.options.Reload(ctx)
		switch {
		case err != nil:
			return "", err
		case len(reload.Errors) > 0:
			return "", errors.New(strings.Join(reload.Errors, "\n"))
		case len(reload.Changes) == 0:
			return "Nothing has changed.", nil
		}
		return "Taken: " + strings.Join(reload.Changes, ", ") + ".", nil
	})
}
