package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// beat is how often a viewer hears something when nothing changes, so that it
// knows that the connection lives.
const beat = 5 * time.Second

// sections are the parts of the page that are sent anew when they change. Each is
// a template of that name, and in the page an element with the id "live-" and it.
var sections = []string{"state", "alerts", "routes", "transfers", "failed", "files", "connections"}

// board has the sections as they were last, for those who wait for news. A viewer
// that is slow misses what came in between, and nothing waits for it.
type board struct {
	mu      sync.Mutex
	posted  uint64 // how often there was something new
	texts   map[string]posted
	changed chan struct{} // closed when there is something new, and replaced
}

type posted struct {
	text []byte
	as   uint64
}

func (b *board) init() { b.texts, b.changed = map[string]posted{}, make(chan struct{}) }

// post puts up texts, of which those that are the same are no news.
func (b *board) post(texts map[string][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	news := false
	for name, text := range texts {
		if !bytes.Equal(text, b.texts[name].text) {
			b.texts[name] = posted{text, b.posted + 1}
			news = true
		}
	}
	if news {
		b.posted++
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

// since returns what has changed since a number that it returned before.
func (b *board) since(seen uint64) (texts map[string][]byte, now uint64, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	texts = map[string][]byte{}
	for name, p := range b.texts {
		if p.as > seen {
			texts[name] = p.text
		}
	}
	return texts, b.posted, b.changed
}

// clear takes down what nobody has kept up.
func (b *board) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.texts)
}

// publish puts up a view.
func (p *Page) publish(v view) {
	texts := map[string][]byte{}
	for _, name := range sections {
		var text bytes.Buffer
		if err := templates.ExecuteTemplate(&text, name, v); err != nil {
			p.log.Error("the page cannot be shown", "section", name, "error", err)
			continue
		}
		texts[name] = text.Bytes()
	}
	p.board.post(texts)
}

// live sends the sections as they change, as server-sent events.
func (p *Page) live(w http.ResponseWriter, r *http.Request) {
	switch n := p.viewers.Add(1); {
	case n > maxViewers:
		p.viewers.Add(-1)
		busy(w, "too many look at this already")
		return
	case n == 1:
		p.board.clear()
	}
	defer p.viewers.Add(-1)
	s := newStream(w, "text/event-stream")
	var seen uint64
	for {
		texts, now, changed := p.board.since(seen)
		seen = now
		for _, name := range sections {
			if text, ok := texts[name]; ok {
				s.event(name, text)
			}
		}
		s.event("beat", nil)
		if s.flush() != nil {
			return
		}
		wait, cancel := context.WithTimeout(r.Context(), beat)
		select {
		case <-changed:
		case <-wait.Done():
		}
		cancel()
		if r.Context().Err() != nil {
			return
		}
	}
}

// stream is an answer that goes on.
type stream struct {
	w          http.ResponseWriter
	controller *http.ResponseController
}

func newStream(w http.ResponseWriter, contentType string) *stream {
	s := &stream{w, http.NewResponseController(w)}
	_ = s.controller.SetReadDeadline(time.Time{}) // of the request, which is read; it would end the answer
	w.Header().Set("Content-Type", contentType+"; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // for a proxy
	s.extend()
	return s
}

func (s *stream) extend() { _ = s.controller.SetWriteDeadline(time.Now().Add(writeTimeout)) }

// event writes a server-sent event. Errors come with flush.
func (s *stream) event(name string, text []byte) {
	s.extend()
	fmt.Fprintf(s.w, "event: %s\n", name)
	for line := range bytes.Lines(text) {
		fmt.Fprintf(s.w, "data: %s\n", bytes.TrimRight(line, "\r\n"))
	}
	if len(text) == 0 {
		fmt.Fprint(s.w, "data:\n")
	}
	fmt.Fprint(s.w, "\n")
}

func (s *stream) flush() error { return s.controller.Flush() }

// busy is for those for whom there is no room.
func busy(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", "5")
	http.Error(w, why+"; try again later", http.StatusServiceUnavailable)
}
