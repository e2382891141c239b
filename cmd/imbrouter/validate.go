package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"imbrouter/router/config"
)

func validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check configuration files and say everything that is wrong with them",
		Long: `Check configuration files: syntax, keys, types, names, expressions, and whether
routes form a loop. Every error is named with its place. Nothing is run, and no
file or socket is touched. The exit code is 0 when all are valid, 78 otherwise.`,
		Example: "  imbrouter validate examples/*.toml",
		Args:    withUsage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var all config.Errors
			for _, path := range args {
				cfg, err := config.Load(path, kinds)
				var invalid config.Errors
				switch {
				case errors.As(err, &invalid):
					all = append(all, invalid...)
				case err != nil:
					return err
				default:
					for _, w := range cfg.Warnings {
						fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%s: valid: %s, %s, %s\n", path,
						count(len(cfg.Sources), "source"), count(len(cfg.Sinks), "sink"), count(len(cfg.Routes), "route"))
				}
			}
			if len(all) > 0 {
				return all
			}
			return nil
		},
	}
}

// count says how many there are of a thing.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
