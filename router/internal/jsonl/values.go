package jsonl

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
)

// Values returns what the lines of a file hold, given its path. A line that
// cannot be read gives a *LineError, and reading goes on unless it is cut off;
// any other error ends it.
func Values[T any, P interface {
	*T
	json.Unmarshaler
}](r *Reader, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			var value T
			text, err := r.Next()
			isCut := errors.Is(err, ErrCut)
			switch {
			case err == io.EOF:
				return
			case err != nil && !isCut && !errors.Is(err, ErrTooLong):
				yield(value, err)
				return
			case err == nil:
				err = P(&value).UnmarshalJSON(text)
			}
			if err != nil {
				err = r.at(path, err)
			}
			if !yield(value, err) || isCut {
				return
			}
		}
	}
}
