package router

import (
	"context"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// A source that failed, or that could not be opened while others run, is tried
// again after a pause that grows from the first to the second of these.
const (
	minRestart = 500 * time.Millisecond
	maxRestart = 30 * time.Second
)

// run is the life of one source in a router, from its first Run to its Close.
type run struct {
	name   string
	source Source
	entry  *entry
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{}
}

// listening tells whether the source waits for what others send.
func (l *run) listening() bool {
	_, ok := l.source.(Readier)
	return ok
}

// begin starts the life of a source that is open; or of one that replaces
// another, which it opens when that has ended.
func (r *Router) begin(name string, s Source, before *run) *run {
	ctx, cancel := context.WithCancel(r.withInFlight(context.Background()))
	l := &run{name: name, source: s, entry: r.entries[name], log: r.log, cancel: cancel, done: make(chan struct{})}
	r.lives[l] = struct{}{}
	go func() {
		defer close(l.done)
		defer cancel()
		if before != nil {
			<-before.done
			if opener, ok := s.(Opener); ok && !l.keepTrying(ctx, "source cannot be opened", opener.Open) {
				return
			}
		}
		l.keepTrying(ctx, "source failed", func(ctx context.Context) error { return s.Run(ctx, l.entry) })
		r.close(s, "source", name)
	}()
	return l
}

// keepTrying does something until it succeeds, or fails when ctx has ended.
func (l *run) keepTrying(ctx context.Context, failure string, do func(context.Context) error) bool {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = minRestart, maxRestart
	for {
		started := time.Now()
		l.entry.counter.started()
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			return err == nil
		}
		if time.Since(started) > maxRestart {
			pause.Reset()
		}
		l.entry.counter.restart(err)
		wait := pause.NextBackOff()
		l.log.Error(failure+"; it is started again after a pause",
			"source", l.name, "error", err, "pause", wait.Round(time.Millisecond))
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

func (l *run) hasEnded() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}
