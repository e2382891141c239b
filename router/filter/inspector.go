package filter

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// inspector looks at what an expression names, and refuses what cannot be
// bounded.
type inspector struct {
	needs    needs
	err      error
	remedies remedies
}

// Visit implements ast.Visitor: it comes to a node after its parts.
func (i *inspector) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		i.needs |= fieldNeeds[n.Value]
		if n.Value == "$env" {
			i.refuse(n, "$env is not available here")
		}
	case *ast.BuiltinNode:
		if !available(n.Name) {
			i.refuse(n, "the function %s is not available here", n.Name)
		}
	case *ast.BinaryNode:
		if _, isConstant := n.Right.(*ast.StringNode); n.Operator == "matches" && !isConstant {
			i.refuse(n.Right, "the pattern of matches must be a text in quotes")
		}
	}
	i.remedies.visit(*node)
}

func (i *inspector) refuse(node ast.Node, format string, args ...any) {
	if i.err == nil {
		i.err = &file.Error{Location: node.Location(), Message: fmt.Sprintf(format, args...)}
	}
}
