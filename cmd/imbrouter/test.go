package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"imbrouter/router/config"
	"imbrouter/router/trial"
)

func testCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test FILE...",
		Short: "Run the [[tests]] of configuration files",
		Long: `Run the [[tests]] of configuration files: each gives a message to the routes,
and says what is to come to which sinks. No hub is needed, and no file or socket
is touched. An expression that fails on the message fails the test, unless that has
fails = true. The exit code is 0 when all pass, 1 when one does not, 78 for a
configuration that is wrong.

  [[tests]]
  name = "a level 4 alarm goes on, renamed"
  route = "alarms"
  given = { event = "alarms.pump3", text = '{"level": 4}' }
  expect = [{ sink = "city", event = "plant.alarms.pump3" }]`,
		Example: "  imbrouter test examples/*.toml",
		Args:    withUsage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ran, failed := 0, 0
			for _, path := range args {
				cfg, err := config.Load(path, kinds)
				if err != nil {
					return err
				}
				ran += len(cfg.Tests)
				failed += runTests(cmd, cfg)
			}
			if failed > 0 {
				return fmt.Errorf("%d of %s failed", failed, count(ran, "test"))
			}
			return nil
		},
	}
}

// runTests runs the tests of a configuration, and returns how many failed.
func runTests(cmd *cobra.Command, cfg *config.Config) (failed int) {
	for _, t := range cfg.Tests {
		if diff := trial.Test(cfg, t); diff != "" {
			failed++
			fmt.Fprintf(cmd.OutOrStdout(), "%s: FAIL: %s\n    %s\n", t.Place, printable(t.Name),
				strings.ReplaceAll(strings.TrimSuffix(diff, "\n"), "\n", "\n    "))
		}
	}
	switch n := len(cfg.Tests); {
	case n == 0:
		fmt.Fprintf(cmd.OutOrStdout(), "%s: no tests\n", cfg.Path)
	case failed == 0:
		fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: %s\n", cfg.Path, count(n, "test"))
	}
	return failed
}
