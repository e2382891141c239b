package filter

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// want is the type that an expression must give.
type want uint8

const (
	wantBool want = iota
	wantString
	wantBytes // or a string
	wantInt
	wantAny
)

func (w want) String() string {
	return [...]string{"true or false", "a string", "bytes or a string", "a whole number", "a value"}[w]
}

var (
	bytesType    = reflect.TypeFor[[]byte]()
	durationType = reflect.TypeFor[time.Duration]()
)

// takes tells whether a value of type t is what is wanted.
func (w want) takes(t reflect.Type) bool {
	switch w {
	case wantAny:
		return true
	case wantBool:
		return t.Kind() == reflect.Bool
	case wantString:
		return t.Kind() == reflect.String
	case wantBytes:
		return t.Kind() == reflect.String || t == bytesType
	default:
		return t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64 && t != durationType
	}
}

// expression is a compiled one. It is read only.
type expression struct {
	field   string
	text    string
	program *vm.Program
	direct  func(*env) bool // what program does, without expr's machine; nil for most
	want    want
	needs   needs
	// What it gives for every message, when it does.
	constant   value
	isConstant bool
	remedies   remedies
	ifNil      string // how to write one whose result may be nil; "" when unknown
}

// compile compiles the expression of a field. The error tells what is wrong
// first.
func compile(field, text string, w want) (e *expression, failure *Error) {
	// A bug in expr's compiler must not end a program that was told to read its
	// configuration again: it is an error like any other.
	defer func() {
		if r := recover(); r != nil {
			e, failure = nil, newError(field, text, fmt.Errorf("cannot be compiled: %v", r))
		}
	}()
	if len(text) > MaxLength {
		return nil, newError(field, text, fmt.Errorf("is longer than %d bytes", MaxLength))
	}
	if strings.TrimSpace(text) == "" {
		return nil, newError(field, text, errors.New("is empty"))
	}
	// First as it is, so that errors speak of what is written there.
	found := &inspector{}
	program, err := expr.Compile(text, expr.Env(env{}), expr.MaxNodes(MaxNodes), expr.Patch(found))
	if err == nil && found.err != nil {
		err = found.err
	}
	if err != nil {
		failure = newError(field, text, err)
		if failure.Hint == "" && (w == wantString || w == wantBytes) && isProse(text) {
			failure.Hint = fmt.Sprintf(`a text needs quotes of its own: '"%s"'`, text)
		}
		return nil, failure
	}
	node := program.Node()
	if given := typeOf(node); given != nil && !w.takes(given) {
		return nil, newError(field, text, fmt.Errorf("must give %s, not %s", w, describe(given)))
	}
	e = &expression{field: field, text: text, want: w, needs: found.needs, remedies: found.remedies}
	if w == wantBool {
		e.direct = direct(node)
	}
	e.constant, e.isConstant = constant(node, w)
	e.ifNil = orElse(node, w.absentResult())
	// Then with a meter built in.
	e.program, err = expr.Compile(text,
		slices.Concat(meterFunctions, []expr.Option{expr.Env(env{}), expr.MaxNodes(MaxNodes), expr.Patch(metering{})})...)
	if err != nil {
		return nil, newError(field, text, err)
	}
	return e, nil
}

// isProse tells whether an expression that does not compile looks like a text
// that someone forgot to put in quotes.
func isProse(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" _.-/:", r)
	})
}

// constant returns what a node gives, when that does not depend on the message.
func constant(node ast.Node, w want) (v value, ok bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return w.convert(n.Value)
	case *ast.IntegerNode:
		return w.convert(n.Value)
	case *ast.BoolNode:
		return w.convert(n.Value)
	}
	return value{}, false
}

// typeOf returns the type that a node gives, or nil if only running it can
// tell.
func typeOf(node ast.Node) reflect.Type {
	switch t := node.Type(); {
	case node.Nature().Nil:
		return reflect.TypeFor[nilType]()
	case t.Kind() == reflect.Interface:
		return nil
	default:
		return t
	}
}

type nilType struct{}

// describe names a type as people who write expressions know it.
func describe(t reflect.Type) string {
	switch {
	case t == nil || t == reflect.TypeFor[nilType]():
		return "nil"
	case t == bytesType:
		return "bytes"
	case t == durationType:
		return "a duration"
	case t == reflect.TypeFor[time.Time]():
		return "a time"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Float32, reflect.Float64:
		return "a number that may not be whole (int() makes it whole)"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map:
		return "a map"
	case reflect.Struct, reflect.Pointer, reflect.Func:
		return t.String()
	default:
		return "a number"
	}
}
