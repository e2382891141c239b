// Package dir is the sink whose streams land as files in a folder, whole or
// not at all.
//
//	[sinks.inbox]
//	type = "dir"
//	path = "received"
//	filename = 'event + "/" + stream'   # an expression
//	if_exists = "rename"
//
// A stream grows as a partial file in <path>/.imbrouter/partial. When it is
// whole, the file is fsynced, gets its final name in a way that cannot
// overwrite another file, and the name is fsynced as well; only then is the
// stream acknowledged. A stream that ends in any other way — cut off, silent
// for too long, too large — never has its final name: what came of it goes to
// <path>/.imbrouter/incomplete with the reason beside it. Of one that the disk
// has no room for nothing is kept.
//
// With received_max_age and received_max_size the oldest received files are
// removed again: those that the sink can tell to be its own, see the file
// marks.go.
//
// The name is chosen by whoever sent the stream, so [SafeName] maps it to a
// path that is harmless everywhere, and every file is opened through an
// os.Root, which no symbolic link leads out of.
//
// A full or read-only disk and one with errors make streams fail with
// router.ErrUnavailable, in the same words for all, and the next one tries
// again. A folder that is removed or moved away while the router runs is made
// again. A dir source may watch the same folder.
//
// Everything in the folder must be on one file system. On one without hard
// links (FAT, exFAT) a file gets its final name by a rename that refuses an
// existing name; Windows has none that stays inside a folder, so an empty file
// takes the name first there, and is left behind if the machine dies in
// between.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"imbrouter/router"
	"imbrouter/router/journal"
	"imbrouter/router/retention"
)

// tidyInterval is the time between two looks at what was left behind.
const tidyInterval = time.Hour

var (
	errStopped  = errors.New("the router stops")
	errLeftOver = errors.New("the router ended while the stream was open")
)

// sink implements router.Sink and router.Opener.
type sink struct {
	config Config
	log    *slog.Logger
	opened func(*folder) // for tests: called with each folder before it is used

	refuseSignal sync.Once
	timers       sync.WaitGroup // idle timers that may still run
	stopTidying  context.CancelFunc
	tidying      sync.WaitGroup

	mu     sync.Mutex
	folder *folder // nil while the sink is not open
	open   map[*stream]struct{}
}

// Open implements router.Opener: it makes the folder, locks it, and deals with
// what a run that was killed left behind.
func (s *sink) Open(context.Context) error {
	f, err := acquire(&s.config, s.log)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.use(f)
	s.mu.Unlock()
	s.sweep(f)
	ctx, cancel := context.WithCancel(context.Background())
	s.stopTidying = cancel
	s.tidying.Go(func() { s.tidy(ctx) })
	s.tidying.Go(func() { s.trim(ctx) })
	return nil
}

// Close implements router.Opener: streams that are open end as incomplete.
func (s *sink) Close() error {
	s.stopTidying()
	s.tidying.Wait()
	for _, w := range s.openStreams() {
		w.Abort(errStopped)
	}
	s.timers.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folder
	s.folder = nil
	return f.release()
}

// Signal implements router.Sink: a folder takes streams only.
func (s *sink) Signal(_ context.Context, m router.Signal) error {
	s.refuseSignal.Do(func() {
		s.log.Debug("a folder takes streams only, signals are ignored", "event", shown(m.FullName()))
	})
	return router.ErrNotTaken
}

// Passage implements router.Watched, for `filename`.
func (s *sink) Passage() *router.Passage { return s.config.name.Passage() }

// Stream implements router.Sink.
func (s *sink) Stream(_ context.Context, info router.StreamInfo) (router.StreamWriter, error) {
	name, err := s.config.fileName(info)
	if err != nil {
		return nil, err
	}
	w := &stream{sink: s, info: info, name: name, begun: time.Now(), delivery: router.Delivery{Outcome: journal.Received}}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := s.admit(w); err != nil {
		return nil, err
	}
	if err := w.create(); err != nil {
		w.ended = err
		s.release(w)
		return nil, err
	}
	return w, nil
}

// admit counts w among the open streams and gives it the folder.
func (s *sink) admit(w *stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folder == nil {
		return fmt.Errorf("%w: the sink is not open", router.ErrUnavailable)
	}
	if len(s.open) >= s.config.MaxOpen {
		return fmt.Errorf("%w: %d streams are open in %q, max_open allows no more",
			router.ErrUnavailable, len(s.open), s.config.Path)
	}
	if !s.folder.isCurrent() {
		f, err := acquire(&s.config, s.log)
		if err != nil {
			return fmt.Errorf("%w: %w", router.ErrUnavailable, err)
		}
		s.log.Warn("the folder was removed or moved away, it is made again", "path", s.config.Path)
		_ = s.folder.release()
		s.use(f)
	}
	w.folder = s.folder
	w.folder.retain()
	s.open[w] = struct{}{}
	return nil
}

// release is the reverse of admit.
func (s *sink) release(w *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, w)
	w.folder.forget(w.partial)
	_ = w.folder.release()
}

// use makes f the folder for new streams. s.mu is held.
func (s *sink) use(f *folder) {
	if s.opened != nil {
		s.opened(f)
	}
	s.folder = f
}

func (s *sink) openStreams() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.open))
}

// tidy looks every now and then after files that could not be removed when
// they should have been, and after the age of the incomplete ones.
func (s *sink) tidy(ctx context.Context) {
	ticker := time.NewTicker(tidyInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		f := s.useFolder()
		s.sweep(f)
		if err := f.incomplete.load(); err != nil {
			s.log.Warn("incomplete files cannot be listed", "path", f.abs(incompleteDir), "error", err)
		}
		_ = f.release()
	}
}

// trim removes received files that are above the limits until ctx ends.
func (s *sink) trim(ctx context.Context) {
	log := retention.NewLog(s.log)
	defer log.Close()
	retention.Every(ctx, func() {
		f := s.useFolder()
		defer f.release()
		removed, err := f.marks.trim(ctx, f)
		log.Trimmed(s.config.Path, removed, err)
	})
}

// useFolder returns the folder, for the caller to release: it may be exchanged
// meanwhile.
func (s *sink) useFolder() *folder {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folder.retain()
	return s.folder
}

// sweep deals with partial files that belong to no open stream.
func (s *sink) sweep(f *folder) {
	partials, err := f.partialFiles()
	if err != nil {
		s.log.Warn("partial files cannot be listed", "path", f.abs(partialDir), "error", err)
	}
	for _, partial := range partials {
		if !f.inUse(partial) {
			s.sweepOne(f, partial)
		}
	}
}

func (s *sink) sweepOne(f *folder, partial string) {
	if f.isPublished(partial) {
		_ = f.removePartial(partial)
		return
	}
	name := streamName(partial)
	kept, err := f.setAside(partial, name, reasonText(notWhole, errLeftOver, name), s.config.Incomplete)
	if !errors.Is(err, fs.ErrNotExist) { // else its stream has just ended
		s.logIncomplete(f, slog.LevelWarn, notWhole, kept, err, "stream", shown(name), "error", errLeftOver)
	}
}

// logIncomplete tells what became of a stream that has no file: what is kept of
// it, if anything, and, as a warning at least, what went wrong in keeping it.
func (s *sink) logIncomplete(f *folder, level slog.Level, what, kept string, err error, attributes ...any) {
	if kept != "" {
		attributes = append(attributes, "path", f.abs(kept))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		attributes = append(attributes, "cleanup_error", err)
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, what, attributes...)
}
