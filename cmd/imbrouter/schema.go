package main

import (
	"github.com/spf13/cobra"

	"imbrouter/router/config"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of configurations, with which editors help to write them",
		Long: `Print the JSON Schema of configurations. An editor that knows TOML and schemas
offers keys and values with it, says what they mean, and underlines what is wrong.
Put it beside a configuration, and name it in the first line of that:

  #:schema imbrouter.schema.json

An editor does not see everything that "imbrouter validate" does: names that stand
for nothing, expressions, sizes and durations beyond a limit, loops.`,
		Example: "  imbrouter schema >imbrouter.schema.json",
		Args:    withUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := config.Schema(kinds)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}
