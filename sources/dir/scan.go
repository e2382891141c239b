package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"imbrouter/router/remedy"
)

// listBatch is how many entries of a folder are read, and reported, at once.
const listBatch = 1024

// eventBatch is how many events are taken together, so that a file that is
// written to in many pieces is looked at once.
const eventBatch = 4096

// presenceInterval is how often the path is looked at for whether the folder
// is still there: a folder that is held open does not tell of its removal.
const presenceInterval = time.Second

// errFolderGone says that the configured path leads to another folder now, or
// to none.
var errFolderGone = errors.New("the folder is gone")

// sighting is what was found at one path.
type sighting struct {
	path    string
	mode    fs.FileMode
	version version // of a regular file
	gone    bool    // nothing is there
}

// report is a batch of sightings. endOfScan follows a scan of the whole folder
// that could read all of it.
type report struct {
	sightings []sighting
	endOfScan bool
}

// scanner finds files and reports them. What the watcher tells are hints where
// to look; what counts is the scan of the whole folder, which comes at the
// start, every so often, and whenever events were lost.
type scanner struct {
	folder     *folder
	selection  selection
	watch      string        // watchAuto, watchInotify or watchPoll
	poll       time.Duration // between scans without a watcher
	rescan     time.Duration // between scans with one
	newWatcher func() (watcher, error)
	reports    chan<- report
	log        *slog.Logger

	watcher   watcher // nil when polling
	watched   map[string]bool
	others    map[string]bool // folders of other sources that have been told of
	overflows int
	unread    map[string]string // the error of each folder that could not be read since the last scan began
	unreadOld map[string]string // and before that
}

// run scans and watches until ctx ends, which gives nil, or the folder is
// gone, which gives errFolderGone, or a watch that must work does not.
func (s *scanner) run(ctx context.Context) error {
	s.watched, s.others = map[string]bool{}, map[string]bool{}
	if err := s.startWatching(); err != nil {
		return err
	}
	defer s.stopWatching()
	for {
		if err := s.scan(ctx); err != nil {
			return quiet(ctx, err)
		}
		if err := s.follow(ctx); err != nil {
			return quiet(ctx, err)
		}
	}
}

// quiet returns nil for the error that the end of ctx caused.
func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *scanner) startWatching() error {
	if s.watch == watchPoll {
		s.log.Info("watching", "path", s.folder.path, "by", "polling", "interval", s.poll)
		return nil
	}
	if s.watch == watchAuto && onNetwork(s.folder.path) {
		s.log.Info("watching", "path", s.folder.path, "by", "polling", "interval", s.poll,
			"reason", "a network file system does not tell of changes that others make")
		return nil
	}
	w, err := s.newWatcher()
	if err != nil {
		return s.cannotWatch(err)
	}
	s.watcher = w
	s.log.Info("watching", "path", s.folder.path, "by", "events", "rescan", s.rescan)
	return nil
}

func (s *scanner) stopWatching() {
	if s.watcher != nil {
		_ = s.watcher.Close()
		s.watcher = nil
		clear(s.watched)
	}
}

// cannotWatch falls back to polling, where that is allowed.
func (s *scanner) cannotWatch(err error) error {
	s.stopWatching()
	if s.watch == watchInotify {
		return fmt.Errorf("watch %q: %w", s.folder.path, err)
	}
	s.log.Warn("changes are not told of; the folder is polled instead",
		"path", s.folder.path, "interval", s.poll, "error", err)
	return nil
}

// follow looks where events point to until it is time for the next scan.
func (s *scanner) follow(ctx context.Context) error {
	pause := s.poll
	var events <-chan fsnotify.Event
	var failures <-chan error
	if s.watcher != nil {
		pause, events, failures = s.rescan, s.watcher.Events(), s.watcher.Errors()
	}
	next := time.NewTimer(pause)
	defer next.Stop()
	presence := time.NewTicker(presenceInterval)
	defer presence.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-presence.C:
			if !s.folder.isHere() {
				return errFolderGone
			}
		case <-next.C:
			return nil
		case err := <-failures:
			s.lostEvents(err)
			return nil
		case event := <-events:
			if err := s.lookWhere(ctx, event, events); err != nil {
				return err
			}
			if s.watcher == nil {
				return nil
			}
		}
	}
}

// lostEvents prepares for a scan that finds what the lost events were about.
// Folders may have moved, so that the paths of watches are wrong: they are all
// set again.
func (s *scanner) lostEvents(err error) {
	s.unwatch(".")
	s.overflows++
	if worthTelling(s.overflows) {
		s.log.Warn("events were lost; the whole folder is scanned again",
			"path", s.folder.path, "error", err, "count", s.overflows)
	}
}

// lookWhere looks at the path of an event, and of those that wait behind it.
func (s *scanner) lookWhere(ctx context.Context, event fsnotify.Event, more <-chan fsnotify.Event) error {
	var hints []string // in the order of events: what a rename removed comes before what it made
	known := map[string]bool{}
	for n := 1; ; n++ {
		if name, ok := s.relative(event.Name); ok {
			if event.Has(fsnotify.Rename) && s.watched[name] {
				s.unwatch(name) // it goes on under a path that is not its own any more
			}
			if !known[name] {
				known[name] = true
				hints = append(hints, name)
			}
		}
		if n == eventBatch {
			break
		}
		select {
		case event = <-more:
			continue
		default:
		}
		break
	}
	var r report
	for _, name := range hints {
		if err := s.look(ctx, name, &r); err != nil {
			return err
		}
	}
	return s.send(ctx, &r)
}

// relative turns the path of an event into one below the folder.
func (s *scanner) relative(name string) (string, bool) {
	if name == s.folder.path {
		return "", false // presenceInterval covers it
	}
	name, ok := strings.CutPrefix(name, s.folder.path+string(filepath.Separator))
	return filepath.ToSlash(name), ok
}

// look adds to r what is at a path.
func (s *scanner) look(ctx context.Context, name string, r *report) error {
	info, err := s.folder.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.unwatch(name)
		if s.selection.file(name) {
			r.sightings = append(r.sightings, sighting{path: name, gone: true})
		}
		return nil
	case err != nil:
		return nil // the next scan tells
	case !info.IsDir():
		s.see(name, info, r)
		return nil
	case !s.searches(name):
		return nil
	}
	_, err = s.walk(ctx, name, r)
	return err
}

// searches tells whether a folder, in one that is searched, is searched too. One
// that another source watches is not, which is told once: that one sends what is
// in it, and what it has sent must not be taken for input.
func (s *scanner) searches(name string) bool {
	if !s.selection.dir(name) || s.folder.reserved(name) {
		return false
	}
	lock := path.Join(name, lockFile)
	if _, err := s.folder.root.Lstat(lock); err != nil {
		return true
	}
	if !s.others[name] {
		s.others[name] = true
		s.unwatch(name)
		s.log.Warn("a folder is left alone because another source watches it; if none does any more, remove its lock",
			"path", name, "lock", lock)
	}
	return false
}

// see adds a file to r if it is input.
func (s *scanner) see(name string, info fs.FileInfo, r *report) {
	if !s.selection.file(name) || s.folder.reserved(name) {
		return
	}
	seen := sighting{path: name, mode: info.Mode()}
	if info.Mode().IsRegular() {
		seen.version = versionOf(info)
	}
	r.sightings = append(r.sightings, seen)
}

// scan reports every file in the folder.
func (s *scanner) scan(ctx context.Context) error {
	if !s.folder.isHere() {
		return errFolderGone
	}
	s.unread, s.unreadOld = map[string]string{}, s.unread
	var r report
	whole, err := s.walk(ctx, ".", &r)
	if err != nil {
		return err
	}
	r.endOfScan = whole
	return s.send(ctx, &r)
}

// walk reports every file in a folder and those below it, and watches them. It
// returns false when there was one that it could not read.
func (s *scanner) walk(ctx context.Context, dir string, r *report) (whole bool, err error) {
	whole = true
	for dirs := []string{dir}; len(dirs) > 0; {
		last := len(dirs) - 1
		dir, dirs = dirs[last], dirs[:last]
		// First watch, then read: what comes in between shows in both.
		if err := s.watchDir(dir); err != nil {
			return false, err
		}
		found, err := s.list(ctx, dir, r)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		dirs = append(dirs, found...)
		whole = s.readable(dir, err) && whole
	}
	return whole, nil
}

// readable tells of a folder that cannot be read, once.
func (s *scanner) readable(dir string, err error) bool {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		delete(s.unread, dir)
		return true
	}
	told := s.unread[dir] == err.Error() || s.unreadOld[dir] == err.Error()
	s.unread[dir] = err.Error()
	if !told {
		s.log.Error("a folder cannot be read; it is tried again with each scan", "path", dir, "error", remedy.Add(err, remedy.MayRead))
	}
	return false
}

// list reports the files in one folder and returns the folders to search in it.
func (s *scanner) list(ctx context.Context, dir string, r *report) (dirs []string, err error) {
	f, err := s.folder.openDir(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(listBatch)
		for _, entry := range entries {
			name := path.Join(dir, entry.Name())
			if entry.IsDir() {
				if s.searches(name) {
					dirs = append(dirs, name)
				}
				continue
			}
			if info, err := entry.Info(); err == nil { // else it is gone
				s.see(name, info, r)
			}
		}
		if len(r.sightings) >= listBatch {
			if err := s.send(ctx, r); err != nil {
				return dirs, err
			}
		}
		if err == io.EOF {
			return dirs, nil
		}
		if err != nil {
			return dirs, err
		}
	}
}

// send hands a report over and empties it.
func (s *scanner) send(ctx context.Context, r *report) error {
	if len(r.sightings) == 0 && !r.endOfScan {
		return nil
	}
	select {
	case s.reports <- *r:
		*r = report{}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *scanner) watchDir(dir string) error {
	if s.watcher == nil {
		return nil
	}
	err := s.watcher.Add(s.absolute(dir))
	if err == nil {
		s.watched[dir] = true
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil // listing it tells
	}
	return s.cannotWatch(explainWatchError(err))
}

// unwatch ends the watches of a folder and those below it.
func (s *scanner) unwatch(dir string) {
	if !s.watched[dir] {
		return
	}
	for d := range s.watched {
		if dir == "." || d == dir || strings.HasPrefix(d, dir+"/") {
			_ = s.watcher.Remove(s.absolute(d))
			delete(s.watched, d)
		}
	}
}

func (s *scanner) absolute(dir string) string {
	return filepath.Join(s.folder.path, filepath.FromSlash(dir))
}

// typeName names the type of what is no regular file.
func typeName(mode fs.FileMode) string {
	switch mode.Type() {
	case fs.ModeSymlink:
		return "symbolic link"
	case fs.ModeNamedPipe:
		return "FIFO"
	case fs.ModeSocket:
		return "socket"
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		return "device"
	}
	return mode.Type().String()
}
