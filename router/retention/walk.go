package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	// maxDepth is how many folders below each other are walked into. Each takes
	// two descriptors.
	maxDepth = 100
	// listBatch is how many entries of a folder are read at once.
	listBatch = 1024
)

// maxOldest is how many of the oldest files a walk remembers, in about 200
// bytes each; for a moment twice as many. A variable for tests.
var maxOldest = 1 << 16

// ownDir is what sources and sinks keep their books in.
const ownDir = ".imbrouter"

// stamp tells one file of a name from another, and from what it becomes when it
// is written to.
type stamp struct {
	size             int64
	written, changed int64 // Unix time in nanoseconds
}

func stampOf(info fs.FileInfo) stamp {
	return stamp{info.Size(), info.ModTime().UnixNano(), changeTime(info).UnixNano()}
}

// at returns when the file was put where it is.
func (s stamp) at() int64 { return max(s.written, s.changed) }

// file is a file that was found.
type file struct {
	name  string // in the folder, with "/"
	stamp stamp
}

// walk is one look at all files of a folder.
type walk struct {
	ctx    context.Context
	folder *Folder

	total  int64  // bytes of all files that count
	oldest []file // up to twice maxOldest, in no order
	more   bool   // than those in oldest were found
	failed int
	first  error // of those that failed
}

func (w *walk) fail(err error) {
	if err = unlessGone(err); err == nil {
		return
	}
	if w.failed++; w.failed == 1 {
		w.first = err
	}
}

// failure returns one error for all that failed.
func (w *walk) failure() error {
	if w.failed > 1 {
		return fmt.Errorf("%w; and %d more", w.first, w.failed-1)
	}
	return w.first
}

// dir looks at everything in a folder, which is open.
func (w *walk) dir(in *os.Root, name string, depth int) {
	list, err := in.Open(".")
	if err != nil {
		w.fail(err)
		return
	}
	defer list.Close()
	for w.ctx.Err() == nil {
		entries, err := list.ReadDir(listBatch)
		for _, entry := range entries {
			w.entry(in, name, entry.Name(), depth)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				w.fail(err)
			}
			return
		}
	}
}

func (w *walk) entry(in *os.Root, dir, base string, depth int) {
	if strings.HasPrefix(base, ".") {
		return
	}
	info, err := in.Lstat(base)
	name := path.Join(dir, base)
	switch {
	case err != nil:
		w.fail(err)
	case info.IsDir():
		w.fail(w.below(in, name, info, depth+1))
	case !info.Mode().IsRegular():
	case w.isNote(in, base):
		w.total += info.Size()
	case w.folder.Ours == nil || w.folder.Ours(name, info):
		w.see(file{name, stampOf(info)})
	}
}

// below walks into a folder unless it is that of another source or sink.
func (w *walk) below(in *os.Root, name string, info fs.FileInfo, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%q is more than %d folders deep and is left alone", name, maxDepth)
	}
	dir, err := openDir(in, path.Base(name), info)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err := dir.Lstat(ownDir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w.dir(dir, name, depth)
	return nil
}

// isNote tells whether a file is the note beside another one.
func (w *walk) isNote(in *os.Root, base string) bool {
	of, ok := strings.CutSuffix(base, ReasonSuffix)
	if !ok || !w.folder.Notes {
		return false
	}
	if info, err := in.Lstat(of); err != nil || !info.Mode().IsRegular() {
		return false
	}
	_, ok = w.folder.note(in, of)
	return ok
}

// see takes in a file that counts.
func (w *walk) see(found file) {
	w.total += found.stamp.size
	w.oldest = append(w.oldest, found)
	if len(w.oldest) >= 2*maxOldest {
		w.sort()
	}
}

// sort puts the oldest first, and forgets those that are too many.
func (w *walk) sort() {
	slices.SortFunc(w.oldest, func(a, b file) int {
		return cmp.Or(cmp.Compare(a.stamp.at(), b.stamp.at()), cmp.Compare(a.name, b.name))
	})
	if len(w.oldest) > maxOldest {
		w.more = true
		clear(w.oldest[maxOldest:])
		w.oldest = w.oldest[:maxOldest]
	}
}

// removeOldest removes what is above the limits, among the oldest, and returns
// the number of files.
func (w *walk) removeOldest(base *os.Root, removed *Removed) (files int) {
	w.sort()
	now := time.Now
	if w.folder.now != nil {
		now = w.folder.now
	}
	limits := w.folder.Limits
	for _, old := range w.oldest {
		at := time.Unix(0, old.stamp.at())
		tooOld := limits.MaxAge > 0 && now().Sub(at) > limits.MaxAge
		tooMuch := limits.MaxSize > 0 && w.total > limits.MaxSize
		if !tooOld && !tooMuch || w.ctx.Err() != nil {
			break
		}
		size, done, err := w.folder.remove(base, old)
		w.fail(err)
		// What cannot be removed does not make others go in its place.
		w.total -= max(size, old.stamp.size)
		if !done {
			continue
		}
		files++
		removed.Size += size
		if removed.Files++; removed.Oldest.IsZero() || at.Before(removed.Oldest) {
			removed.Oldest = at
		}
	}
	return files
}
