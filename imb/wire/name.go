package wire

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Wildcard ends the name of a subscription to every event that begins so.
const Wildcard = "*"

// MaxNameLength bounds event names, in bytes, on our hub and in our client.
// Those in use have a few dozen.
const MaxNameLength = 1024

// MaxStreamNameLength bounds the names of streams, in bytes, in our client. It is
// that of the longest path on Linux; the protocol has room for 10 MiB, with which
// a sender could fill the logs and the memory of those who receive them.
const MaxStreamNameLength = 4096

// The prefixes of the names of private events: our hub shows such an event to
// those who subscribe it by its name and to nobody else, whatever their prefix
// subscriptions and queries, and tells nobody who publishes or subscribes it.
const (
	// FlushPrefix is for the events by which our client flushes. Only the
	// connection that makes one subscribes it.
	FlushPrefix = "imbrouter.flush."
	// RelayPrefix is for relay groups: what comes from a connection that
	// publishes such an event, our hub does not deliver to those who subscribe
	// it.
	RelayPrefix = "imbrouter.relay."
)

var flushKey, relayKey = FoldName(FlushPrefix), FoldName(RelayPrefix)

// IsPrivate tells whether the event with that full name is private.
func IsPrivate(name string) bool {
	key := FoldName(name)
	return strings.HasPrefix(key, flushKey) || strings.HasPrefix(key, relayKey)
}

// MatchName tells whether a subscription to pattern, a full name or a prefix
// that ends in Wildcard, takes the event with that full name. Case does not
// count, see FoldName.
func MatchName(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, Wildcard); ok {
		return strings.HasPrefix(FoldName(name), FoldName(prefix))
	}
	return FoldName(pattern) == FoldName(name)
}

// FoldName returns a key that is equal for event names that differ only in case,
// as the Delphi clients and our hub compare them, and is a prefix of the key of
// every name that begins so. Bytes that are not UTF-8, which older Windows
// clients send, stand for themselves.
func FoldName(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	for i := 0; i < len(name); {
		if c := name[i]; c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			b.WriteByte(c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError {
			b.WriteString(name[i : i+size])
		} else {
			b.WriteRune(foldRune(r))
		}
		i += size
	}
	return b.String()
}

// foldRune returns the least of the runes that differ from r only in case.
func foldRune(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}
