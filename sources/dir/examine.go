package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"imbrouter/router/canary"
	"imbrouter/router/config"
)

const (
	// noticeTimeout is how long a notification may take. It comes within
	// milliseconds, or not at all.
	noticeTimeout = 3 * time.Second
	// maxSurveyed is how many files and folders in the folder are looked at.
	maxSurveyed = 1_000_000
)

// Examine implements config.Examiner.
func (c *Config) Examine(ctx context.Context) []config.Finding {
	return c.examine(ctx, newFSWatcher, openWriters)
}

func (c *Config) examine(ctx context.Context, newWatcher func() (watcher, error), writers func(*os.File) writers) []config.Finding {
	return canary.Try(c.Path, func(k *canary.Canary) {
		for _, dir := range c.movedTo() {
			if info, err := k.Root.Lstat(dir); err == nil && info.IsDir() { // else it is made
				k.Report("files can be moved to "+dir+"/", moveThere(k, dir),
					"it must be on the file system of the folder, and the user that runs imbrouter must have the right to write there")
			}
		}
		found := c.survey(ctx, k)
		if found.files > 0 {
			k.Report(fmt.Sprintf("what waits in it can be read (files: %d)", found.files), found.unreadable(),
				"give the user that runs imbrouter the right to read it")
		}
		c.examineWatch(ctx, k, newWatcher, found.folders)
		c.examineWriters(k, writers)
	})
}

// movedTo returns the folders to which files are moved.
func (c *Config) movedTo() []string {
	if c.After == afterMove {
		return []string{failedDir, sentDir}
	}
	return []string{failedDir}
}

// moveThere moves the canary to a folder and back.
func moveThere(k *canary.Canary, dir string) error {
	there := dir + "/" + k.Dir
	if err := k.Root.Rename(k.File, there); err != nil {
		return err
	}
	if err := k.Root.Rename(there, k.File); err != nil {
		return errors.Join(err, k.Root.Remove(there))
	}
	return nil
}

// examineWatch finds out whether new files are noticed in so many folders.
func (c *Config) examineWatch(ctx context.Context, k *canary.Canary, newWatcher func() (watcher, error), folders int) {
	network := onNetwork(c.Path)
	switch {
	case c.Watch == watchPoll:
		k.Report(fmt.Sprintf("new files are looked for every %v, because watch is %q", c.PollInterval, watchPoll), nil, "")
		return
	case network && c.Watch == watchAuto:
		k.Report(fmt.Sprintf("new files are looked for every %v, because the folder is on a network file system", c.PollInterval), nil, "")
		return
	case network:
		k.Report("new files are noticed", errors.New("a network file system does not tell of files that come from other machines"),
			`set watch = "auto", or "poll"`)
		return
	}
	took, err := notice(ctx, k, newWatcher)
	what := "a new file is noticed"
	if err == nil {
		what = fmt.Sprintf("a new file is noticed (%v)", took.Round(100*time.Microsecond))
	}
	k.Report(what, err, `where that cannot be helped, set watch = "poll"`)
	if most := maxWatches(); most > 0 {
		var tooMany error
		if folders > most {
			tooMany = errors.New("too many")
		}
		k.Report(fmt.Sprintf("folders to watch: %d, of %d that the system allows a user", folders, most), tooMany, "raise the sysctl fs.inotify.max_user_watches, or exclude folders")
	}
}

// notice watches the canary's folder, makes a file there and waits until that is
// told of.
func notice(ctx context.Context, k *canary.Canary, newWatcher func() (watcher, error)) (took time.Duration, err error) {
	w, err := newWatcher()
	if err != nil {
		return 0, err
	}
	defer w.Close()
	if err := w.Add(filepath.Join(k.Root.Name(), k.Dir)); err != nil {
		return 0, explainWatchError(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, noticeTimeout, fmt.Errorf("nothing was told within %v", noticeTimeout))
	defer cancel()
	begun := time.Now()
	if err := k.Root.WriteFile(k.Dir+"/noticed", nil, 0o600); err != nil {
		return 0, err
	}
	select {
	case <-w.Events():
		return time.Since(begun), nil
	case err := <-w.Errors():
		return 0, err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// survey is what a folder holds: up to maxSurveyed files that are input, and
// folders to watch.
type survey struct {
	files, folders int
	failed         int   // files and folders that cannot be read
	err            error // of the first of these
}

func (s *survey) unreadable() error {
	if s.failed > 1 {
		return fmt.Errorf("%w, and %d more", s.err, s.failed-1)
	}
	return s.err
}

func (c *Config) survey(ctx context.Context, k *canary.Canary) (found survey) {
	selection := c.selection()
	fail := func(err error) {
		if found.failed++; found.err == nil {
			found.err = err
		}
	}
	_ = fs.WalkDir(k.Root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil || found.files+found.folders >= maxSurveyed:
			return fs.SkipAll
		case err != nil:
			if !errors.Is(err, fs.ErrNotExist) { // else it was sent meanwhile
				fail(err)
			}
		case entry.IsDir():
			if name != "." && (!selection.dir(name) || name == sentDir || name == failedDir) {
				return fs.SkipDir
			}
			found.folders++
		case entry.Type().IsRegular() && selection.file(name):
			found.files++
			f, err := k.Root.OpenFile(name, openFlags, 0)
			if err == nil {
				_ = f.Close()
			} else if !errors.Is(err, fs.ErrNotExist) && !busy(err) {
				fail(err)
			}
		}
		return nil
	})
	return found
}

// examineWriters finds out whether the system tells of a file that is open for
// writing, which it is never wrong to not know.
func (c *Config) examineWriters(k *canary.Canary, writers func(*os.File) writers) {
	what := fmt.Sprintf("whether a writer has closed a file the system does not tell: it is sent when it has not changed for %v", c.Settle)
	if tells(k, writers) {
		what = "the system tells when the writer of a file of this user has closed it"
	}
	k.Report(what, nil, "")
}

// tells tries it out with the canary.
func tells(k *canary.Canary, writers func(*os.File) writers) bool {
	writer, err := k.Root.OpenFile(k.File, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	defer writer.Close()
	f, err := k.Root.OpenFile(k.File, openFlags, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	if writers(f) != someWriter {
		return false
	}
	_ = writer.Close()
	return writers(f) == noWriter
}
