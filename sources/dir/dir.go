// Package dir is the source that sends the files which are put into a folder:
// every complete one goes out as a stream, and none is lost.
//
// A drop folder looks so, and only the first is input:
//
//	drop/report.csv, drop/a/b.csv  to be sent, as streams "report.csv" and "a/b.csv"
//	drop/sent/                     what was sent, under its relative path
//	drop/failed/                   what cannot be sent, each with a .reason.txt
//	drop/.imbrouter/               the lock, and the books
//
// It may be the folder of a dir sink as well: then what that receives is sent on.
// A folder in it that another source watches is left to that one.
//
// Four parts do the work. A scanner finds files: events are hints where to
// look, the regular scan of the whole folder is the truth. A table knows what
// is to be done about each. Workers take one file each through a delivery:
// complete? open, send, still the same? commit, put away. A session owns the
// three for one opened folder; when the folder is removed it ends, and the
// source begins another when the folder is back.
//
// # What is promised
//
// A file leaves the folder only after its destination has acknowledged it,
// and as exactly the version that was sent: one that changes or is replaced
// at any moment is, or stays, input. A crash may have a file sent twice; it
// loses none. What is not complete is not sent: see the file complete.go for
// the evidence, and for where there is none but time.
//
// # Failures
//
// What the errors of the next [router.Sink] lead to:
//
//   - router.ErrNotTaken: the file stays and is not tried again until it changes,
//     or the routes from the source do.
//   - router.ErrUnavailable: the file stays and is tried for ever. Files that
//     wait for one destination, as the error's text names it, send one ahead.
//   - router.ErrPermanent: the file moves to failed/.
//   - other errors: it is tried max_attempts times and then moves to failed/. So
//     is one that cannot be read to its end, because each try has receivers begin.
//
// A file that cannot be opened or moved on this machine stays and is tried for
// ever; one that was sent, or given up, is not sent again for that. A file in failed/ that
// is moved back is a new one; the note about it, should it come along, is removed.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"imbrouter/router"
	"imbrouter/router/remedy"
)

// returnInterval is how often a folder that is gone is looked for.
const returnInterval = time.Second

// Source watches one folder. It is made by Config.Build.
type Source struct {
	config     Config
	path       string
	name       string
	log        *slog.Logger
	selection  selection
	newWatcher func() (watcher, error)
	writers    func(*os.File) writers

	folder *folder // nil before Open, and while the folder is gone

	waiting  atomic.Int64  // files that are to be sent
	rerouted chan struct{} // has room for one
}

// Open makes the folder if it does not exist, and locks it. It fails when
// another imbrouter watches the folder, and when files could not be moved in it.
func (s *Source) Open(context.Context) error {
	if err := os.MkdirAll(s.path, dirPerm); err != nil {
		return fmt.Errorf("make the folder %q to watch: %w", s.path, remedy.Add(err, remedy.MayWrite))
	}
	return s.openFolder()
}

func (s *Source) openFolder() (err error) {
	s.folder, err = openFolder(s.path, s.config.After == afterMove, s.log)
	return err
}

// Waiting implements router.Backlogged: those that are being sent count too.
func (s *Source) Waiting() int { return int(s.waiting.Load()) }

// Rerouted implements router.Rerouted.
func (s *Source) Rerouted() {
	select {
	case s.rerouted <- struct{}{}:
	default:
	}
}

// Close gives the lock back.
func (s *Source) Close() error {
	s.closeFolder()
	return nil
}

func (s *Source) closeFolder() {
	if s.folder != nil {
		s.folder.close()
		s.folder = nil
	}
}

// Run implements router.Source.
func (s *Source) Run(ctx context.Context, next router.Sink) error {
	for {
		if s.folder == nil && !s.awaitFolder(ctx) {
			return nil
		}
		err := s.newSession(s.folder, next).run(ctx)
		if !errors.Is(err, errFolderGone) {
			return err
		}
		s.log.Error("the folder is gone; waiting until it is back", "path", s.path)
		s.closeFolder()
	}
}

// awaitFolder waits until the folder is there again, and opens it. It returns
// false when ctx ends before.
func (s *Source) awaitFolder(ctx context.Context) bool {
	tick := time.NewTicker(returnInterval)
	defer tick.Stop()
	told := ""
	for {
		err := s.openFolder()
		if err == nil {
			s.log.Info("the folder is back", "path", s.path)
			return true
		}
		if !errors.Is(err, fs.ErrNotExist) && err.Error() != told {
			told = err.Error()
			s.log.Error("the folder is back but cannot be used", "path", s.path, "error", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}
