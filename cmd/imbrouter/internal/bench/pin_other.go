//go:build !linux

package bench

// pin keeps nothing anywhere: not every system can be told to.
func pin() (undo func()) { return func() {} }
