package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is something wrong, or hardly meant, in a file. Its message tells
// what to do about it.
type Problem struct {
	Path         string
	Line, Column int // from 1, the column in characters; 0 for the whole file
	Message      string

	text string // of the line
}

// String returns the problem with its position, the line and a caret under the
// place:
//
//	router.toml:12:1: unknown key "pathh" in [sources.outbox]; did you mean "path"?
//	   12 | pathh = "drop"
//	      | ^
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.Position(), p.Message)
	}
	before, after := p.around()
	return fmt.Sprintf("%s: %s\n%5d | %s%s\n      | %s^",
		p.Position(), p.Message, p.Line, before, after, blank(before))
}

// Position returns where the problem is, such as "router.toml:12:1", or the path
// alone of one of the whole file.
func (p Problem) Position() string {
	if p.Line == 0 {
		return p.Path
	}
	return fmt.Sprintf("%s:%d:%d", p.Path, p.Line, p.Column)
}

// maxShown is how much of a line, in characters, is shown on each side of a
// problem.
const maxShown = 100

// around returns what stands before and after the problem, without what would
// upset a terminal.
func (p Problem) around() (before, after string) {
	line := []rune(strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, p.text))
	at := min(p.Column-1, len(line))
	before, after = string(line[:at]), string(line[at:])
	if at > maxShown {
		before = "…" + string(line[at-maxShown:at])
	}
	if len(line)-at > maxShown {
		after = string(line[at:at+maxShown]) + "…"
	}
	return before, after
}

// blank returns s with spaces for all that is no tab.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}

// Errors is everything that is wrong in a file, in the order of its lines.
type Errors []Problem

func (e Errors) Error() string {
	all := make([]string, len(e))
	for i, p := range e {
		all[i] = p.String()
	}
	return strings.Join(all, "\n")
}

func sortProblems(all []Problem) {
	slices.SortStableFunc(all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// source is a text that knows its lines.
type source struct {
	path  string
	text  string
	lines []int // offsets of their starts
}

func newSource(path, text string) source {
	s := source{path: path, text: text, lines: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// problemAt makes a problem at an offset of the text, or at its end when the
// offset is beyond.
func (s *source) problemAt(offset int, format string, args ...any) Problem {
	offset = min(max(offset, 0), len(s.text))
	n, _ := slices.BinarySearch(s.lines, offset+1) // lines that start at offset or before
	start := s.lines[n-1]
	// The decoder can point into the middle of a character.
	for offset > start && offset < len(s.text) && !utf8.RuneStart(s.text[offset]) {
		offset--
	}
	line, _, _ := strings.Cut(s.text[start:], "\n")
	return Problem{
		Path: s.path, Line: n, Column: 1 + utf8.RuneCountInString(s.text[start:offset]),
		Message: fmt.Sprintf(format, args...), text: strings.TrimSuffix(line, "\r"),
	}
}
