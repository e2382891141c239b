package deadletter

import (
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

// rewrite removes lines from a file for which drop says so, given the offset of
// their beginning, and those that cannot be read. It returns their number. A file that
// is left with none is removed. The lock is held.
func rewrite(path string, drop func(text []byte, from int64) bool) (dropped int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	kept, dropped, err := choose(f, drop)
	switch {
	case err != nil || dropped == 0:
		return 0, err
	case len(kept) == 0:
		err = errors.Join(f.Close(), os.Remove(path)) // Windows removes no open file
		return dropped, errors.Join(err, jsonl.SyncDir(filepath.Dir(path)))
	}
	return dropped, jsonl.Replace(path, filePerm, func(w io.Writer) error {
		for _, k := range kept {
			if _, err := io.Copy(w, io.NewSectionReader(f, k.from, k.to-k.from)); err != nil {
				return err
			}
		}
		return f.Close() // Windows replaces no open file
	})
}

// section is a part of a file.
type section struct{ from, to int64 }

// choose returns what is left of a file without the lines to drop.
func choose(f *os.File, drop func(text []byte, from int64) bool) (kept []section, dropped int, err error) {
	lines := jsonl.NewReader(f, maxLine)
	for {
		from := lines.End()
		text, err := lines.Next()
		to := lines.End()
		switch {
		case err == io.EOF:
			return kept, dropped, nil
		case errors.Is(err, jsonl.ErrCut):
			return kept, dropped + 1, nil
		case err != nil && !errors.Is(err, jsonl.ErrTooLong):
			return nil, 0, err
		case err != nil || drop(text, from):
			dropped++
		case len(kept) > 0 && kept[len(kept)-1].to == from:
			kept[len(kept)-1].to = to
		default:
			kept = append(kept, section{from, to})
		}
	}
}
