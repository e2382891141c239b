package dir

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// Values of the key "watch".
const (
	watchAuto    = "auto"
	watchInotify = "inotify"
	watchPoll    = "poll"
)

// watcher tells of changes in folders. It is what is used of an
// fsnotify.Watcher.
type watcher interface {
	// Add begins to watch a folder, not those in it. Adding it again does nothing.
	Add(dir string) error
	// Remove ends it. Errors are of no use: the folder may be gone.
	Remove(dir string) error
	Events() <-chan fsnotify.Event
	Errors() <-chan error
	Close() error
}

// fsWatcher is fsnotify's, and on Linux what tells of closed files beside it.
type fsWatcher struct {
	*fsnotify.Watcher
	closes  *closes // nil where there is none
	events  chan fsnotify.Event
	done    chan struct{} // closed by Close
	merging sync.WaitGroup
}

func newFSWatcher() (watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, explainWatchError(err)
	}
	m := &fsWatcher{Watcher: w, closes: newCloses(), events: make(chan fsnotify.Event), done: make(chan struct{})}
	if m.closes != nil {
		m.merging.Go(m.merge)
	}
	return m, nil
}

func (w *fsWatcher) Add(dir string) error {
	err := w.Watcher.Add(dir)
	if errors.Is(err, syscall.ENOSPC) && w.closes != nil {
		w.closes.giveUp() // its watches count as well, and matter less
		err = w.Watcher.Add(dir)
	}
	if err == nil && w.closes != nil {
		w.closes.add(dir)
	}
	return err
}

// Remove ends the watch of a folder. When a watched folder has taken the place of
// another, fsnotify knows a path that has no watch any more, and panics on it:
// https://github.com/fsnotify/fsnotify/issues/652. Then there is nothing to end.
func (w *fsWatcher) Remove(dir string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", fsnotify.ErrNonExistentWatch, r)
		}
	}()
	if w.closes != nil {
		w.closes.remove(dir)
	}
	return w.Watcher.Remove(dir)
}

func (w *fsWatcher) Events() <-chan fsnotify.Event {
	if w.closes == nil {
		return w.Watcher.Events
	}
	return w.events
}

func (w *fsWatcher) Errors() <-chan error { return w.Watcher.Errors }

func (w *fsWatcher) Close() error {
	close(w.done)
	if w.closes != nil {
		w.closes.close()
	}
	err := w.Watcher.Close()
	w.merging.Wait()
	return err
}

// merge makes one channel of two, until Close.
func (w *fsWatcher) merge() {
	for {
		var e fsnotify.Event
		select {
		case e = <-w.Watcher.Events:
		case e = <-w.closes.events:
		case <-w.done:
			return
		}
		select {
		case w.events <- e:
		case <-w.done:
			return
		}
	}
}

// explainWatchError names the remedy for the errors of inotify that say
// something else than they mean.
func explainWatchError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("too many watched folders; raise the sysctl fs.inotify.max_user_watches: %w", err)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("too many watchers or open files; raise the sysctl fs.inotify.max_user_instances, or LimitNOFILE= of the systemd service or ulimit -n: %w", err)
	}
	return err
}
