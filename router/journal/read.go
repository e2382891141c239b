package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"imbrouter/router/internal/jsonl"
)

// LineError says that a line of a journal cannot be read. The lines after it
// can.
type LineError = jsonl.LineError

// FileError says that a file of a journal that was rotated cannot be read, or
// not to its end. The files after it can.
type FileError struct {
	Path string
	Err  error
}

func (e *FileError) Error() string {
	return "an old file of the journal cannot be read: " + e.Err.Error()
}
func (e *FileError) Unwrap() error { return e.Err }

// Read returns the records of a journal that a filter chooses, oldest first;
// none when there is no journal. A program may write to it at the same time. A
// line that cannot be read gives a *LineError, and a file other than the current
// one a *FileError, and reading goes on; any other error ends it, that of ctx as well.
func Read(ctx context.Context, path string, f Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := f.Check(); err != nil {
			yield(Record{}, err)
			return
		}
		r := reader{ctx: ctx, files: files{path}, filter: f, yield: yield}
		defer r.close()
		r.readAll()
	}
}

// reader reads the files of a journal. Its methods tell whether to go on: they
// yield an error that ends the reading themselves.
type reader struct {
	ctx    context.Context
	files  files
	filter Filter
	yield  func(Record, error) bool

	file   *os.File // the current one, as it was when it was opened; nil: not there
	lines  *jsonl.Reader
	newest int  // number of the newest file that was read to its end
	follow bool // a line that is cut off in file is waited for
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

func (r *reader) fail(err error) bool {
	r.yield(Record{}, fmt.Errorf("read the journal: %w", err))
	return false
}

// readAll reads what there is. It opens the current file first: should that be
// rotated meanwhile, it is still the newest that is read.
func (r *reader) readAll() bool {
	return r.openCurrent() && r.readRotated() && r.readCurrent()
}

func (r *reader) openCurrent() bool {
	if err := r.files.check(); err != nil {
		return r.fail(err)
	}
	f, err := os.Open(r.files.current)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return r.fail(err)
	}
	r.file, r.lines = f, jsonl.NewReader(f, maxLine)
	return true
}

// readRotated reads the files that were rotated and not read yet, but for that
// which is open as the current one.
func (r *reader) readRotated() bool {
	numbers, err := r.files.numbers()
	if err != nil {
		return r.fail(err)
	}
	for _, n := range numbers {
		if n <= r.newest {
			continue
		}
		if !r.readFile(r.files.rotated(n)) {
			return false
		}
		r.newest = n
	}
	return true
}

func (r *reader) readFile(path string) bool {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // it was the oldest
		return true
	}
	if err != nil {
		return r.yield(Record{}, &FileError{path, err})
	}
	defer f.Close()
	return r.isOpen(f) || r.readLines(path, jsonl.NewReader(f, maxLine), false)
}

// isOpen tells whether a file is the one that is open as the current one.
func (r *reader) isOpen(f *os.File) bool {
	if r.file == nil {
		return false
	}
	a, errA := f.Stat()
	b, errB := r.file.Stat()
	return errA == nil && errB == nil && os.SameFile(a, b)
}

func (r *reader) readCurrent() bool {
	return r.file == nil || r.readLines(r.files.current, r.lines, r.follow)
}

// readLines reads to the end of a file. A last line that is cut off is told of,
// unless it is growing.
func (r *reader) readLines(path string, lines *jsonl.Reader, growing bool) bool {
	for record, err := range jsonl.Values[Record](lines, path) {
		var damaged *LineError
		switch {
		case r.ctx.Err() != nil: // also while the filter chooses none
			return !r.follow && r.fail(r.ctx.Err())
		case growing && errors.Is(err, jsonl.ErrCut):
			return true
		case errors.As(err, &damaged):
			if !r.yield(Record{}, err) {
				return false
			}
		case err != nil && path != r.files.current:
			return r.yield(Record{}, &FileError{path, err})
		case err != nil:
			return r.fail(err)
		case r.filter.Matches(record) && !r.yield(record, nil):
			return false
		}
	}
	return true
}
