// Package jsonl has what files of JSON lines need that outlive crashes: a reader
// that gets over damaged lines.
package jsonl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Errors of Reader.Next about one line.
var (
	// ErrTooLong says that a line was longer than the limit, and skipped.
	ErrTooLong = errors.New("the line is too long")
	// ErrCut says that the file ends inside of a line.
	ErrCut = errors.New("the line is cut off")
)

// LineError says that a line of a file cannot be read. The lines after it can.
type LineError struct {
	Path string
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Reader reads lines of a bounded length.
type Reader struct {
	source   io.ReadSeeker
	buffered *bufio.Reader
	max      int    // longest line, in bytes
	line     []byte // as far as it was read
	number   int    // of the line that Next told of last
	end      int64  // offset of the end of the last whole line
}

// NewReader returns a reader of lines of at most max bytes. It reads r from its
// beginning.
func NewReader(r io.ReadSeeker, max int) *Reader {
	return &Reader{source: r, buffered: bufio.NewReader(r), max: max}
}

// Next returns the next line without its newline, valid until the next call. At
// the end of the file the error is io.EOF, or ErrCut inside of a line; a further
// call reads what has come since, and that line from its beginning.
func (r *Reader) Next() ([]byte, error) {
	r.line = r.line[:0]
	var size int64
	for {
		part, err := r.buffered.ReadSlice('\n')
		size += int64(len(part))
		if size <= int64(r.max)+1 {
			r.line = append(r.line, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
		case err == io.EOF && size > 0:
			return nil, r.back()
		case err != nil:
			return nil, err
		default:
			r.number++
			r.end += size
			if size > int64(r.max)+1 {
				return nil, ErrTooLong
			}
			return r.line[:size-1], nil
		}
	}
}

// back goes back to the beginning of a line that is cut off, whose bytes may be
// others when it is whole.
func (r *Reader) back() error {
	if _, err := r.source.Seek(r.end, io.SeekStart); err != nil {
		return err
	}
	return ErrCut // nothing is left in the buffer
}

// at makes an error of Next, or one about the line that it returned, a
// *LineError.
func (r *Reader) at(path string, err error) *LineError {
	line := r.number
	if errors.Is(err, ErrCut) {
		line++
	}
	return &LineError{path, line, err}
}

// End returns the offset of the end of the last whole line. What is behind it is
// cut off, or was not read yet.
func (r *Reader) End() int64 { return r.end }
