package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"imbrouter/imb"
	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/config"
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
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		settings := config.Connection{Address: f.hub, Federation: f.federation}
		return checkFlags(cmd, settings.Check)
	}
	cmd.Flags().StringVar(&f.hub, "hub", "localhost:4000", `address of the hub; "locate" looks for one on this network`)
	cmd.Flags().StringVar(&f.federation, "federation", "", "put this federation and a dot before event names; without it they are full names")
	cmd.Flags().Int32Var(&f.ownerID, "owner-id", 0, "owner id to show to the hub")
	cmd.Flags().StringVar(&f.ownerName, "owner-name", "imbrouter", "owner name to show to the hub")
}

// session is a command's connection to a hub.
type session struct {
	*imb.Client
	lost    atomic.Bool  // the connection was lost, whether it is back or not
	leftOut atomic.Int64 // signals that were received and that no handler got
}

// connect connects to the hub. When the connection is lost later, the client
// comes back by itself, and whoever typed the command is told of both.
func (f *clientFlags) connect(ctx context.Context, cmd *cobra.Command) (*session, error) {
	var s session
	connected := false
	c, err := imb.Connect(ctx, imb.Options{
		Address: f.hub, Federation: f.federation, OwnerID: f.ownerID, OwnerName: f.ownerName,
		OnState: func(state imb.State, cause error) {
			switch {
			case state == imb.Connecting && connected:
				s.lost.Store(true)
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", f.hub, cause)
			case state == imb.Connected && connected:
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: connected to the hub again\n", f.hub)
			}
			connected = connected || state == imb.Connected
		},
		// Who looks at the output of tap, and stops to read, must not hold up those
		// who send.
		BlockTimeout: time.Second,
		OnDrop:       func(imb.Message) { s.leftOut.Add(1) },
	})
	if err != nil {
		return nil, unreachableError{err}
	}
	s.Client = c
	return &s, nil
}

// unreachableError is a hub that does not answer.
type unreachableError struct{ error }

func (e unreachableError) Unwrap() error { return e.error }

// publish connects, lets send use the event, and disconnects. A nil error of
// send says that the hub has everything. When the hub knows nobody who gets it,
// there is a warning.
func (f *clientFlags) publish(cmd *cobra.Command, name string, send func(*session, *imb.Event) error) (err error) {
	if name == "" {
		return usage(cmd, errors.New("EVENT is empty"))
	}
	if strings.Contains(name, wire.Wildcard) {
		return usage(cmd, fmt.Errorf("EVENT %q: %q is for patterns of tap; name one event", name, wire.Wildcard))
	}
	if fault := config.NameFault(router.FullName(f.federation, name)); fault != "" {
		return usage(cmd, fmt.Errorf("EVENT: %s", fault))
	}
	ctx := cmd.Context()
	s, err := f.connect(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disconnect(ctx, s.Client)) }()
	event, err := s.Publish(name)
	if err != nil {
		return err
	}
	if err := s.Flush(ctx); err != nil { // so that it is known who subscribes
		return err
	}
	alone := !event.HasSubscribers()
	if err := send(s, event); err != nil {
		return err
	}
	if alone {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: sent, but the hub knows no subscriber of %q\n", event.Name())
	}
	return nil
}

// confirm waits until the hub has taken every signal that was sent. What was on
// its way when the connection was lost it may not have, even if a new one works.
func (s *session) confirm(ctx context.Context) error {
	err := s.Flush(ctx)
	if err == nil && s.lost.Load() {
		err = imb.ErrDisconnected
	}
	if err != nil {
		return fmt.Errorf("%w; what was sent before is not confirmed", err)
	}
	return nil
}

// disconnect says good-bye, also when ctx has ended.
func disconnect(ctx context.Context, c *imb.Client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return c.Close(ctx)
}

// input returns the standard input for a command that reads it to its end. It
// ends with an error when the command is interrupted, which a read of a terminal
// or a pipe does not by itself: that read is left to the end of the process.
func input(cmd *cobra.Command) io.Reader {
	ctx, stdin := cmd.Context(), cmd.InOrStdin()
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, stdin)
		w.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
	return r
}
