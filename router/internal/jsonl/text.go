package jsonl

import "strings"

// TimeFormat is RFC 3339 with milliseconds, for times in UTC.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

// Cut shortens a text of more than max bytes, at the end of a character, and
// marks it with "…". It keeps a line of names from a network short.
func Cut(text string, max int) string {
	if len(text) <= max {
		return text
	}
	return strings.ToValidUTF8(text[:max], "") + "…"
}
