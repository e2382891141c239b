package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
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
		RunE: func(cmd *cobra.Command, args []string) error {
			var flags wire.Flags
			if priority {
				flags = wire.Priority
			}
			return client.publish(cmd, args[0], func(s *session, event *imb.Event) error {
				send := func(text string) error {
					return event.Send(cmd.Context(), imb.Message{Kind: wire.NormalEvent, Flags: flags, Data: wire.AppendString(nil, text)})
				}
				var err error
				if args[1] == "-" {
					err = eachLine(input(cmd), send)
				} else {
					err = send(args[1])
				}
				return errors.Join(err, s.confirm(cmd.Context())) // also what came before a line that failed
			})
		},
	}
	client.register(cmd)
	cmd.Flags().BoolVar(&priority, "priority", false, "set the priority flag")
	return cmd
}

// maxText is the longest text that a signal can hold, in bytes.
const maxText = wire.MaxEventData - 4

// eachLine calls do with each line of r until one fails.
func eachLine(r io.Reader, do func(string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxText+len("\r\n"))
	n := 1
	for ; lines.Scan(); n++ {
		if err := do(lines.Text()); err != nil {
			return fmt.Errorf("line %d of standard input: %w", n, err)
		}
	}
	err := lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("longer than %s, which no signal can hold; the lines before it are sent", humanize.IBytes(maxText))
	}
	if err != nil {
		return fmt.Errorf("line %d of standard input: %w", n, err)
	}
	return nil
}
