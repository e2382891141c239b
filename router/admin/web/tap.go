package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"imbrouter/router/tap"
)

const (
	// tapRoom is how many lines may wait for a browser. More are left out, and
	// counted.
	tapRoom = 256
	// tapInterval is the time in which lines are gathered before they are sent.
	tapInterval = 100 * time.Millisecond
	// goodbyeTimeout is how long it may take to leave a hub.
	goodbyeTimeout = time.Second
)

// tapLine is a line as the script of the page gets it.
type tapLine struct {
	Time  string `json:"time"`
	Event string `json:"event"`
	Kind  string `json:"kind"`
	Text  string `json:"text"`
}

// tap sends what happens on events, as server-sent events or, to a browser
// without the script, as lines of text.
func (p *Page) tap(w http.ResponseWriter, r *http.Request) {
	pattern, connection := r.URL.Query().Get("event"), r.URL.Query().Get("connection")
	if err := tap.Check("", pattern); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case p.taps <- struct{}{}:
		defer func() { <-p.taps }()
	default:
		busy(w, "too many listen already")
		return
	}
	ctx := r.Context()
	client, err := p.options.Daemon.Connect(ctx, connection)
	if err != nil {
		http.Error(w, short(err.Error()), http.StatusBadGateway)
		return
	}
	defer func() {
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
		defer cancel()
		_ = client.Close(patience)
	}()
	lines := make(chan tap.Line, tapRoom)
	var leftOut atomic.Uint64
	err = tap.Subscribe(client, func(l tap.Line) {
		select {
		case lines <- l:
		default:
			leftOut.Add(1)
		}
	}, pattern)
	if err == nil {
		err = client.Flush(ctx)
	}
	if err != nil {
		http.Error(w, short(err.Error()), http.StatusBadGateway)
		return
	}
	sendLines(ctx, w, strings.Contains(r.Header.Get("Accept"), "text/event-stream"), pattern, lines, &leftOut)
}

// sendLines sends lines until ctx ends or the client is gone.
func sendLines(ctx context.Context, w http.ResponseWriter, events bool, pattern string, lines <-chan tap.Line, leftOut *atomic.Uint64) {
	contentType := "text/plain"
	if events {
		contentType = "text/event-stream"
	}
	s := newStream(w, contentType)
	tell := func(event, text string) {
		if events {
			s.event(event, []byte(text))
		} else if text != "" {
			s.extend()
			fmt.Fprintln(w, text)
		}
	}
	tell("listening", fmt.Sprintf("Listening to %s.", pattern))
	last := time.Now()
	tick := time.NewTicker(tapInterval)
	defer tick.Stop()
	for {
		for range len(lines) {
			l := <-lines
			if events {
				shown := l.Shown
				if l.Text != nil {
					shown = *l.Text
				}
				text, _ := json.Marshal(tapLine{l.Time.Format("15:04:05.000"), short(l.Event), l.Kind, short(shown)})
				tell("line", string(text))
			} else {
				tell("", fmt.Sprintf("%s %q %s %s", l.Time.Format("15:04:05.000"), l.Event, l.Kind, l.Shown))
			}
			last = time.Now()
		}
		if n := leftOut.Swap(0); n > 0 {
			tell("left-out", fmt.Sprintf("%d more were left out: they come too fast to show.", n))
		}
		if time.Since(last) > beat {
			tell("beat", "")
			last = time.Now()
		}
		if s.flush() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
