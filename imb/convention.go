package imb

import (
	"context"

	"imbrouter/imb/wire"
)

// SignalFocus tells those who handle it in this federation where to look. It
// publishes the event, and fails like Publish and Send.
func (c *Client) SignalFocus(ctx context.Context, x, y float64) error {
	return c.signalConvention(ctx, wire.FocusEvent, wire.AppendFocus(nil, wire.FocusData{X: x, Y: y}))
}

// HandleFocus subscribes the event that SignalFocus is about and calls h with
// what comes on it, like Event.Handle, until remove is called. The event stays
// subscribed. It fails like Event.Subscribe.
func (c *Client) HandleFocus(h func(x, y float64)) (remove func(), err error) {
	return handleConvention(c, wire.FocusEvent, wire.ParseFocus,
		func(f wire.FocusData) { h(f.X, f.Y) })
}

// SignalSession tells those who handle it in this federation that the session
// goes on in another: its id, and its name. It publishes the event, and fails
// like Publish and Send.
func (c *Client) SignalSession(ctx context.Context, id int32, federation string) error {
	return c.signalConvention(ctx, wire.SessionEvent, wire.AppendChangeObject(nil,
		wire.ChangeObjectData{Action: wire.ActionChange, ObjectID: id, Attribute: federation}))
}

// HandleSession subscribes the event that SignalSession is about and calls h with
// what comes on it, like Event.Handle, until remove is called. The event stays
// subscribed. It fails like Event.Subscribe. The client itself stays in its
// federation: the program connects another one if it wants to follow.
func (c *Client) HandleSession(h func(id int32, federation string)) (remove func(), err error) {
	parse := func(data []byte) (wire.ChangeObjectData, error) {
		s, _, err := wire.ParseChangeObject(data)
		return s, err
	}
	return handleConvention(c, wire.SessionEvent, parse,
		func(s wire.ChangeObjectData) { h(s.ObjectID, s.Attribute) })
}

func (c *Client) signalConvention(ctx context.Context, name string, data []byte) error {
	e, err := c.Publish(name)
	if err != nil {
		return err
	}
	return e.Signal(ctx, wire.ChangeObject, data)
}

func handleConvention[T any](c *Client, name string, parse func([]byte) (T, error), h func(T)) (remove func(), err error) {
	e := c.Event(name)
	remove = handleParsed(e, wire.ChangeObject, parse, func(_ Message, v T) { h(v) })
	if err := e.Subscribe(); err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}
