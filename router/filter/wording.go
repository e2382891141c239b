package filter

import (
	"fmt"
	"regexp"
	"strings"
)

// reword puts what expr tells, in the terms of its own code, into the terms of
// those who write expressions.
func (e *Error) reword() {
	for _, w := range wordings {
		if parts := w.told.FindStringSubmatch(e.Msg); parts != nil {
			w.reword(e, parts[1:])
			return
		}
	}
}

// goType matches the types of Go that values in expressions have.
const goType = `(<nil>|nil|[\w.*\[\]]+(?: ?\{\})?)`

var wordings = []struct {
	told   *regexp.Regexp
	reword func(e *Error, parts []string)
}{
	{regexp.MustCompile(`^unknown name (.+)$`), func(e *Error, parts []string) {
		e.Name = parts[0]
		e.Msg = fmt.Sprintf("unknown name %q", e.Name)
	}},
	{regexp.MustCompile(`^unexpected token EOF`), func(e *Error, _ []string) {
		e.Msg = "ends too early; something is missing here"
	}},
	{regexp.MustCompile(`^unexpected token \w+\("(.*)"\)`), func(e *Error, parts []string) {
		e.Msg = fmt.Sprintf("unexpected %q", parts[0])
		e.Hint = operatorHints[strings.ToUpper(parts[0])]
	}},
	{regexp.MustCompile(`^unrecognized character: U\+\w+ '([“”„‘’])'`), func(e *Error, parts []string) {
		e.Msg = fmt.Sprintf("unexpected %q", parts[0])
		e.Hint = `write straight quotes: "`
	}},
	{regexp.MustCompile(`^literal not terminated$`), func(e *Error, _ []string) {
		e.Msg = "a text has no quote at its end"
	}},
	{regexp.MustCompile(`^invalid operation: (\S+) \(mismatched types ` + goType + ` and ` + goType + `\)$`), func(e *Error, parts []string) {
		e.between(parts[0], parts[1], parts[2])
	}},
	{regexp.MustCompile(`^invalid operation: (\S+) \(mismatched type ` + goType + `\)$`), func(e *Error, parts []string) {
		e.Msg = fmt.Sprintf("%q does not work on %s", parts[0], typeWord(parts[1]))
	}},
	{regexp.MustCompile(`^invalid operation: ` + goType + ` ([^\s\w]+) ` + goType + `$`), func(e *Error, parts []string) {
		e.between(parts[1], parts[0], parts[2])
	}},
	{regexp.MustCompile(`^invalid operation: ([-+]) ` + goType + `$`), func(e *Error, parts []string) {
		e.Msg = fmt.Sprintf("%q does not work on %s", parts[0], typeWord(parts[1]))
	}},
	{regexp.MustCompile(`^cannot fetch (.+) from ` + goType + `$`), func(e *Error, parts []string) {
		e.Msg = fmt.Sprintf("cannot take %q from %s", parts[0], typeWord(parts[1]))
	}},
	{regexp.MustCompile(`^interface conversion: interface \{\} is ` + goType + `, not ` + goType + `$`), func(e *Error, parts []string) {
		e.Msg = fmt.Sprintf("needs %s, not %s", typeWord(parts[1]), typeWord(parts[0]))
	}},
	{regexp.MustCompile(`^cannot use ` + goType + ` as argument \(type ` + goType + `\) to call (\w+) ?$`), func(e *Error, parts []string) {
		e.Msg = fmt.Sprintf("%s needs %s, not %s", parts[2], typeWord(parts[1]), typeWord(parts[0]))
	}},
	{regexp.MustCompile(`^invalid argument for (\w+) \(type ` + goType + `\)$`), func(e *Error, parts []string) {
		e.Msg = fmt.Sprintf("%s does not work on %s", parts[0], typeWord(parts[1]))
	}},
	{zeroValue, func(e *Error, _ []string) { e.Msg = "does not work on nil" }},
	{regexp.MustCompile(`exceeds maximum allowed nodes$`), func(e *Error, _ []string) {
		e.Msg = fmt.Sprintf("holds more than %d names, constants and operators", MaxNodes)
	}},
}

// zeroValue is what package reflect tells of nil.
var zeroValue = regexp.MustCompile(`^reflect: call of .* on zero Value$`)

func (e *Error) between(operator, left, right string) {
	e.Msg = fmt.Sprintf("%q does not work between %s and %s", operator, typeWord(left), typeWord(right))
}

// operatorHints say what to write in the place of what other languages have.
var operatorHints = map[string]string{
	"=":   "compare with ==",
	"&":   "write &&",
	"AND": "write &&",
	"OR":  "write ||",
}

// isAboutNil tells whether what expr tells is about a value that is nil.
func isAboutNil(msg string) bool {
	return strings.Contains(msg, "<nil>") || strings.Contains(msg, " is nil, not ") || zeroValue.MatchString(msg)
}

// typeWord names a type of Go as describe does.
func typeWord(goType string) string {
	switch {
	case goType == "nil" || goType == "<nil>":
		return "nil"
	case goType == "string":
		return "a string"
	case goType == "bool":
		return "true or false"
	case goType == "time.Time":
		return "a time"
	case goType == "time.Duration":
		return "a duration"
	case goType == "[]uint8":
		return "bytes"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "map["):
		return "a map"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"), strings.HasPrefix(goType, "float"):
		return "a number"
	default:
		return goType
	}
}
