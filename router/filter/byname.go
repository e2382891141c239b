package filter

import (
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"

	"imbrouter/router"
)

// byName compiles the part of `when` that decides by the name of an event
// alone: of a chain of && as much of the beginning as names nothing else. When
// that is false for a name, so is `when`, and nothing after it is evaluated.
// nil: there is no such part.
func byName(when string) *expression {
	tree, err := parser.Parse(when)
	if err != nil {
		return nil
	}
	for node := tree.Node; ; {
		if namesOnly(node) {
			e, err := compile("when", node.String(), wantBool)
			if err != nil {
				return nil
			}
			return e
		}
		and, ok := node.(*ast.BinaryNode)
		if !ok || and.Operator != "&&" && and.Operator != "and" {
			return nil
		}
		node = and.Left
	}
}

// namesOnly tells whether a node depends on the event's name, and on nothing
// else that can differ from message to message.
func namesOnly(node ast.Node) bool {
	others := &otherNames{}
	ast.Walk(&node, others)
	return !others.found
}

type otherNames struct{ found bool }

// Visit implements ast.Visitor.
func (o *otherNames) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		switch n.Value {
		case "event", "federation", "full_event":
		default:
			o.found = true
		}
	case *ast.BuiltinNode, *ast.CallNode: // such as now()
		o.found = true
	}
}

// MayTake implements router.NameFilter.
func (f *Filter) MayTake(federation, event string) bool {
	if f.byName == nil {
		return true
	}
	ev := begin(&f.passage, f.limits)
	defer ev.End()
	s := router.Signal{Federation: federation, Event: event}
	ev.signal(&s)
	ev.signalNeeds(&s, f.byName.needs)
	holds, err := ev.holds(f.byName)
	return err != nil || holds
}
