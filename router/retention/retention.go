// Package retention removes the oldest files of a folder: those above an age,
// and as many more as are above a size of all together.
//
//	folder := retention.Folder{
//		Root: root, Dir: "sent", Here: here, Names: &names,
//		Limits: retention.Limits{MaxAge: 30 * 24 * time.Hour},
//	}
//	log := retention.NewLog(slog.Default())
//	defer log.Close()
//	retention.Every(ctx, func() {
//		removed, err := folder.Trim(ctx)
//		log.Trimmed("drop/sent", removed, err)
//	})
//
// A file's age counts from when it was put where it is: from the last change of
// its inode, which a rename is and which nobody can set back, or from the last
// write when that is later. Windows tells of no such change, so there it counts
// from the last write or from when the file was made.
//
// Only regular files are removed. A name that begins with a dot is left alone,
// and so is a folder with a folder .imbrouter in it, which belongs to another
// source or sink, with all that is below. Everything is reached through os.Root,
// and no symbolic link is followed. A file that is another one when its turn
// comes than it was when it was found stays. Folders in which the last file was
// removed go with it.
//
// The memory does not depend on the number of files: the folder is listed in
// pieces, and of what is found the maxOldest oldest are remembered. When those
// were not enough, the folder is walked again. So a walk over a million files
// that may stay costs their million lstat calls, and removing n files costs
// n/maxOldest walks more.
package retention

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"sync"
	"time"

	"imbrouter/router"
)

// Interval is the time between two looks at a folder, see Every.
const Interval = 10 * time.Minute

// ReasonSuffix ends the name of the note beside a file, see Folder.Notes.
const ReasonSuffix = ".reason.txt"

// Limits say what may stay. A limit of 0 is none.
type Limits struct {
	MaxAge  time.Duration // of each file
	MaxSize int64         // of all files together, in bytes
}

// Any tells whether there is a limit.
func (l Limits) Any() bool { return l != Limits{} }

// Folder is a folder whose oldest files are removed.
type Folder struct {
	// Root is what the folder lies in, and Dir its name there, "." for Root
	// itself. One that does not exist has no files.
	Root *os.Root
	Dir  string

	Limits Limits

	// Here tells whether Root is still what its path leads to. From a folder
	// that somebody has moved away nothing is removed.
	Here func() bool
	// Ours tells which files count and may be removed, by their name in the
	// folder, with "/". Nil stands for all.
	Ours func(name string, info fs.FileInfo) bool
	// Notes says that NAME.reason.txt goes with the file NAME, and not before.
	Notes bool
	// Names is held while a file, and the folders that it leaves empty, are
	// removed. Whoever makes folders here to put a file there, or puts one
	// where another may be, must exclude that.
	Names sync.Locker

	now func() time.Time // for tests; nil: time.Now
}

// Removed is what Trim has removed. Notes are not counted.
type Removed struct {
	Files  int
	Size   int64     // bytes
	Oldest time.Time // when the oldest of them was put there
}

// Trim removes what is above the limits, the oldest first. It goes on after a
// file that cannot be removed, and returns one error for all of them, or that
// of ctx. After nil, Ours has been asked about every file.
func (f *Folder) Trim(ctx context.Context) (removed Removed, err error) {
	if !f.Limits.Any() {
		return removed, nil
	}
	base, err := f.open()
	if err != nil {
		return removed, unlessGone(err)
	}
	defer base.Close()
	for {
		w := walk{ctx: ctx, folder: f}
		w.dir(base, ".", 0)
		n := w.removeOldest(base, &removed)
		if n == 0 || !w.more || ctx.Err() != nil {
			return removed, errors.Join(w.failure(), ctx.Err())
		}
	}
}

// open opens the folder, so that nothing in it leads out of it.
func (f *Folder) open() (*os.Root, error) {
	info, err := f.Root.Lstat(f.Dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%q is no folder", f.Dir)
	}
	return openDir(f.Root, f.Dir, info)
}

// openDir opens a folder as a root. It fails when the name leads elsewhere than
// to what info was taken of, as a symbolic link does.
func openDir(root *os.Root, name string, info fs.FileInfo) (*os.Root, error) {
	dir, err := root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	here, err := dir.Stat(".")
	if err == nil && !os.SameFile(here, info) {
		err = fmt.Errorf("folder %q was exchanged meanwhile", name)
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// remove removes a file, if it is still the one that was found, and what goes
// with it. It returns the bytes of both.
func (f *Folder) remove(base *os.Root, old file) (size int64, done bool, err error) {
	f.Names.Lock()
	defer f.Names.Unlock()
	if !f.Here() {
		return 0, false, nil
	}
	info, err := base.Lstat(old.name)
	if err != nil || stampOf(info) != old.stamp {
		return 0, false, unlessGone(err)
	}
	note, hasNote := f.note(base, old.name)
	if err := base.Remove(old.name); err != nil {
		return 0, false, unlessGone(err)
	}
	size = old.stamp.size
	if hasNote {
		size += note.Size()
		err = unlessGone(base.Remove(old.name + ReasonSuffix))
	}
	for dir := path.Dir(old.name); dir != "."; dir = path.Dir(dir) {
		if info, err := base.Lstat(dir); err != nil || !info.IsDir() || base.Remove(dir) != nil {
			break // as a rule because it is not empty
		}
	}
	return size, true, err
}

// note returns the note beside a file. One that has a note itself is none.
func (f *Folder) note(in *os.Root, name string) (note fs.FileInfo, ok bool) {
	if !f.Notes {
		return nil, false
	}
	note, err := in.Lstat(name + ReasonSuffix)
	if err != nil || !note.Mode().IsRegular() {
		return nil, false
	}
	_, err = in.Lstat(name + ReasonSuffix + ReasonSuffix)
	return note, errors.Is(err, fs.ErrNotExist)
}

func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Every calls trim at once, and then at every Interval until ctx ends.
func Every(ctx context.Context, trim func()) {
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for {
		trim()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Log tells what came of Trim.
type Log struct {
	log      *slog.Logger
	failures *router.FailureLog
}

// NewLog returns a Log that writes to log, for the caller to close.
func NewLog(log *slog.Logger) *Log {
	return &Log{log, router.NewFailureLog(log, "old files cannot be removed", "old files are removed again")}
}

// Close tells of failures that were only counted.
func (l *Log) Close() { l.failures.Close() }

// Trimmed takes the results of Trim on the folder at path. There is one line
// when files were removed, and none for the end of its context.
func (l *Log) Trimmed(path string, removed Removed, err error) {
	if removed.Files > 0 {
		l.log.Info("old files removed", "path", path, "files", removed.Files, "size", removed.Size,
			"oldest", removed.Oldest.Format(time.RFC3339))
	}
	switch {
	case err == nil:
		l.failures.Success()
	case !errors.Is(err, context.Canceled):
		l.failures.Failure(path, err, "path", path)
	}
}
