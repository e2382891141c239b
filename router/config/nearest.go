package config

import (
	"fmt"
	"strings"
)

// maxGuessed is the longest name, in bytes, for which a similar one is looked
// for.
const maxGuessed = 64

// suggest returns the end of a message about a name that does not exist: one
// that is similar, or else all that there are, at least one, which are called what.
func suggest(name string, known []string, what string) string {
	if best := nearest(name, known); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return fmt.Sprintf("; the %s are %s", what, quoteAll(known))
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, ", ")
}

// nearest returns which of known someone who wrote name most likely meant, or
// "" when none is similar.
func nearest(name string, known []string) string {
	if len(name) > maxGuessed {
		return ""
	}
	best, least := "", 1+max(1, len(name)/3)
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance returns how many characters must be inserted, removed, replaced or
// swapped with their neighbour to make b of a.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	// Of the row above the last, the last row, and the row in the making:
	// how far the first i of s are from the first j of t.
	above, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(s); i++ {
		above, last, row = last, row, above
		row[0] = i
		for j := 1; j <= len(t); j++ {
			replaced := last[j-1]
			if s[i-1] != t[j-1] {
				replaced++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replaced)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], above[j-2]+1)
			}
		}
	}
	return row[len(t)]
}
