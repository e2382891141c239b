package dir

import (
	"errors"
	"fmt"
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

type fsWatcher struct{ *fsnotify.Watcher }

func (w fsWatcher) Events() <-chan fsnotify.Event { return w.Watcher.Events }
func (w fsWatcher) Errors() <-chan error          { return w.Watcher.Errors }

func newFSWatcher() (watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, explainWatchError(err)
	}
	return fsWatcher{w}, nil
}

// explainWatchError names the remedy for the errors of inotify that say
// something else than they mean.
func explainWatchError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("too many watched folders; raise the sysctl fs.inotify.max_user_watches: %w", err)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("too many watchers or open files; raise the sysctl fs.inotify.max_user_instances or the limit of open files: %w", err)
	}
	return err
}
