package imb

import (
	"context"
	"fmt"

	"imbrouter/imb/wire"
)

// ModelStatus is the status of a model: of a client that has told what it does.
type ModelStatus struct {
	ClientID uint32 // the model's unique client id
	Model    string // its owner name, with the federation
	wire.ModelStatus
	Gone bool // there is no status any more
}

// SetModelStatus tells everybody what this client does, and how far it is. The
// model is called like the client, [Options].OwnerName in its federation. It is
// a variable of the hub, and is removed when the connection ends; after a
// reconnect the program sets it again, see Options.OnState. It fails like
// SetVariable.
func (c *Client) SetModelStatus(ctx context.Context, state wire.ModelState, progress int32) error {
	return c.setModelStatus(ctx, wire.AppendModelStatus(nil, wire.ModelStatus{State: state, Progress: progress}))
}

// RemoveModelStatus takes back what SetModelStatus has told.
func (c *Client) RemoveModelStatus(ctx context.Context) error { return c.setModelStatus(ctx, nil) }

func (c *Client) setModelStatus(ctx context.Context, value []byte) error {
	return c.SetPrefixedVariable(ctx, wire.PrefixUniqueClientID, wire.ModelStatusName(c.FullName(c.opt.OwnerName)), value)
}

// WatchModelStatus calls changed with the status of every model, and then with
// each change, until stop is called. It is like WatchVariables.
func (c *Client) WatchModelStatus(changed func(ModelStatus)) (stop func(), err error) {
	return c.WatchVariables(func(name string, value []byte) {
		id, model, ok := wire.ParseModelStatusName(name)
		if !ok {
			return
		}
		s := ModelStatus{ClientID: id, Model: model, Gone: len(value) == 0}
		if !s.Gone {
			var err error
			if s.ModelStatus, err = wire.ParseModelStatus(value); err != nil {
				c.malformed(fmt.Errorf("variable %q: %w", name, err))
				return
			}
		}
		changed(s)
	})
}
