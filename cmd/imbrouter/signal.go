package main

import (
	"bufio"
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
		RunE: func(cmd *cobra.Command, args []string) error {
			var flags wire.Flags
			if priority {
				flags = wire.Priority
			}
			return client.publish(cmd, args[0], func(event *imb.Event) error {
				send := func(text string) error {
					return event.Send(cmd.Context(), imb.Message{Kind: wire.NormalEvent, Flags: flags, Data: wire.AppendString(nil, text)})
				}
				if args[1] == "-" {
					return eachLine(cmd.InOrStdin(), send)
				}
				return send(args[1])
			})
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
