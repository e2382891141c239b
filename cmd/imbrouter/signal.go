package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"imbrouter/imb"
	"imbrouter/imb/wire"
)

func signalCommand() *cobra.Command {
	var client clientFlags
	var priority bool
	cmd := &cobra.Command{
		Use:   "signal EVENT TEXT",
		Short: "Send a text as a signal",
		Long: `Send a text as a normal event, and end when the hub has taken it. With "-" for
TEXT every line of standard input is a signal.`,
		Example: `  imbrouter signal demo.alarms 'pump 3 is down'
  tail -f readings.log | imbrouter signal demo.readings -`,
		Args: withUsage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx := cmd.Context()
			c, err := client.connect(ctx, cmd)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, disconnect(ctx, c)) }()
			event, err := c.Publish(args[0])
			if err != nil {
				return err
			}
			var flags wire.Flags
			if priority {
				flags = wire.Priority
			}
			send := func(text string) error {
				return event.Send(ctx, imb.Message{Kind: wire.NormalEvent, Flags: flags, Data: wire.AppendString(nil, text)})
			}
			if args[1] == "-" {
				err = eachLine(cmd.InOrStdin(), send)
			} else {
				err = send(args[1])
			}
			if err != nil {
				return err
			}
			return confirm(ctx, cmd, c, event)
		},
	}
	client.register(cmd)
	cmd.Flags().BoolVar(&priority, "priority", false, "set the priority flag")
	return cmd
}

func eachLine(r io.Reader, do func(string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, wire.MaxEventData)
	for lines.Scan() {
		if err := do(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
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
