//go:build !linux

package bench

import (
	"context"
	"errors"
)

const closesAreWatched = false

func (f Files) closeToWake(context.Context, *Round) (Sample, error) {
	return Sample{}, errors.ErrUnsupported
}
