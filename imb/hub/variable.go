package hub

import (
	"maps"
	"slices"
	"strings"

	"imbrouter/imb/wire"
)

// maxVariableName bounds a variable's name, in bytes, with its prefix.
const maxVariableName = 1024

// variables are what clients have set, under Hub.mu.
type variables struct {
	values             map[string][]byte
	bytes              int // of names and values
	maxCount, maxBytes int
}

func newVariables(maxCount, maxBytes int) variables {
	return variables{values: make(map[string][]byte), maxCount: maxCount, maxBytes: maxBytes}
}

// set keeps a value, or removes the variable if it is empty. It returns false
// when there is no room.
func (vs *variables) set(v wire.Variable) bool {
	old, exists := vs.values[v.Name]
	bytes := vs.bytes
	if exists {
		bytes -= len(v.Name) + len(old)
	}
	if len(v.Value) == 0 {
		delete(vs.values, v.Name)
		vs.bytes = bytes
		return true
	}
	bytes += len(v.Name) + len(v.Value)
	if bytes > vs.maxBytes || !exists && len(vs.values) >= vs.maxCount {
		return false
	}
	vs.values[v.Name] = slices.Clone(v.Value)
	vs.bytes = bytes
	return true
}

// setVariable sets a variable and tells all who watch, the setter included.
// Setting the value that it has is passed on as well.
func (h *Hub) setVariable(c *conn, v wire.Variable) {
	if len(v.Name) > maxVariableName || !h.variables.set(v) {
		c.note(refusedVariable, 1, "variable", v.Name[:min(len(v.Name), maxVariableName)], "size", len(v.Value))
		return
	}
	h.variableChanged(v)
}

func (h *Hub) variableChanged(v wire.Variable) {
	frame := wire.AppendSetVariable(nil, v)
	for c := range h.conns {
		if c.watching {
			c.tell(frame)
		}
	}
}

// tellVariables tells a connection every variable, by name, and from now on
// every change.
func (h *Hub) tellVariables(c *conn) {
	c.watching = true
	var frames []byte
	for _, name := range slices.Sorted(maps.Keys(h.variables.values)) {
		frames = wire.AppendSetVariable(frames, wire.Variable{Name: name, Value: h.variables.values[name]})
	}
	c.tell(frames)
}

// removeVariablesOf removes what only a connection that has gone could mean:
// the variables that begin with its unique client id, such as the status of a
// model. Those that begin with its handle stay: handles are small numbers, and
// a name that happens to begin so may be another's.
func (h *Hub) removeVariablesOf(c *conn) {
	id := c.prefix(wire.PrefixUniqueClientID)
	for _, name := range slices.Sorted(maps.Keys(h.variables.values)) {
		if strings.HasPrefix(name, id) {
			v := wire.Variable{Name: name}
			h.variables.set(v)
			h.variableChanged(v)
		}
	}
}

// prefix returns what a prefixed variable's name begins with.
func (c *conn) prefix(which int32) string {
	if which == wire.PrefixClientHandle {
		return wire.VariablePrefix(c.identity.Handle)
	}
	return wire.VariablePrefix(c.identity.ID)
}
