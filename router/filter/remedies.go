package filter

import "github.com/expr-lang/expr/ast"

// remedies tell for places in an expression, by character from 0, how to write
// what fails there when a part of a message's JSON is absent.
type remedies map[int]string

// visit notes what a node makes of its parts, which were visited before.
func (r *remedies) visit(node ast.Node) {
	switch n := node.(type) {
	case *ast.MemberNode:
		r.note(n, n, "")
	case *ast.BuiltinNode:
		if len(n.Arguments) > 0 {
			r.note(n, n.Arguments[0], absentArgument(n.Name))
		}
	case *ast.UnaryNode:
		if n.Operator == "-" || n.Operator == "+" {
			r.note(n, n.Node, "0")
		} else {
			r.note(n, n.Node, "false")
		}
	case *ast.BinaryNode:
		r.note(n, n.Right, absentOperand(n.Operator, n.Left))
		r.note(n, n.Left, absentOperand(n.Operator, n.Right))
	}
}

// note keeps how a part of a node is written. Failures happen at the node, or
// inside the part where something is taken from nil.
func (r *remedies) note(node, part ast.Node, absent string) {
	written := orElse(part, absent)
	if written == "" {
		return
	}
	if absent != "" {
		written = "(" + written + ")"
	}
	if *r == nil {
		*r = remedies{}
	}
	(*r)[node.Location().From] = written
	for {
		if chain, ok := part.(*ast.ChainNode); ok {
			part = chain.Node
		}
		member, ok := part.(*ast.MemberNode)
		if !ok {
			return
		}
		(*r)[member.Location().From] = written
		part = member.Node
	}
}

// orElse returns how a part of the JSON is written that may be absent, and then
// is the value absent: json?.level ?? 0 for json.level. It returns "" for what
// is no part of the JSON.
func orElse(part ast.Node, absent string) string {
	node := optional(part)
	switch {
	case node == nil:
		return ""
	case absent == "":
		return node.String()
	default:
		return node.String() + " ?? " + absent
	}
}

// optional returns json?.pump?.level for json.pump.level, nil for what is no
// part of the JSON.
func optional(node ast.Node) ast.Node {
	switch n := node.(type) {
	case *ast.ChainNode:
		return optional(n.Node)
	case *ast.MemberNode:
		if base := optional(n.Node); base != nil {
			member := *n
			member.Node, member.Optional = base, true
			return &member
		}
	case *ast.IdentifierNode:
		if n.Value == "json" {
			return n
		}
	case *ast.PointerNode: // an element of a list in it, in all probability
		return n
	}
	return nil
}

// absentOperand returns what serves beside the other operand in the place of
// nil; "" where nil serves.
func absentOperand(operator string, other ast.Node) string {
	switch operator {
	case "&&", "||", "and", "or":
		return "false"
	case "<", ">", "<=", ">=", "+":
		if isText(other) {
			return `""`
		}
		return "0"
	case "-", "*", "/", "%", "**", "^", "..":
		return "0"
	}
	return ""
}

// Functions whose first argument is a list, or a number.
var (
	listFunctions   = setOf("len", "first", "last", "take", "reverse", "concat", "join", "min", "max")
	numberFunctions = setOf("int", "float", "abs", "ceil", "floor", "round")
)

// absentArgument returns what serves as the first argument of a function in
// the place of nil.
func absentArgument(function string) string {
	switch {
	case loopFunctions[function], listFunctions[function]:
		return "[]"
	case numberFunctions[function]:
		return "0"
	case function == "keys", function == "values":
		return "{}"
	}
	return `""`
}

// absentResult returns what serves as a result in the place of nil.
func (w want) absentResult() string {
	return [...]string{"false", `""`, `""`, "0", "nil"}[w]
}
