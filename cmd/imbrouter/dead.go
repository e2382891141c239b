package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/config"
	routerdaemon "imbrouter/router/daemon"
	"imbrouter/router/deadletter"
)

func deadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Show, send again or remove signals that failed",
		Long: `Show, send again or remove the dead letters of a configuration: signals that a
route could not deliver, which "imbrouter run" keeps in state_dir. It may be
running. For files there are the folders failed/ instead.`,
		Example: `  imbrouter dead list examples/quickstart.toml
  imbrouter dead replay examples/quickstart.toml --all`,
		Args: withUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(deadListCommand(), deadShowCommand(), deadRemoveCommand(), deadReplayCommand())
	return cmd
}

func deadListCommand() *cobra.Command {
	var route string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list FILE",
		Short: "List the dead letters, oldest first for each route",
		Example: `  imbrouter dead list examples/quickstart.toml --route alarms
  imbrouter dead list examples/quickstart.toml --json | jq .error`,
		Args: withUsage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(args[0], kinds)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			encoder := json.NewEncoder(out)
			encoder.SetEscapeHTML(false)
			printed := false
			err = eachLetter(cmd, cfg, route, func(l deadletter.Letter) error {
				first := !printed
				printed = true
				if asJSON {
					return encoder.Encode(l)
				}
				const row = "%-13s  %-19s  %-12s  %-20s  %9s  %s\n"
				if first {
					fmt.Fprintf(out, row, "ID", "TIME", "ROUTE", "EVENT", "SIZE", "ERROR")
				}
				_, err := fmt.Fprintf(out, row, printable(l.ID), l.Time.Local().Format(time.DateTime), printable(l.Route), printable(l.FullName()),
					humanize.IBytes(uint64(len(l.Data))), escaped(l.Error))
				return err
			})
			if err == nil && !printed {
				fmt.Fprintf(cmd.ErrOrStderr(), "nothing to show of the dead letters in %q\n", letterDir(cfg))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&route, "route", "", "only of this route")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

func deadShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show FILE ID",
		Short:   "Show all of a dead letter",
		Example: "  imbrouter dead show examples/quickstart.toml 2uq7o1c5d8g0a",
		Args:    withUsage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(args[0], kinds)
			if err != nil {
				return err
			}
			l, err := deadletter.Get(letterDir(cfg), args[1])
			if err != nil {
				return err
			}
			data := wire.Describe(l.Kind, l.Data)
			if text, ok := l.Text(); ok {
				data = text
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(),
				"id      %s\ntime    %s\nroute   %s\nsource  %s\nsinks   %s\nevent   %s\nkind    %s\ntick    %d\nsize    %d\nerror   %s\n\n%s\n",
				printable(l.ID), l.Time.Local().Format("2006-01-02 15:04:05.000"), printable(l.Route), printable(l.Source),
				printable(cmp.Or(strings.Join(l.Sinks, ", "), "all")), printable(l.FullName()), l.Kind, l.Tick, len(l.Data), escaped(l.Error), data)
			return err
		},
	}
}

func deadRemoveCommand() *cobra.Command {
	var choice deadChoice
	cmd := &cobra.Command{
		Use:     "remove FILE ID...",
		Short:   "Remove dead letters",
		Example: "  imbrouter dead remove examples/quickstart.toml --all --route alarms",
		Args:    withUsage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, letters, err := choice.load(cmd, args)
			if err != nil {
				return err
			}
			n, err := deadletter.Remove(letterDir(cfg), letterIDs(letters)...)
			fmt.Fprintf(cmd.ErrOrStderr(), "removed: %s\n", count(n, "dead letter"))
			return err
		},
	}
	choice.register(cmd)
	return cmd
}

func deadReplayCommand() *cobra.Command {
	var choice deadChoice
	var logs logFlags
	cmd := &cobra.Command{
		Use:   "replay FILE ID...",
		Short: "Send dead letters along their route again, and remove those that got through",
		Long: `Send dead letters along their route again: through its expressions as they are
now, to the sinks that have not got them. Those that got through are removed; one
that got through to some sinks is kept for the others. The exit code is 1 when some
did not get through.`,
		Example: "  imbrouter dead replay examples/quickstart.toml --all --route alarms",
		Args:    withUsage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, letters, err := choice.load(cmd, args)
			if err != nil {
				return err
			}
			log, err := logs.logger(cmd, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			byRoute := map[string][]deadletter.Letter{}
			for _, l := range letters {
				byRoute[l.Route] = append(byRoute[l.Route], l)
			}
			replayed := 0
			for _, route := range slices.Sorted(maps.Keys(byRoute)) {
				outcomes, err := routerdaemon.Replay(cmd.Context(), cfg, route, byRoute[route], log)
				for i, o := range outcomes {
					if o.Err != nil {
						fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", byRoute[route][i].ID, o.Err)
					}
				}
				n, settleErr := routerdaemon.Settle(letterDir(cfg), byRoute[route], outcomes)
				replayed += n
				if err := errors.Join(err, settleErr); err != nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "route %q: %v\n", route, err)
				}
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "replayed: %d of %s\n", replayed, count(len(letters), "dead letter"))
			if replayed < len(letters) {
				return fmt.Errorf("%s did not get through", count(len(letters)-replayed, "dead letter"))
			}
			return context.Cause(cmd.Context())
		},
	}
	choice.register(cmd)
	logs.register(cmd)
	return cmd
}

// letterDir returns where the dead letters of a configuration are.
func letterDir(cfg *config.Config) string { return deadletter.Dir(cfg.Router.StateDir, cfg.Path) }

// eachLetter does something with the letters of a route, or of all. What cannot
// be read is told of at the end, and so is a route that nothing is known of; a
// route that the configuration had once may have left letters.
func eachLetter(cmd *cobra.Command, cfg *config.Config, route string, do func(deadletter.Letter) error) error {
	dir := letterDir(cfg)
	known := route == "" || slices.ContainsFunc(cfg.Routes, func(r router.Route) bool { return r.Name == route })
	damaged, err := eachReadable(cmd.Context(), deadletter.List(dir, route), func(l deadletter.Letter) error {
		known = true
		return do(l)
	})
	if damaged > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s of the dead letters in %q cannot be read\n", count(damaged, "line"), dir)
	}
	if err == nil && !known {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: there is no route %q in %s, and no dead letter of it\n", route, cfg.Path)
	}
	return err
}

// deadChoice are the flags that choose letters beside their ids.
type deadChoice struct {
	all   bool
	route string
}

func (c *deadChoice) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.all, "all", false, "all of them, in place of IDs")
	cmd.Flags().StringVar(&c.route, "route", "", "with --all: only those of this route")
}

// load returns the configuration that the first argument names, and its letters
// that the others and the flags choose.
func (c *deadChoice) load(cmd *cobra.Command, args []string) (*config.Config, []deadletter.Letter, error) {
	cfg, err := config.Load(args[0], kinds)
	if err != nil {
		return nil, nil, err
	}
	letters, err := c.letters(cmd, cfg, args[1:])
	return cfg, letters, err
}

// letters returns the letters that are chosen, which are all there.
func (c *deadChoice) letters(cmd *cobra.Command, cfg *config.Config, ids []string) (letters []deadletter.Letter, err error) {
	if c.all == (len(ids) > 0) {
		return nil, usage(cmd, errors.New("give either IDs or --all"))
	}
	if c.route != "" && !c.all {
		return nil, usage(cmd, errors.New("--route goes with --all"))
	}
	err = eachLetter(cmd, cfg, c.route, func(l deadletter.Letter) error {
		if c.all || slices.Contains(ids, l.ID) {
			letters = append(letters, l)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	found := letterIDs(letters)
	for _, id := range ids {
		if !slices.Contains(found, id) {
			return nil, fmt.Errorf("%w: %q", deadletter.ErrNotFound, id)
		}
	}
	return letters, nil
}

func letterIDs(letters []deadletter.Letter) []string {
	ids := make([]string, len(letters))
	for i, l := range letters {
		ids[i] = l.ID
	}
	return ids
}
