// Package deadletter keeps the signals that failed for good, with their error,
// until somebody has looked at them: a file of JSON lines a route, bounded by
// size and age.
//
//	s, err := deadletter.Open(deadletter.Dir(stateDir, "router.toml"), deadletter.Options{Log: log})
//	if err != nil { … }
//	defer s.Close()
//	err = s.Add(deadletter.Letter{Route: "alarms", Error: err.Error(), Event: "fire", Data: data, …})
//
// A command line looks at the letters, and changes or removes some, with List, Get,
// Update and Remove, also while a Store is open: whoever changes a file, or opens it, holds
// the folder's lock meanwhile.
package deadletter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"imbrouter/router/durable"
)

const (
	defaultMaxSize = 16 << 20
	defaultMaxAge  = 30 * 24 * time.Hour

	// syncInterval is the least time between two fsyncs of what was added.
	syncInterval = time.Second
	// expireInterval is how often it is looked for letters that are too old.
	expireInterval = time.Hour
	// tellInterval is how often it is told that letters had to go.
	tellInterval = time.Minute
)

// The letters hold what was sent, which is nobody else's business.
const (
	dirPerm  = 0o700
	filePerm = 0o600
)

var (
	// ErrTooLarge says that a letter is larger than a route's file may be.
	ErrTooLarge = errors.New("the letter is too large")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the dead letters are closed")
	// ErrLocked says that another program has held the folder's lock for longer
	// than anybody needs it.
	ErrLocked = errors.New("another program holds the lock and does not go on: end it")
)

// Dir returns the path of the folder for a configuration file.
func Dir(stateDir, configFile string) string {
	return filepath.Join(stateDir, strings.TrimSuffix(filepath.Base(configFile), ".toml")+".dead")
}

// Options are a Store's settings. The zero value is usable.
type Options struct {
	Log *slog.Logger // nil discards
	// MaxSize is how large the file of a route may get, in bytes; 0 means
	// 16 MiB. The oldest half goes when it is reached.
	MaxSize int64
	// MaxAge is how long a letter is kept; 0 means 30 days.
	MaxAge time.Duration
}

// Store takes letters. It is safe for concurrent use.
type Store struct {
	folder   folder
	options  Options
	wake     chan struct{} // there is something to sync
	stop     chan struct{} // closed by Close
	running  sync.WaitGroup
	closeErr func() error

	mu      sync.Mutex
	closed  bool
	lastID  uint64
	heldUp  bool            // the lock was waited for in vain
	unsaved map[string]bool // paths of files to sync
	gone    map[string]int  // letters that had to go, and were not told of, by route
	told    time.Time       // when it was told of such
}

// Open makes the folder where it is missing.
func Open(dir string, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxSize <= 0 {
		o.MaxSize = defaultMaxSize
	}
	if o.MaxAge <= 0 {
		o.MaxAge = defaultMaxAge
	}
	s := &Store{
		folder: folder(dir), options: o, wake: make(chan struct{}, 1), stop: make(chan struct{}),
		unsaved: map[string]bool{}, gone: map[string]int{},
	}
	s.closeErr = sync.OnceValue(s.close)
	err := os.MkdirAll(dir, dirPerm)
	if err == nil {
		err = s.expire()
	}
	if err != nil {
		return nil, fmt.Errorf("open the dead letters %q: %w", dir, err)
	}
	s.running.Go(s.keep)
	return s, nil
}

// Add takes a letter. It survives the end of the process when Add returns, and
// a power cut a second later.
func (s *Store) Add(l Letter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if l.Time.IsZero() {
		l.Time = time.Now()
	}
	if l.ID == "" {
		s.lastID = max(s.lastID+1, uint64(l.Time.UnixNano()))
		l.ID = formatID(s.lastID)
	}
	text, err := l.line()
	if err == nil && int64(len(text)) > min(s.options.MaxSize, maxLine) {
		err = fmt.Errorf("%w: %d bytes", ErrTooLarge, len(text))
	}
	path := s.folder.file(l.Route)
	if err == nil {
		err = s.locked(func() error { return s.append(path, l.Route, text) })
	}
	if err != nil {
		return fmt.Errorf("keep a dead letter of route %q: %w", l.Route, err)
	}
	s.unsaved[path] = true
	s.wakeKeeper()
	return nil
}

func (s *Store) wakeKeeper() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// locked is folder.locked. After it has waited in vain it waits no more until
// the lock is free: many letters may be to come, and those who bring them wait.
func (s *Store) locked(do func() error) error {
	wait := lockTimeout
	if s.heldUp {
		wait = 0
	}
	err := s.folder.lockedWithin(wait, do)
	s.heldUp = errors.Is(err, ErrLocked)
	return err
}

// append writes a line to a file. The lock is held.
func (s *Store) append(path, route string, text []byte) error {
	need := int64(len(text)) + 1 // a newline, see below
	if info, err := os.Stat(path); err == nil && info.Size()+need > s.options.MaxSize {
		keep := min(s.options.MaxSize/2, max(0, s.options.MaxSize-need))
		gone, err := rewrite(path, func(_ []byte, from int64) ([]byte, bool) { return nil, info.Size()-from <= keep })
		if err != nil {
			return err
		}
		s.gone[route] += gone
		s.tell(tellInterval)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, filePerm)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if last := make([]byte, 1); size > 0 {
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' { // a crash, or a full disk, has cut it off
			text = append([]byte("\n"), text...)
		}
	}
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Truncate(size))
	}
	return nil
}

// tell tells of letters that had to go, unless it did so within an interval.
func (s *Store) tell(interval time.Duration) {
	if time.Since(s.told) < interval {
		return
	}
	for route, gone := range s.gone {
		s.options.Log.Warn("the dead letters of a route are full; the oldest are gone",
			"route", route, "count", gone, "max_size", s.options.MaxSize)
		s.told = time.Now()
	}
	clear(s.gone)
}

// Close makes durable what was added.
func (s *Store) Close() error { return s.closeErr() }

func (s *Store) close() error {
	s.mu.Lock()
	s.closed = true
	s.tell(0)
	s.mu.Unlock()
	close(s.stop)
	s.running.Wait()
	return s.sync()
}

// keep syncs what was added, and removes what is too old, until Close.
func (s *Store) keep() {
	expire := time.NewTicker(expireInterval)
	defer expire.Stop()
	failing := false
	for {
		select {
		case <-s.stop:
			return
		case <-expire.C:
			if err := s.expire(); err != nil {
				s.options.Log.Error("dead letters that are too old cannot be removed", "error", err)
			}
		case <-s.wake:
			err := s.sync()
			if err != nil && !failing {
				s.options.Log.Error("dead letters are not safe from a power cut", "error", err)
			}
			failing = err != nil
			if failing {
				s.wakeKeeper()
			}
			select {
			case <-s.stop:
			case <-time.After(syncInterval):
			}
		}
	}
}

// sync makes durable what was added. After an error it is to be done again.
func (s *Store) sync() error {
	s.mu.Lock()
	unsaved := s.unsaved
	s.unsaved = map[string]bool{}
	s.mu.Unlock()
	var errs []error
	for path := range unsaved {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its letters were removed
		}
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			s.mu.Lock()
			s.unsaved[path] = true
			s.mu.Unlock()
			errs = append(errs, err)
		}
	}
	if len(unsaved) > 0 {
		errs = append(errs, durable.SyncDirPath(string(s.folder)))
	}
	return errors.Join(errs...)
}

// expire removes letters that are too old.
func (s *Store) expire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := time.Now().Add(-s.options.MaxAge)
	return s.locked(func() error {
		paths, err := s.folder.files()
		if err != nil {
			return err
		}
		for _, path := range paths {
			old := true // they stand in the order of time
			gone, err := rewrite(path, func(text []byte, _ int64) ([]byte, bool) {
				var l Letter
				old = old && (l.UnmarshalJSON(text) != nil || l.Time.Before(oldest))
				return nil, !old
			})
			if err != nil {
				return err
			}
			if gone > 0 {
				s.options.Log.Info("dead letters that were too old are gone", "path", path, "count", gone, "max_age", s.options.MaxAge)
			}
		}
		return nil
	})
}
