package filter

import (
	"cmp"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// The most common tests compare fields of a message with each other and with
// constants. Those are evaluated without expr's machine, which takes longer for them
// than all the rest of a filter, and allocates. They mean the same there. None of them can fail, and what they do with a message
// costs nothing that metering would count, see costly; sums of constants, which it
// may count, are made when the expression is compiled.

// direct returns the test that a compiled expression is, or nil when it is more
// than this file knows.
func direct(node ast.Node) func(*env) bool {
	switch n := node.(type) {
	case *ast.BoolNode:
		return func(*env) bool { return n.Value }
	case *ast.IdentifierNode:
		return flagFields[n.Value]
	case *ast.UnaryNode:
		if of := direct(n.Node); of != nil && (n.Operator == "!" || n.Operator == "not") {
			return func(e *env) bool { return !of(e) }
		}
	case *ast.BinaryNode:
		return directBinary(n)
	}
	return nil
}

func directBinary(n *ast.BinaryNode) func(*env) bool {
	if n.Operator == "in" {
		return directIn(n)
	}
	if left, right := direct(n.Left), direct(n.Right); left != nil && right != nil {
		return logical(n.Operator, left, right)
	}
	if left, right := directText(n.Left), directText(n.Right); left != nil && right != nil {
		return textual(n.Operator, left, right)
	}
	if left, right := directNumber(n.Left), directNumber(n.Right); left != nil && right != nil {
		return ordered(n.Operator, left, right)
	}
	return nil
}

// directIn is for a list of constants, of which expr makes a map.
func directIn(n *ast.BinaryNode) func(*env) bool {
	list, ok := n.Right.(*ast.ConstantNode)
	if !ok {
		return nil
	}
	switch list := list.Value.(type) {
	case map[string]struct{}:
		return among(list, directText(n.Left))
	case map[int]struct{}:
		return among(list, directNumber(n.Left))
	}
	return nil
}

func among[T comparable](list map[T]struct{}, of func(*env) T) func(*env) bool {
	if of == nil {
		return nil
	}
	return func(e *env) bool { _, ok := list[of(e)]; return ok }
}

func logical(operator string, left, right func(*env) bool) func(*env) bool {
	switch operator {
	case "&&", "and":
		return func(e *env) bool { return left(e) && right(e) }
	case "||", "or":
		return func(e *env) bool { return left(e) || right(e) }
	case "==":
		return func(e *env) bool { return left(e) == right(e) }
	case "!=":
		return func(e *env) bool { return left(e) != right(e) }
	}
	return nil
}

func textual(operator string, left, right func(*env) string) func(*env) bool {
	switch operator {
	case "contains":
		return func(e *env) bool { return strings.Contains(left(e), right(e)) }
	case "startsWith":
		return func(e *env) bool { return strings.HasPrefix(left(e), right(e)) }
	case "endsWith":
		return func(e *env) bool { return strings.HasSuffix(left(e), right(e)) }
	}
	return ordered(operator, left, right)
}

func ordered[T cmp.Ordered](operator string, left, right func(*env) T) func(*env) bool {
	switch operator {
	case "==":
		return func(e *env) bool { return left(e) == right(e) }
	case "!=":
		return func(e *env) bool { return left(e) != right(e) }
	case "<":
		return func(e *env) bool { return left(e) < right(e) }
	case "<=":
		return func(e *env) bool { return left(e) <= right(e) }
	case ">":
		return func(e *env) bool { return left(e) > right(e) }
	case ">=":
		return func(e *env) bool { return left(e) >= right(e) }
	}
	return nil
}

func directText(node ast.Node) func(*env) string {
	switch n := node.(type) {
	case *ast.StringNode:
		return func(*env) string { return n.Value }
	case *ast.IdentifierNode:
		return textFields[n.Value]
	}
	return nil
}

func directNumber(node ast.Node) func(*env) int {
	switch n := node.(type) {
	case *ast.IntegerNode:
		return func(*env) int { return n.Value }
	case *ast.IdentifierNode:
		return numberFields[n.Value]
	}
	return nil
}

// The fields of env by type.
var (
	flagFields = map[string]func(*env) bool{
		"priority": func(e *env) bool { return e.Priority },
	}
	numberFields = map[string]func(*env) int{
		"size":      func(e *env) int { return e.Size },
		"tick":      func(e *env) int { return e.Tick },
		"object_id": func(e *env) int { return e.ObjectID },
	}
	textFields = map[string]func(*env) string{
		"event":      func(e *env) string { return e.Event },
		"federation": func(e *env) string { return e.Federation },
		"full_event": func(e *env) string { return e.FullEvent },
		"kind":       func(e *env) string { return e.Kind },
		"text":       func(e *env) string { return e.Text },
		"action":     func(e *env) string { return e.Action },
		"attribute":  func(e *env) string { return e.Attribute },
		"stream":     func(e *env) string { return e.Stream },
		"path":       func(e *env) string { return e.Path },
		"source":     func(e *env) string { return e.Source },
	}
)
