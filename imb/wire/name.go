package wire

import "strings"

// Wildcard ends the name of a subscription to every event that begins so.
const Wildcard = "*"

// MatchName tells whether a subscription to pattern, a full name or a prefix
// that ends in Wildcard, takes the event with that full name. Names compare
// without regard to case, as the Delphi clients do and our hub does.
func MatchName(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, Wildcard); ok {
		return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
	}
	return strings.EqualFold(pattern, name)
}
