package hub

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"imbrouter/imb/wire"
)

// maxNameLength bounds event names, in bytes. Those in use have a few dozen.
const maxNameLength = 1024

// fold returns a key that is equal for names that differ only in case, and a
// prefix of that of every name that begins so. Bytes that are not UTF-8, which
// older Windows clients send, stand for themselves.
func fold(name string) string {
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

// filterPrefix returns what the names begin with that a subscription to name
// is for, and false when it is for that one name.
func filterPrefix(name string) (prefix string, ok bool) {
	return strings.CutSuffix(name, wire.Wildcard)
}
