package journal

import (
	"context"
	"iter"
	"os"
	"time"
)

// followInterval is how often Follow looks for what is new.
const followInterval = 250 * time.Millisecond

// Follow is Read that goes on with what is written until ctx ends, which is no error.
// The journal need not be there yet.
func Follow(ctx context.Context, path string, f Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := f.Check(); err != nil {
			yield(Record{}, err)
			return
		}
		r := reader{ctx: ctx, files: files{path}, filter: f, yield: yield, follow: true}
		defer r.close()
		tick := time.NewTicker(followInterval)
		defer tick.Stop()
		for goOn := r.readAll(); goOn; goOn = r.readNew() {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}

// readNew reads what has come since.
func (r *reader) readNew() bool {
	// Before it is read, so that it is read to its end: what was renamed does
	// not grow.
	replaced := !r.isCurrent()
	if !r.readCurrent() {
		return false
	}
	if !replaced {
		return true
	}
	if err := r.forgetCurrent(); err != nil {
		return r.fail(err)
	}
	return r.readAll()
}

// isCurrent tells whether the open file still has the path of the current one.
func (r *reader) isCurrent() bool {
	f, err := os.Open(r.files.current)
	if err != nil {
		return r.file == nil
	}
	defer f.Close()
	return r.isOpen(f)
}

// forgetCurrent closes the open file, which was read to its end, and notes the
// number that it has got.
func (r *reader) forgetCurrent() error {
	defer r.close()
	numbers, err := r.files.numbers()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		f, err := os.Open(r.files.rotated(n))
		if err != nil {
			continue // removed meanwhile, or told of by readRotated
		}
		if r.isOpen(f) {
			r.newest = n
		}
		_ = f.Close()
	}
	return nil
}
