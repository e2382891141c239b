package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/vm/runtime"

	"imbrouter/imb/wire"
)

// function is one that expressions call.
type function func(args ...any) (any, error)

// loopFunctions go over a list with an expression in braces.
var loopFunctions = setOf("all", "none", "any", "one", "filter", "map", "count",
	"find", "findIndex", "findLast", "findLastIndex")

// stepFunctions take a step whatever their arguments are.
var stepFunctions = setOf("abs", "ceil", "floor", "round", "type", "first", "last", "take",
	"bitand", "bitor", "bitxor", "bitnand", "bitnot", "bitshl", "bitshr", "bitushr")

// paidFunctions take steps in proportion to the sizes of their arguments and
// their result.
var paidFunctions = func() map[string]function {
	all := map[string]function{}
	for _, name := range []string{
		"keys", "values", "reverse", "concat", "min", "max",
		"trim", "trimPrefix", "trimSuffix", "upper", "lower", "split", "splitAfter",
		"indexOf", "lastIndexOf", "hasPrefix", "hasSuffix",
		"int", "float", "string", "toBase64", "fromBase64", "date", "duration",
	} {
		all[name] = fromExpr(name)
	}
	all["join"] = bounded(fromExpr("join"), joinedSize)
	all["replace"] = bounded(fromExpr("replace"), replacedSize)
	all["toJSON"] = toJSON
	all["fromJSON"] = fromJSON
	return all
}()

// available tells whether expressions can call a function of expr.
func available(name string) bool {
	return loopFunctions[name] || stepFunctions[name] || paidFunctions[name] != nil || name == "len"
}

func setOf(names ...string) map[string]bool {
	all := map[string]bool{}
	for _, name := range names {
		all[name] = true
	}
	return all
}

// fromExpr returns expr's own function.
func fromExpr(name string) function {
	switch f := builtin.Builtins[builtin.Index[name]]; {
	case f.Fast != nil:
		return func(args ...any) (any, error) { return f.Fast(args[0]), nil }
	case f.Safe != nil:
		return func(args ...any) (any, error) {
			out, _, err := f.Safe(args...)
			return out, err
		}
	default:
		return f.Func
	}
}

// bounded calls f only when its result will not be too large. Size gets
// arguments that f may refuse.
func bounded(f function, size func(args []any) int) function {
	return func(args ...any) (any, error) {
		if size(args) > wire.MaxEventData {
			return nil, fmt.Errorf("gives more than %d bytes", wire.MaxEventData)
		}
		return f(args...)
	}
}

// joinedSize is for join(list, glue).
func joinedSize(args []any) int {
	size, n := 0, 0
	switch list := args[0].(type) {
	case []string:
		n = len(list)
		for _, s := range list {
			size += len(s)
		}
	case []any:
		n = len(list)
		for _, elem := range list {
			s, _ := elem.(string)
			size += len(s)
		}
	}
	if len(args) > 1 {
		glue, _ := args[1].(string)
		size += n * len(glue)
	}
	return size
}

// replacedSize is for replace(text, old, new) and replace(text, old, new, n).
func replacedSize(args []any) int {
	text, _ := args[0].(string)
	from, _ := args[1].(string)
	to, _ := args[2].(string)
	if len(to) <= len(from) {
		return len(text)
	}
	n := strings.Count(text, from)
	if len(args) > 3 {
		if limit := runtime.ToInt(args[3]); limit >= 0 {
			n = min(n, limit)
		}
	}
	return len(text) + n*(len(to)-len(from))
}

// toJSON is compact, unlike expr's own, whose indentation can be much longer
// than what it indents.
func toJSON(args ...any) (any, error) {
	text, err := json.Marshal(args[0])
	return string(text), err
}

func fromJSON(args ...any) (any, error) { return decodeJSON(args[0].(string)) }

// length takes a step, except for a text, whose characters it counts.
func length(m *meter, args []any) (any, error) {
	if s, ok := args[0].(string); ok {
		return utf8.RuneCountInString(s), m.spend(len(s) / bytesPerWork)
	}
	return builtin.Len(args[0]), nil
}

// operators are those that can take more than a step.
var operators = map[string]function{
	"+":          func(args ...any) (any, error) { return runtime.Add(args[0], args[1]), nil },
	"==":         comparison(runtime.Equal),
	"!=":         comparison(func(a, b any) bool { return !runtime.Equal(a, b) }),
	"<":          comparison(runtime.Less),
	">":          comparison(runtime.More),
	"<=":         comparison(runtime.LessOrEqual),
	">=":         comparison(runtime.MoreOrEqual),
	"in":         comparison(runtime.In),
	"contains":   textComparison(strings.Contains),
	"startsWith": textComparison(strings.HasPrefix),
	"endsWith":   textComparison(strings.HasSuffix),
}

func comparison(f func(a, b any) bool) function {
	return func(args ...any) (any, error) { return f(args[0], args[1]), nil }
}

// textComparison is false for nil, as in expr.
func textComparison(f func(a, b string) bool) function {
	return func(args ...any) (any, error) {
		if args[0] == nil || args[1] == nil {
			return false, nil
		}
		return f(args[0].(string), args[1].(string)), nil
	}
}

// matches tells whether a text or bytes match a pattern.
func matches(m *meter, args []any) (any, error) {
	p := args[1].(*pattern)
	switch s := args[0].(type) {
	case nil:
		return false, nil
	case string:
		if err := m.spend(p.work(len(s))); err != nil {
			return nil, err
		}
		return p.MatchString(s), nil
	case []byte:
		if err := m.spend(p.work(len(s))); err != nil {
			return nil, err
		}
		return p.Match(s), nil
	}
	return nil, errors.New("matches needs a string, not " + describe(reflect.TypeOf(args[0])))
}
