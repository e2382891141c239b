package deadletter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"imbrouter/router/internal/jsonl"
)

// ErrNotFound says that there is no letter with an id.
var ErrNotFound = errors.New("there is no such dead letter")

// LineError says that a line of a file cannot be read. The lines after it can.
type LineError = jsonl.LineError

// List returns the letters of a route, or of every route when it is "", oldest
// first in each; none when there is no folder. A line that cannot be read gives
// a *LineError, and reading goes on; any other error ends it.
func List(dir, route string) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		paths, err := folder(dir).files()
		if err != nil {
			yield(Letter{}, fmt.Errorf("read the dead letters: %w", err))
			return
		}
		for _, path := range paths {
			if !folder(dir).list(path, route, yield) {
				return
			}
		}
	}
}

// list yields letters of a file, and tells whether to go on.
func (d folder) list(path, route string, yield func(Letter, error) bool) bool {
	f, size, err := d.open(path)
	if errors.Is(err, fs.ErrNotExist) { // its letters were removed
		return true
	}
	if err != nil {
		yield(Letter{}, fmt.Errorf("read the dead letters: %w", err))
		return false
	}
	defer f.Close()
	for l, err := range jsonl.Values[Letter](jsonl.NewReader(io.NewSectionReader(f, 0, size), maxLine), path) {
		if (err != nil || route == "" || l.Route == route) && !yield(l, err) {
			return false
		}
	}
	return true
}

// open opens a file and returns its length, which is that of whole lines.
func (d folder) open(path string) (f *os.File, size int64, err error) {
	err = d.locked(func() error {
		if f, err = os.Open(path); err != nil {
			return err
		}
		size, err = f.Seek(0, io.SeekEnd)
		return err
	})
	return f, size, err
}

// Get returns a letter. The error is ErrNotFound when it is not there.
func Get(dir, id string) (Letter, error) {
	for l, err := range List(dir, "") {
		var damaged *LineError
		switch {
		case errors.As(err, &damaged):
		case err != nil:
			return Letter{}, err
		case l.ID == id:
			return l, nil
		}
	}
	return Letter{}, fmt.Errorf("%w: %q", ErrNotFound, id)
}

// Remove removes letters and returns how many of them there were.
func Remove(dir string, ids ...string) (removed int, err error) {
	unwanted := map[string]bool{}
	for _, id := range ids {
		unwanted[id] = true
	}
	err = folder(dir).edit(len(ids), func(text []byte, _ int64) ([]byte, bool) {
		var l Letter
		found := l.UnmarshalJSON(text) == nil && unwanted[l.ID]
		if found {
			removed++
		}
		return nil, !found
	})
	if err != nil {
		err = fmt.Errorf("remove dead letters: %w", err)
	}
	return removed, err
}

// Update puts letters in the place of those with the same IDs. One that is not
// there any more stays away.
func Update(dir string, letters ...Letter) error {
	lines := map[string][]byte{}
	for _, l := range letters {
		text, err := l.line()
		if err != nil {
			return fmt.Errorf("update dead letters: %w", err)
		}
		lines[l.ID] = text
	}
	err := folder(dir).edit(len(letters), func(text []byte, _ int64) ([]byte, bool) {
		var l Letter
		if l.UnmarshalJSON(text) != nil {
			return nil, true
		}
		return lines[l.ID], true
	})
	if err != nil {
		return fmt.Errorf("update dead letters: %w", err)
	}
	return nil
}

// edit edits the lines of every file, of which some letters are concerned.
func (d folder) edit(letters int, e edit) error {
	paths, err := d.files()
	if err != nil || letters == 0 || len(paths) == 0 {
		return err
	}
	return d.locked(func() error {
		for _, path := range paths {
			if _, err := rewrite(path, e); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}
