package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"imbrouter/router/durable"
	"imbrouter/router/internal/jsonl"
)

const extension = ".jsonl"

// folder is the path of the folder with the letters.
type folder string

// file returns the path of a route's file. Characters that a file name might
// not have are percent-encoded.
func (d folder) file(route string) string {
	var name strings.Builder
	for _, c := range []byte(route) {
		if c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			name.WriteByte(c)
		} else {
			fmt.Fprintf(&name, "%%%02X", c)
		}
	}
	return filepath.Join(string(d), name.String()+extension)
}

// files returns the paths of the files of all routes; none when there is no
// folder.
func (d folder) files() (paths []string, err error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) == extension {
			paths = append(paths, filepath.Join(string(d), entry.Name()))
		}
	}
	return paths, err
}

const (
	// lockTimeout is how long it is waited for whoever has the folder's lock. It
	// is much longer than anybody needs it who goes on, and short beside the
	// time that a stop may take.
	lockTimeout = 2 * time.Second
	lockPoll    = 2 * time.Millisecond
)

// locked does something while no other process, and nobody else in this one,
// changes the folder.
func (d folder) locked(do func() error) error { return d.lockedWithin(lockTimeout, do) }

// lockedWithin is locked with a time to wait for the lock; 0 tries once.
func (d folder) lockedWithin(wait time.Duration, do func() error) error {
	lock := flock.New(filepath.Join(string(d), ".lock"), flock.SetPermissions(filePerm))
	ok, err := lock.TryLock()
	if err == nil && !ok && wait > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		ok, err = lock.TryLockContext(ctx, lockPoll)
		cancel()
	}
	if err == nil && !ok || errors.Is(err, context.DeadlineExceeded) {
		err = ErrLocked
	}
	if err != nil {
		return fmt.Errorf("lock %q: %w", string(d), errors.Join(err, lock.Close()))
	}
	return errors.Join(do(), lock.Close())
}

// edit says what becomes of a line that begins at an offset: whether it is kept,
// and if instead is not nil, as that.
type edit func(text []byte, from int64) (instead []byte, keep bool)

// rewrite edits the lines of a file, and removes those that cannot be read. It
// returns how many are gone or others. A file that is left with none is removed.
// The lock is held.
func rewrite(path string, e edit) (changed int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	kept, changed, err := choose(f, e)
	switch {
	case err != nil || changed == 0:
		return 0, err
	case len(kept) == 0:
		err = errors.Join(f.Close(), os.Remove(path)) // Windows removes no open file
		return changed, errors.Join(err, durable.SyncDirPath(filepath.Dir(path)))
	}
	return changed, durable.ReplacePath(path, filePerm, func(w io.Writer) error {
		for _, k := range kept {
			if _, err := io.Copy(w, k.reader(f)); err != nil {
				return err
			}
		}
		return f.Close() // Windows replaces no open file
	})
}

// section is a part of a file, or what is to stand in its place.
type section struct {
	from, to int64
	instead  []byte
}

func (s section) reader(f *os.File) io.Reader {
	if s.instead != nil {
		return bytes.NewReader(s.instead)
	}
	return io.NewSectionReader(f, s.from, s.to-s.from)
}

// choose returns what is left of a file, and how many lines are gone or others.
func choose(f *os.File, e edit) (kept []section, changed int, err error) {
	lines := jsonl.NewReader(f, maxLine)
	for {
		from := lines.End()
		text, err := lines.Next()
		next := section{from: from, to: lines.End()}
		keep := false
		switch {
		case err == io.EOF:
			return kept, changed, nil
		case errors.Is(err, jsonl.ErrCut):
			return kept, changed + 1, nil
		case err == nil:
			next.instead, keep = e(text, from)
		case !errors.Is(err, jsonl.ErrTooLong):
			return nil, 0, err
		}
		if !keep || next.instead != nil {
			changed++
		}
		if last := len(kept) - 1; keep && next.instead == nil && last >= 0 && kept[last].instead == nil && kept[last].to == from {
			kept[last].to = next.to
		} else if keep {
			kept = append(kept, next)
		}
	}
}
