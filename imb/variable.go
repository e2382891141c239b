package imb

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"imbrouter/imb/wire"
)

// variables are what the hub has told of its variables, and who wants to know.
type variables struct {
	mu       sync.Mutex
	values   map[string][]byte
	size     int // of names and values
	watchers []*variableWatcher
}

type variableWatcher struct {
	changed func(name string, value []byte)
}

// SetVariable sets a variable of the hub, which all clients see; an empty value
// removes it. It waits for room in the send queue until ctx ends. Flush
// afterwards tells that the hub has it. Without a connection it fails with
// ErrNotConnected: unlike signals, variables do not wait for one.
func (c *Client) SetVariable(ctx context.Context, name string, value []byte) error {
	return c.setVariable(ctx, name, value, func(buf []byte) []byte {
		return wire.AppendSetVariable(buf, wire.Variable{Name: name, Value: value})
	})
}

// SetPrefixedVariable sets a variable whose name the hub completes with what is
// this client's alone: prefix says whether its unique client id or its handle,
// wire.PrefixUniqueClientID or wire.PrefixClientHandle. It is otherwise like
// SetVariable. imb/hub removes those with the id when the client has gone.
// The names that others see begin with [wire.VariablePrefix] of what UniqueID
// returns.
func (c *Client) SetPrefixedVariable(ctx context.Context, prefix int32, name string, value []byte) error {
	return c.setVariable(ctx, name, value, func(buf []byte) []byte {
		return wire.AppendSetVariablePrefixed(buf, wire.PrefixedVariable{
			Prefix: prefix, Variable: wire.Variable{Name: name, Value: value},
		})
	})
}

func (c *Client) setVariable(ctx context.Context, name string, value []byte, frame func([]byte) []byte) error {
	if err := c.sendVariable(ctx, len(name)+len(value), frame); err != nil {
		return fmt.Errorf("set variable %q: %w", name, err)
	}
	return nil
}

// maxVariablePayload is how many bytes of name and value a frame can hold, beside
// their lengths and the prefix.
const maxVariablePayload = wire.MaxPayload - 12

func (c *Client) sendVariable(ctx context.Context, size int, frame func([]byte) []byte) error {
	if size > maxVariablePayload {
		return fmt.Errorf("%w: %d bytes", wire.ErrTooLarge, size)
	}
	n, err := c.connected()
	if err != nil {
		return err
	}
	ctx, release := n.bind(ctx)
	defer release()
	buf, err := n.lock(ctx)
	if err != nil {
		return err
	}
	c.out.Unlock(frame(buf))
	return nil
}

// WatchVariables calls changed with every variable that the hub has, and then
// with each change, until stop is called. An empty value is a removal. The
// value is valid until changed returns. It is called like the handlers of
// events, in order with them. After a reconnect, and when somebody else begins
// to watch, everything is told again.
func (c *Client) WatchVariables(changed func(name string, value []byte)) (stop func(), err error) {
	w := &variableWatcher{changed}
	c.variables.add(w)
	if err := c.askVariables(); err != nil {
		c.variables.remove(w)
		return nil, fmt.Errorf("watch variables: %w", err)
	}
	return func() { c.variables.remove(w) }, nil
}

// askVariables asks the hub for all variables, if there is a connection.
func (c *Client) askVariables() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tell(func() {}, func(buf []byte) []byte { return wire.AppendFrame(buf, wire.CmdAllVariables, nil) })
}

// Variable returns a copy of the value that the hub told last, and whether
// there is one. A hub tells nothing before somebody watches. At most 100,000
// variables with 16 MiB are remembered.
func (c *Client) Variable(name string) (value []byte, ok bool) {
	v := &c.variables
	v.mu.Lock()
	defer v.mu.Unlock()
	value, ok = v.values[name]
	return bytes.Clone(value), ok
}

// set remembers what the hub tells. It returns false when that is too much.
func (v *variables) set(name string, value []byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old, ok := v.values[name]; ok {
		v.size -= len(name) + len(old)
		delete(v.values, name)
	}
	if len(value) == 0 {
		return true
	}
	size := len(name) + len(value)
	if len(v.values) >= maxVariables || v.size+size > maxVariableBytes {
		return false
	}
	if v.values == nil {
		v.values = make(map[string][]byte)
	}
	v.values[name] = bytes.Clone(value)
	v.size += size
	return true
}

// forget is for a new connection: another hub may be at its end.
func (v *variables) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.values)
	v.size = 0
}

func (v *variables) add(w *variableWatcher) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.watchers = append(slices.Clone(v.watchers), w)
}

func (v *variables) remove(w *variableWatcher) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.watchers = slices.DeleteFunc(slices.Clone(v.watchers), func(other *variableWatcher) bool { return other == w })
}

func (v *variables) watched() []*variableWatcher {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.watchers
}

// dispatch tells the watchers of a change. The payload was parsed before.
func (v *variables) dispatch(payload []byte) {
	changed, _ := wire.ParseSetVariable(payload)
	for _, w := range v.watched() {
		w.changed(changed.Name, changed.Value)
	}
}
