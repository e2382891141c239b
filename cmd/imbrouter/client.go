package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"imbrouter/imb"
)

// closeTimeout is how long the last bytes may take to leave.
const closeTimeout = 5 * time.Second

// clientFlags are the flags of commands that talk to a hub.
type clientFlags struct {
	hub        string
	federation string
	ownerID    int32
	ownerName  string
}

func (f *clientFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.hub, "hub", "localhost:4000", "address of the hub")
	cmd.Flags().StringVar(&f.federation, "federation", "", "put this federation and a dot before event names; without it they are full names")
	cmd.Flags().Int32Var(&f.ownerID, "owner-id", 0, "owner id to show to the hub")
	cmd.Flags().StringVar(&f.ownerName, "owner-name", "imbrouter", "owner name to show to the hub")
}

// connect connects to the hub. When the connection is lost later, the client
// comes back by itself, and whoever typed the command is told of both.
func (f *clientFlags) connect(ctx context.Context, cmd *cobra.Command) (*imb.Client, error) {
	connected := false
	c, err := imb.Connect(ctx, imb.Options{
		Address: f.hub, Federation: f.federation, OwnerID: f.ownerID, OwnerName: f.ownerName,
		OnState: func(state imb.State, cause error) {
			switch {
			case state == imb.Connecting && connected:
				fmt.Fprintf(cmd.ErrOrStderr(), "lost the hub %s: %v\n", f.hub, cause)
			case state == imb.Connected && connected:
				fmt.Fprintf(cmd.ErrOrStderr(), "the hub %s is back\n", f.hub)
			}
			connected = connected || state == imb.Connected
		},
	})
	if err != nil {
		return nil, unreachableError{err}
	}
	return c, nil
}

// unreachableError is a hub that does not answer.
type unreachableError struct{ error }

func (e unreachableError) Unwrap() error { return e.error }

// publish connects, lets send use the event, waits until the hub has taken what
// was sent, and disconnects.
func (f *clientFlags) publish(cmd *cobra.Command, name string, send func(*imb.Event) error) (err error) {
	ctx := cmd.Context()
	c, err := f.connect(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disconnect(ctx, c)) }()
	event, err := c.Publish(name)
	if err != nil {
		return err
	}
	if err := send(event); err != nil {
		return err
	}
	return confirm(ctx, cmd, c, event)
}

// confirm waits until the hub has taken everything that was sent, and warns
// when it knows nobody who gets it.
func confirm(ctx context.Context, cmd *cobra.Command, c *imb.Client, event *imb.Event) error {
	if err := c.Flush(ctx); err != nil {
		return fmt.Errorf("the hub did not confirm: %w", err)
	}
	if !event.HasSubscribers() {
		fmt.Fprintf(cmd.ErrOrStderr(), "Nobody subscribes to %s as far as the hub tells.\n", event.Name())
	}
	return nil
}

// disconnect says good-bye, also when ctx has ended.
func disconnect(ctx context.Context, c *imb.Client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return c.Close(ctx)
}
