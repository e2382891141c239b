package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"imbrouter/router/config"
	"imbrouter/router/filter"
	"imbrouter/router/trial"
)

func evalCommand() *cobra.Command {
	var given givenFlags
	cmd := &cobra.Command{
		Use:   "eval EXPRESSION",
		Short: "Evaluate an expression on a message that flags describe",
		Long: `Evaluate an expression, such as a "when" or "set" has, on a message that flags
describe, and print the value and its type. A message is a file with --file, a
stream with --stream, and a signal otherwise. The exit code is 78 for an
expression that is wrong, 1 for one that fails on the message.`,
		Example: `  imbrouter eval '(json?.level ?? 0) >= 3' --event alarms.pump3 --text '{"level": 4}'
  imbrouter eval 'split(path, "/")[0] + "-" + event' --file reports/may.csv --event files`,
		Args: withUsage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flagFault(cmd, given.Fault); err != nil {
				return err
			}
			e, err := filter.CompileExpression(args[0])
			if err != nil {
				return config.ExpressionErrors(args[0], err)
			}
			federation := ""
			if given.Federation != nil {
				federation = *given.Federation
			}
			v, err := trial.NewMessage(given.Given, federation).Eval(e)
			if err != nil {
				return fmt.Errorf("the expression fails on this message\n%v", config.ExpressionErrors(args[0], err))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s (%s)\n", trial.Show(v), filter.TypeName(v))
			return nil
		},
	}
	given.register(cmd)
	return cmd
}
