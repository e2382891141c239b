package filter

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
)

// Error tells what is wrong with an expression, or with a message that an
// expression fails on.
type Error struct {
	Field  string // "when", "set." and the name of a field, or "filename"
	Offset int    // where in the expression, in bytes from its start
	Column int    // the same in characters, the first of which is 1
	Msg    string // what is wrong
	Hint   string // what to do about it; "" when that is plain, or not known
	Name   string // a name in the expression that does not exist; else ""
}

func (e *Error) Error() string {
	msg := e.Msg
	if e.Hint != "" {
		msg += "; " + e.Hint
	}
	return fmt.Sprintf("%s: %s (at column %d of the expression)", e.Field, msg, e.Column)
}

// Errors is everything that is wrong with the expressions of one route.
type Errors []*Error

func (e Errors) Error() string {
	all := make([]string, len(e))
	for i, err := range e {
		all[i] = err.Error()
	}
	return strings.Join(all, "; ")
}

// maxMsg bounds a message, in bytes: expr puts values from a message into it.
const maxMsg = 300

// newError makes an Error of what expr tells about an expression's text.
func newError(field, text string, err error) *Error {
	e := &Error{Field: field, Column: 1}
	var at *file.Error
	if errors.As(err, &at) {
		e.Msg = at.Message
		e.locate(text, at.From)
	} else {
		e.Msg, _, _ = strings.Cut(err.Error(), "\n") // no trace of a stack
	}
	e.reword()
	e.Msg = printable(e.Msg)
	return e
}

// hintAbsent makes the hint of how to write what was nil, "" when that is not
// known.
func (e *Error) hintAbsent(written string) {
	if written != "" {
		e.Hint = "where it may be absent, write " + printable(written)
	}
}

// locate points at the character with that number, from 0, which may be one
// behind the last.
func (e *Error) locate(text string, char int) {
	for offset := range text {
		if e.Column > char {
			e.Offset = offset
			return
		}
		e.Column++
	}
	e.Offset = len(text)
}

// printable cuts a message short, and shows what would upset a terminal as a
// replacement character.
func printable(msg string) string {
	if len(msg) > maxMsg {
		end := maxMsg
		for end > 0 && !utf8.RuneStart(msg[end]) {
			end--
		}
		msg = msg[:end] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, strings.TrimSpace(msg))
}
