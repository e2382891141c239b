package filter

import (
	"errors"
	"reflect"
	"regexp"
	"regexp/syntax"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
)

// errWork is what an evaluation fails with that costs more than Limits.Work.
var errWork = errors.New("takes too much work or memory on this message")

const (
	// bytesPerWork is how much text costs 1.
	bytesPerWork = 64
	// stepsPerWork is how large a pattern may be to cost what text costs. Each
	// further such part costs as much again: a regular expression is at worst
	// in all its states at each byte.
	stepsPerWork = 4
)

// meter is what is left of the work of one evaluation.
type meter struct{ left int }

func (m *meter) spend(work int) error {
	m.left -= work
	if m.left < 0 {
		return errWork
	}
	return nil
}

// weigh returns what it costs to go over all of v, which lies that deep in
// other values, or more than limit when it is more.
func weigh(v any, depth, limit int) int {
	switch v := v.(type) {
	case nil, bool, int, float64, time.Time, time.Duration:
		return 0
	case string:
		return len(v) / bytesPerWork
	case []string:
		work := len(v)
		for _, s := range v {
			work += len(s) / bytesPerWork
		}
		return work
	case []any:
		work := 0
		for i := 0; i < len(v) && work <= limit; i++ {
			work += depth + weigh(v[i], depth+1, limit-work)
		}
		return work
	case map[string]any:
		work := 0
		for key, elem := range v {
			if work += depth + len(key)/bytesPerWork + weigh(elem, depth+1, limit-work); work > limit {
				break
			}
		}
		return work
	case []byte:
		return len(v) / bytesPerWork
	}
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map: // of values without parts
		return rv.Len()
	}
	return 0
}

// pay makes f pay for its arguments before and for its result after. The depth
// of an element counts, because some functions go down to it anew each time.
func pay(f function) func(m *meter, args []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		for _, arg := range args {
			if err := m.spend(1 + weigh(arg, 1, m.left)); err != nil {
				return nil, err
			}
		}
		out, err := f(args...)
		if err != nil {
			return nil, err
		}
		return out, m.spend(weigh(out, 1, m.left))
	}
}

// meterFunctions are what metering puts in the place of functions and
// operators. Their first argument is the meter. Their names begin with a space,
// so that no expression can spell them.
var meterFunctions = func() (all []expr.Option) {
	add := func(name string, f func(m *meter, args []any) (any, error)) {
		all = append(all, expr.Function(" "+name, func(params ...any) (any, error) {
			return f(params[0].(*meter), params[1:])
		}))
	}
	for name, f := range paidFunctions {
		add(name, pay(f))
	}
	for name, f := range operators {
		add(name, pay(f))
	}
	add("len", length)
	add("matches", matches)
	add("loop", func(m *meter, args []any) (any, error) {
		work := 0
		if rv := reflect.ValueOf(args[0]); rv.Kind() == reflect.Slice || rv.Kind() == reflect.Array {
			work = rv.Len()
		}
		return args[0], m.spend(work)
	})
	add("argument", pay(func(args ...any) (any, error) { return args[0], nil }))
	return all
}()

// metering builds the meter into an expression that is well typed.
type metering struct{}

// Visit implements ast.Visitor: it comes to a node after its parts.
func (metering) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BuiltinNode:
		switch {
		case loopFunctions[n.Name]:
			replace(&n.Arguments[0], "loop", n.Arguments[0])
		case !stepFunctions[n.Name]:
			replace(node, n.Name, n.Arguments...)
		}
	case *ast.CallNode: // a method, such as one of a time
		for i := range n.Arguments {
			replace(&n.Arguments[i], "argument", n.Arguments[i])
		}
	case *ast.BinaryNode:
		if n.Operator == "matches" {
			text := n.Right.(*ast.StringNode).Value
			replace(node, "matches", n.Left, &ast.ConstantNode{Value: newPattern(text)})
		} else if costly(n, false) {
			replace(node, n.Operator, n.Left, n.Right)
		}
	case *ast.PredicateNode:
		ast.Walk(&n.Node, meteringLoop{})
	}
}

// meteringLoop is for what costs too much in a loop only.
type meteringLoop struct{}

// Visit implements ast.Visitor.
func (meteringLoop) Visit(node *ast.Node) {
	if n, ok := (*node).(*ast.BinaryNode); ok && costly(n, true) {
		replace(node, n.Operator, n.Left, n.Right)
	}
}

// replace puts a call of one of meterFunctions in the place of a node of the
// same type.
func replace(node *ast.Node, name string, args ...ast.Node) {
	call := &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: " " + name},
		Arguments: append([]ast.Node{&ast.IdentifierNode{Value: meterName}}, args...),
	}
	call.SetNature(*(*node).Nature())
	ast.Patch(node, call)
}

// costly tells whether an operator can take more than a step; outside of loops,
// whether it can take more than a step for each byte of the message.
func costly(n *ast.BinaryNode, inLoop bool) bool {
	left, right := n.Left, n.Right
	small := isSmall(left) || isSmall(right)
	switch n.Operator {
	case "+": // of texts: chains of it would grow with each
		return !isScalar(left) && !isScalar(right) && (inLoop || !small)
	case "==", "!=": // of lists and maps: they may hold the same part many times
		texts := isText(left) && isText(right)
		return !small && (inLoop || !texts)
	case "<", ">", "<=", ">=", "startsWith", "endsWith":
		return !small && inLoop
	case "contains":
		return inLoop
	case "in":
		return !isSmall(right) && (inLoop || !isSmall(left))
	}
	return false
}

// isSmall tells whether a value is a constant or has no parts.
func isSmall(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.StringNode, *ast.BytesNode, *ast.NilNode:
		return true
	case *ast.ArrayNode:
		for _, elem := range n.Nodes {
			if !isSmall(elem) {
				return false
			}
		}
		return true
	}
	return isScalar(node)
}

// isScalar tells whether a value is known to be a number, a time, or true or
// false.
func isScalar(node ast.Node) bool {
	switch t := node.Type(); t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64, reflect.Uint8:
		return true
	default:
		return t == reflect.TypeFor[time.Time]()
	}
}

func isText(node ast.Node) bool { return node.Type().Kind() == reflect.String }

// pattern is a regular expression that knows its size.
type pattern struct {
	*regexp.Regexp
	steps int
}

// newPattern compiles what expr has compiled once already.
func newPattern(text string) *pattern {
	p := &pattern{Regexp: regexp.MustCompile(text)}
	if tree, err := syntax.Parse(text, syntax.Perl); err == nil {
		if prog, err := syntax.Compile(tree.Simplify()); err == nil {
			p.steps = len(prog.Inst)
		}
	}
	return p
}

// work is what it costs to match so many bytes.
func (p *pattern) work(bytes int) int {
	return 1 + bytes*(1+p.steps/stepsPerWork)/bytesPerWork
}
