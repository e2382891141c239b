package hub

import (
	"strings"

	"imbrouter/imb/wire"
)

// filterPrefix returns what the names begin with that a subscription to name
// is for, and false when it is for that one name.
func filterPrefix(name string) (prefix string, ok bool) {
	return strings.CutSuffix(name, wire.Wildcard)
}
