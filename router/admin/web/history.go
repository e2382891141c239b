package web

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"imbrouter/router/journal"
)

// historyTimeout is how long the first who look wait for the journal to be read.
const historyTimeout = 2 * time.Second

// history has what became of the latest files and streams. The journal is read
// when somebody looks, and followed from then on.
type history struct {
	wanted chan struct{} // closed when somebody has looked
	read   chan struct{} // closed when the journal was read
	want   func()

	mu     sync.Mutex
	latest []journal.Record // newest first
}

func (h *history) init() {
	h.wanted, h.read = make(chan struct{}), make(chan struct{})
	h.want = sync.OnceFunc(func() { close(h.wanted) })
}

// await makes the journal be read, and waits a short time until it is.
func (h *history) await(ctx context.Context) {
	h.want()
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	select {
	case <-h.read:
	case <-ctx.Done():
	}
}

func (h *history) add(r journal.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest = slices.DeleteFunc(h.latest, func(old journal.Record) bool {
		return old.SameDelivery(r)
	})
	h.latest = slices.Insert(h.latest, 0, r)
	h.latest = h.latest[:min(len(h.latest), maxShown)]
}

func (h *history) list() []journal.Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.latest)
}

// journalPath returns where the journal is, "" when it is switched off.
func (p *Page) journalPath() string {
	cfg := p.options.Daemon.Config()
	if !cfg.Router.Journal {
		return ""
	}
	return journal.Path(cfg.Router.StateDir, cfg.Path)
}

func (p *Page) followJournal(ctx context.Context) {
	select {
	case <-p.history.wanted:
	case <-ctx.Done():
		return
	}
	path := p.journalPath()
	if path == "" {
		close(p.history.read)
		return
	}
	filter := journal.Filter{Outcomes: slices.DeleteFunc(slices.Clone(journal.Outcomes), func(o journal.Outcome) bool {
		return o == journal.Unconfirmed
	})}
	p.take(ctx, journal.Read(ctx, path, filter))
	close(p.history.read)
	if list := p.history.list(); len(list) > 0 {
		filter.Since = list[0].Time
	}
	p.take(ctx, journal.Follow(ctx, path, filter))
}

// take takes records until ctx ends. Lines that cannot be read are left out; the
// command history tells of them.
func (p *Page) take(ctx context.Context, records iter.Seq2[journal.Record, error]) {
	for r, err := range records {
		var line *journal.LineError
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			p.history.add(r)
		case !errors.As(err, &line):
			p.log.Warn("the page shows no more of what becomes of files", "error", err)
			return
		}
	}
}

// file is a record for people.
type file struct {
	ID                                string // of the element
	Kind                              string // "good", "warn" or "bad"
	Outcome, Name, Route, Size, Event string
	SHA256, Reason                    string
	Took                              string
	At                                time.Time
}

func (p *Page) latestFiles() (all []file) {
	for _, r := range p.history.list() {
		f := file{
			ID: id("file", r.Run, r.ID, r.Route, r.Sink), Kind: "bad", Outcome: outcomes[r.Outcome], Name: short(cmp.Or(r.Name, "(no name)")),
			Route: r.Route, Event: short(r.Event), Size: size(r.Size), SHA256: r.SHA256, Reason: short(r.Reason),
			Took: took(r.Duration), At: r.Time.Local(),
		}
		switch r.Outcome {
		case journal.Sent, journal.Received:
			f.Kind = "good"
		case journal.SentToNobody, journal.PossiblySent, journal.Skipped:
			f.Kind = "warn"
		}
		f.Outcome = cmp.Or(f.Outcome, string(r.Outcome))
		all = append(all, f)
	}
	return all
}

var outcomes = map[journal.Outcome]string{
	journal.Sent: "sent", journal.SentToNobody: "sent to nobody", journal.PossiblySent: "possibly sent",
	journal.Received: "received", journal.Skipped: "skipped", journal.Incomplete: "incomplete", journal.Failed: "failed",
}
