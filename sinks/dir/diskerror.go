package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"imbrouter/router"
	"imbrouter/router/remedy"
)

// diskError is an error that is about the state of the disk, or of the system, and
// not about the file at hand.
type diskError struct {
	err    error // by which it is known
	isFull bool  // no more bytes or files fit
	remedy string
}

// errMinFree says that only what min_free keeps is free.
var errMinFree = errors.New("no more is free than min_free keeps")

func diskErrorOf(err error) (diskError, bool) {
	if errors.Is(err, errMinFree) {
		return diskError{errMinFree, true, "make room there, or lower min_free"}, true
	}
	for _, d := range diskErrors {
		if errors.Is(err, d.err) {
			return d, true
		}
	}
	return diskError{}, false
}

// isFull tells whether err says that nothing more fits on the disk.
func isFull(err error) bool {
	d, _ := diskErrorOf(err)
	return d.isFull
}

// unavailable returns an error that is about the disk as callers are to see it.
// Its text is the same for every stream, without names and figures, so that
// failures for one reason can be told to be the same. That holds for missing
// rights as well; but these may be of one folder inside only, which is named, and
// so the others are not unavailable.
func (f *folder) unavailable(err error) error {
	d, ok := diskErrorOf(err)
	switch {
	case !ok && errors.Is(err, fs.ErrPermission):
		return f.forbidden(err)
	case !ok:
		return err
	}
	lost := ""
	if d.isFull {
		lost = "nothing is kept of a stream that does not fit; "
	}
	return fmt.Errorf("%w: folder %q: %w: %s%s", router.ErrUnavailable, f.root.Name(), d.err, lost, d.remedy)
}

// forbidden returns an error of missing rights with the folder that they are
// missing in.
func (f *folder) forbidden(err error) error {
	name := "."
	var onPath *fs.PathError
	var onLink *os.LinkError
	var reason syscall.Errno
	switch {
	case errors.As(err, &onLink):
		name = path.Dir(onLink.New)
	case errors.As(err, &onPath):
		name = path.Dir(onPath.Path)
	}
	if errors.As(err, &reason) {
		err = reason
	}
	return fmt.Errorf("folder %q: %w: %s", f.abs(name), err, remedy.MayWrite)
}
