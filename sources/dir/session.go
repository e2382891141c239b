package dir

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"imbrouter/router"
)

// longIncomplete is how long a file may be incomplete before that is told.
const longIncomplete = time.Minute

// workers returns how many files may be worked on at a time: those that are sent,
// and some more that are on their way out of the folder. These wait for the disk,
// and the more they are the more of them share each of its waits. Where one is sent
// at a time, one is worked on at a time.
func (c *Config) workers() int { return c.Parallel + 4*(c.Parallel-1) }

// session is one run over one opened folder. Its own goroutine owns the table;
// one goroutine scans, one removes old files, and there is one for each file
// that is being tried.
type session struct {
	*Source
	delivery *delivery
	table    *table
	troubles troubleLog
	reports  chan report
	workers  sync.WaitGroup
	results  chan result   // has room for those of all workers
	sent     chan struct{} // likewise; each worker tells once that it sends nothing any more
	working  int
	sending  int
}

func (s *Source) newSession(d *folder, next router.Sink) *session {
	return &session{
		Source: s,
		delivery: &delivery{
			folder: d, source: s.name, next: next, log: s.log, writers: s.writers,
			settle: time.Duration(s.config.Settle), settleAlways: s.config.settleAlways,
			after: s.config.After, maxAttempts: s.config.MaxAttempts,
		},
		table:    newTable(),
		troubles: troubleLog{log: s.log},
		reports:  make(chan report),
		results:  make(chan result, s.config.workers()),
		sent:     make(chan struct{}, s.config.workers()),
	}
}

// run works until ctx ends or the scanner gives up, and returns the scanner's
// error when what is under way is done.
func (s *session) run(ctx context.Context) error {
	scanCtx, stopScanner := context.WithCancel(ctx)
	var trimming sync.WaitGroup
	trimming.Go(func() { s.trim(scanCtx) })
	defer func() {
		stopScanner()
		trimming.Wait()
		s.troubles.close()
	}()
	scanner := &scanner{
		folder: s.delivery.folder, selection: s.selection, watch: s.config.Watch,
		poll: time.Duration(s.config.PollInterval), rescan: time.Duration(s.config.Rescan),
		newWatcher: s.newWatcher, reports: s.reports, log: s.log,
	}
	ended := make(chan error, 1)
	go func() { ended <- scanner.run(scanCtx) }()

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.table.wake(time.Now())
		s.startWork(ctx)
		s.waiting.Store(int64(s.table.waiting))
		if due, ok := s.table.nextDue(); ok {
			timer.Reset(time.Until(due))
		}
		select {
		case r := <-s.reports:
			s.enter(r)
		case <-s.sent:
			s.sending--
		case r := <-s.results:
			s.working--
			s.finish(r)
		case <-s.rerouted:
			s.table.rerouted()
		case <-timer.C:
		case err := <-ended:
			s.drain()
			return err
		case <-ctx.Done():
			s.drain()
			return <-ended
		}
	}
}

// startWork sends files, as many as may be sent at a time.
func (s *session) startWork(ctx context.Context) {
	for s.sending < s.config.Parallel && s.working < cap(s.results) {
		f := s.table.next()
		if f == nil {
			return
		}
		s.working++
		s.sending++
		j := job{file: f, path: f.path, looks: f.looks, edition: f.edition}
		s.workers.Go(func() {
			sent := sync.OnceFunc(func() { s.sent <- struct{}{} })
			r := s.delivery.try(router.InFlight(ctx), j, sent)
			sent()
			s.results <- r
		})
	}
}

// drain waits for the files under way.
func (s *session) drain() {
	for ; s.working > 0; s.working-- {
		s.finish(<-s.results)
	}
	s.workers.Wait()
}

// enter takes in what the scanner saw.
func (s *session) enter(r report) {
	now := time.Now()
	for _, seen := range r.sightings {
		sent := s.delivery.folder.sent.has(seen.path, seen.version)
		if sent && s.config.After == afterKeep {
			continue
		}
		if f := s.table.see(seen, now); f != nil {
			s.log.Warn("skipped: only regular files are sent", "path", f.path, "type", typeName(f.special))
		}
	}
	if r.endOfScan { // what has was not asked about is not there
		s.table.endScan(now)
		s.delivery.folder.sent.sweep()
	}
}

// finish takes in what a job came to.
func (s *session) finish(r result) {
	now := time.Now()
	f, t := r.file, s.table
	if r.version != f.version {
		f.renew(r.version, now)
	}
	f.edition = r.edition
	if o := f.outage; o != nil && (r.reached || r.outcome == away && router.Away(r.err) != o.destination) {
		files := t.reached(f)
		s.log.Info("the destination is back", "destination", o.destination, "away", now.Sub(o.since).Round(time.Second),
			"failures", o.failures, "files", files)
	}
	if !f.heldUp.IsZero() && r.outcome != blocked {
		s.log.Info("no longer held up", "path", f.path, "held_up", now.Sub(f.heldUp).Round(time.Second))
		f.heldUp = time.Time{}
	}
	if r.outcome != incomplete {
		f.looks, f.toldOpen = 0, false
	}
	switch r.outcome {
	case done:
		t.remove(f, now)
	case leave, untaken:
		t.idle(f, now)
		f.untaken = r.outcome == untaken
	case incomplete:
		s.lookAgain(f, r.wait, now)
	case away:
		if o := t.away(f, router.Away(r.err), now); o != nil && o.tell(now) {
			s.log.Warn("the destination is away; files wait until it is back", "path", f.path,
				"error", r.err, "failures", o.failures, "waiting", len(o.waiting)+1)
		}
	case failed:
		s.retry(f, r.err, now, "not sent; it is tried again", slog.LevelWarn)
	case blocked:
		if f.heldUp.IsZero() {
			f.heldUp = now
		}
		s.retry(f, r.err, now, "held up; it is tried again", slog.LevelError)
	}
	if f.newest != (version{}) && f.newest != f.version {
		t.see(sighting{path: f.path, version: f.newest}, now)
	}
}

// lookAgain puts off a file that is not complete.
func (s *session) lookAgain(f *file, wait time.Duration, now time.Time) {
	s.table.endProbe(f, now)
	if f.looks == 0 {
		f.incomplete = now
	}
	f.looks++
	if !f.toldOpen && now.Sub(f.incomplete) >= longIncomplete {
		f.toldOpen = true
		s.log.Info("waiting for a file that is still written to or held open by its writer", "path", f.path)
	}
	s.table.toLater(f, now.Add(wait))
}

// retry puts off a file that could not be sent, and tells why when that is news.
func (s *session) retry(f *file, err error, now time.Time, message string, level slog.Level) {
	s.table.endProbe(f, now)
	if f.pause == nil {
		f.pause = newPause()
	}
	if f.trouble != err.Error() {
		f.trouble, f.troubles = err.Error(), 0
	}
	f.troubles++
	if worthTelling(f.troubles) {
		s.troubles.tell(now, level, message, "path", f.path, "error", err, "count", f.troubles)
	}
	s.table.toLater(f, now.Add(f.pause.NextBackOff()))
}
