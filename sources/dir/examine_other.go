//go:build !linux

package dir

// maxWatches returns how many folders a user may watch, 0 when that is not known.
func maxWatches() int { return 0 }
