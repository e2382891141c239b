package config

import "strings"

// mention is a place in a text where a key stands: before "=", or in the
// header of a table.
type mention struct {
	start int   // offset of the first part, or of the header's "["
	parts []int // offsets of the parts, which are separated by dots
	value int   // offset of the value; -1 in a header
	items []int // offsets of the items of the value, when it is an array
}

// scan returns the mentions in a text in the order in which
// toml.MetaData.Keys returns their keys, which come without positions. The
// text must be one that the decoder accepts, without a byte order mark: the
// scanner knows where things begin and end, and not what is allowed.
func scan(text string) []mention {
	s := &scanner{text: text}
	for {
		s.skip(blankOrNewline)
		switch {
		case s.at >= len(s.text):
			return s.mentions
		case s.peek() == '[':
			s.header()
		default:
			s.pair()
		}
	}
}

type scanner struct {
	text     string
	at       int
	mentions []mention
}

const (
	blankChars     = " \t"
	blankOrNewline = " \t\r\n"
	// What ends a key or a value without quotes.
	keyEnd   = " \t\r\n.=]#"
	valueEnd = "\r\n,]}#"
)

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// skip goes past bytes of those and, where newlines may stand, past comments.
func (s *scanner) skip(chars string) {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case strings.IndexByte(chars, c) >= 0:
			s.at++
		case c == '#' && strings.Contains(chars, "\n"):
			s.until("\n")
		default:
			return
		}
	}
}

// until goes to the next of some bytes, or to the end.
func (s *scanner) until(chars string) {
	if i := strings.IndexAny(s.text[s.at:], chars); i >= 0 {
		s.at += i
	} else {
		s.at = len(s.text)
	}
}

// header goes past "[key]" or "[[key]]".
func (s *scanner) header() {
	start := s.at
	s.skip("[" + blankChars)
	s.mentions = append(s.mentions, mention{start: start, parts: s.key(), value: -1})
	s.skip("]" + blankChars)
}

// pair goes past "key = value".
func (s *scanner) pair() {
	parts := s.key()
	s.skip("=" + blankChars)
	i := len(s.mentions)
	s.mentions = append(s.mentions, mention{start: parts[0], parts: parts, value: s.at})
	items := s.value() // which may mention keys itself
	s.mentions[i].items = items
}

// key goes past a key and the blanks after it.
func (s *scanner) key() (parts []int) {
	for {
		parts = append(parts, s.at)
		if c := s.peek(); c == '"' || c == '\'' {
			s.quoted()
		} else {
			s.until(keyEnd)
		}
		s.skip(blankChars)
		if s.peek() != '.' {
			return parts
		}
		s.skip("." + blankChars)
	}
}

// value goes past a value and returns where its items begin.
func (s *scanner) value() (items []int) {
	switch s.peek() {
	case '"', '\'':
		s.quoted()
	case '[':
		s.list(']', func() {
			items = append(items, s.at)
			s.value()
		})
	case '{':
		s.list('}', s.pair)
	default:
		s.until(valueEnd)
	}
	return items
}

// list goes past an array or an inline table.
func (s *scanner) list(end byte, item func()) {
	for s.at++; ; {
		s.skip(blankOrNewline + ",")
		if c := s.peek(); c == end || c == 0 {
			s.at++
			return
		}
		item()
	}
}

// quoted goes past a string of any of the four forms.
func (s *scanner) quoted() {
	quote := s.text[s.at : s.at+1]
	escapes := quote == `"`
	triple := strings.Repeat(quote, 3)
	long := strings.HasPrefix(s.text[s.at:], triple)
	s.at++
	if long {
		s.at += 2
	}
	for s.at < len(s.text) {
		switch rest := s.text[s.at:]; {
		case escapes && rest[0] == '\\':
			s.at += 2
		case !strings.HasPrefix(rest, quote):
			s.at++
		case !long:
			s.at++
			return
		case strings.HasPrefix(rest, triple):
			// One or two quotes may stand before the three that end it.
			n := len(rest) - len(strings.TrimLeft(rest, quote))
			s.at += min(n, 5)
			return
		default:
			s.at++
		}
	}
}
