//go:build !linux

package dir

// onNetwork cannot tell here; watch = "poll" is the way to say so.
func onNetwork(string) bool { return false }
