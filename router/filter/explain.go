package filter

import (
	"reflect"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"

	"imbrouter/router"
)

// Expression is a compiled expression that may give a value of any type, for
// commands that show what it is. It is safe for concurrent use.
type Expression struct {
	expression *expression
	passage    router.Passage
}

// CompileExpression compiles an expression. The error is of type Errors, its
// Field is "expression".
func CompileExpression(text string) (*Expression, error) {
	e, err := compile("expression", text, wantAny)
	if err != nil {
		return nil, Errors{err}
	}
	return &Expression{expression: e}, nil
}

// Signal returns the value for a signal, which may live in the signal's Data.
// An error wraps an *Error.
func (e *Expression) Signal(s router.Signal) (any, error) {
	ev := begin(&e.passage, Limits{Work: DefaultWork})
	defer ev.End()
	ev.signal(&s)
	ev.signalNeeds(&s, e.expression.needs)
	v, err := ev.value(e.expression)
	return v.any, err
}

// Stream is Signal for the start of a stream.
func (e *Expression) Stream(info router.StreamInfo) (any, error) {
	ev := begin(&e.passage, Limits{Work: DefaultWork})
	defer ev.End()
	ev.stream(&info)
	ev.streamNeeds(e.expression.needs)
	v, err := ev.value(e.expression)
	return v.any, err
}

// TypeName names the type of a value that an expression gave, as the table of
// fields in the package comment does.
func TypeName(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case []byte:
		return "bytes"
	case time.Time:
		return "time"
	case time.Duration:
		return "duration"
	}
	switch t := reflect.TypeOf(v); t.Kind() {
	case reflect.Slice, reflect.Array:
		return "list"
	case reflect.Float32, reflect.Float64:
		return "float"
	case reflect.Map:
		return "map"
	default:
		return t.String()
	}
}

// When returns the text of `when`, "" for none.
func (f *Filter) When() string {
	if f.when == nil {
		return ""
	}
	return f.when.text
}

// Part is a part of a condition, and what it gave.
type Part struct {
	Text    string
	Depth   int // 0 for the whole
	Value   any
	Err     error
	Skipped bool // what stands before it had decided
}

// Parts takes a condition that compiles apart, and evaluates it and its parts:
// what `&&`, `||` and `not` combine, and what a comparison compares. Parts with
// variables of their own are left out.
func Parts(condition string, eval func(*Expression) (any, error)) []Part {
	tree, err := parser.Parse(condition)
	if err != nil {
		return nil
	}
	e := explanation{eval: eval}
	e.explain(tree.Node, condition, 0, false)
	return e.parts
}

type explanation struct {
	eval  func(*Expression) (any, error)
	parts []Part
}

// explain adds a node, written as text, and its parts, and returns what it gave.
func (e *explanation) explain(node ast.Node, text string, depth int, skip bool) (value any) {
	compiled, err := CompileExpression(text)
	if err != nil {
		return nil
	}
	p := Part{Text: text, Depth: depth, Skipped: skip}
	if !skip {
		p.Value, p.Err = e.eval(compiled)
	}
	e.parts = append(e.parts, p)
	sub := func(node ast.Node, skip bool) any { return e.explain(node, node.String(), depth+1, skip) }
	switch n := node.(type) {
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			sub(n.Node, skip)
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "&&", "and":
			sub(n.Right, sub(n.Left, skip) != true || skip)
		case "||", "or":
			sub(n.Right, sub(n.Left, skip) != false || skip)
		case "==", "!=", "<", "<=", ">", ">=", "in", "matches", "contains", "startsWith", "endsWith":
			for _, side := range []ast.Node{n.Left, n.Right} {
				if !isLiteral(side) && !skip {
					sub(side, skip)
				}
			}
		}
	}
	return p.Value
}

// isLiteral tells whether a node says its value itself.
func isLiteral(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NilNode, *ast.ConstantNode, *ast.ArrayNode:
		return true
	case *ast.UnaryNode:
		return isLiteral(n.Node)
	}
	return false
}
