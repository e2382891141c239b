package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"imbrouter/cmd/imbrouter/internal/bench"
	"imbrouter/router/config"
)

// benchFlags are the flags of all commands that measure.
type benchFlags struct {
	rounds int
	folder string
	json   bool
}

func benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast this machine and this program are",
		Long: `Measure how fast the program is, beside its ceiling: the same work done by the
simplest possible programs on the same machine. Both take turns in processes of
their own, and what is printed is the median of the rounds. When the machine has
other work to do the figures say little, but their ratio still says something.`,
		Example: `  imbrouter bench all
  imbrouter bench signals --payload 1024 --subscribers 4
  imbrouter bench files --size 64MiB --folder /data`,
		Args: withUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().IntVar(&f.rounds, "rounds", 3, "how often each side takes its turn, 1 to 100")
	cmd.PersistentFlags().StringVar(&f.folder, "folder", os.TempDir(), "work in a new folder in this one, on whose disk files land")
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.AddCommand(
		benchSignals(&f), benchRelay(&f), benchFiles(&f), benchLatency(&f), benchAll(&f), benchCeiling(),
	)
	return cmd
}

// signalFlags say which signals are sent.
func signalFlags(cmd *cobra.Command, s *bench.Signals) {
	cmd.Flags().IntVar(&s.Payload, "payload", 140, "bytes of data in a signal, 9 to 65536")
	cmd.Flags().IntVar(&s.Count, "count", s.Count, "signals in a round")
}

// checkSignals finds what is wrong with the command line.
func checkSignals(s bench.Signals) error {
	switch {
	case s.Payload < bench.MinPayload || s.Payload > 64<<10:
		return fmt.Errorf("--payload %d: want %d to 65536", s.Payload, bench.MinPayload)
	case s.Count < 1:
		return fmt.Errorf("--count %d: want 1 or more", s.Count)
	case s.Publishers < 1 || s.Publishers > maxCrowd:
		return fmt.Errorf("--publishers %d: want 1 to %d", s.Publishers, maxCrowd)
	case s.Subscribers < 1 || s.Subscribers > maxCrowd:
		return fmt.Errorf("--subscribers %d: want 1 to %d", s.Subscribers, maxCrowd)
	}
	return nil
}

// maxCrowd is how many publishers, or subscribers, there can be.
const maxCrowd = 1000

func benchSignals(f *benchFlags) *cobra.Command {
	s := bench.Signals{Count: 2_000_000}
	var hub string
	cmd := &cobra.Command{
		Use:     "signals",
		Short:   "Signals through a hub, as many as it takes",
		Example: "  imbrouter bench signals --payload 1024 --subscribers 4\n  imbrouter bench signals --hub imb.example:4000",
		Args:    withUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkSignals(s); err != nil {
				return usage(cmd, err)
			}
			return f.run(cmd, []bench.Case{s.Through(hub)})
		},
	}
	signalFlags(cmd, &s)
	cmd.Flags().IntVar(&s.Publishers, "publishers", 1, "how many send")
	cmd.Flags().IntVar(&s.Subscribers, "subscribers", 1, "how many receive, each everything")
	cmd.Flags().StringVar(&hub, "hub", "", "address of the hub to measure (default one of our own)")
	return cmd
}

func benchRelay(f *benchFlags) *cobra.Command {
	s := bench.Signals{Publishers: 1, Subscribers: 1, Count: 1_000_000}
	cmd := &cobra.Command{
		Use:     "relay",
		Short:   "Signals through two hubs with a router between, without and with a filter",
		Example: "  imbrouter bench relay --payload 1024",
		Args:    withUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkSignals(s); err != nil {
				return usage(cmd, err)
			}
			return f.run(cmd, []bench.Case{s.Relayed(false), s.RelayedSafely(), s.Relayed(true)})
		},
	}
	signalFlags(cmd, &s)
	return cmd
}

func benchFiles(f *benchFlags) *cobra.Command {
	files := bench.Files{Count: 1}
	large := sizeFlag(256 << 20)
	cmd := &cobra.Command{
		Use:   "files",
		Short: "Files from a folder through a hub into a folder",
		Long: `Files from a folder through a hub into a folder, where they are on disk before
they count. For one file the ceiling is the same chain, for several it is a loop
that makes them, and for the second line one that is as safe as the program.`,
		Example: "  imbrouter bench files --size 1GiB\n  imbrouter bench files --size 1KiB --count 5000 --folder /data",
		Args:    withUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			files.Size = int64(large)
			switch {
			case files.Count < 1:
				return usage(cmd, fmt.Errorf("--count %d: want 1 or more", files.Count))
			case files.Count > 1:
				return f.run(cmd, []bench.Case{files.Small(), files.SmallSafely()})
			}
			return f.run(cmd, []bench.Case{files.Chain(false, bench.DefaultChunk), files.Chain(true, bench.DefaultChunk)})
		},
	}
	cmd.Flags().Var(&large, "size", "of each file")
	cmd.Flags().IntVar(&files.Count, "count", 1, "files in a round")
	return cmd
}

func benchLatency(f *benchFlags) *cobra.Command {
	s := bench.Signals{Publishers: 1, Subscribers: 1, Count: 20_000}
	var hub string
	files := bench.Files{Size: 1 << 10}
	cmd := &cobra.Command{
		Use:     "latency",
		Short:   "How long a signal and a small file take when nothing else is done",
		Example: "  imbrouter bench latency --hub imb.example:4000",
		Args:    withUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkSignals(s); err != nil {
				return usage(cmd, err)
			}
			if files.Count < 1 {
				return usage(cmd, fmt.Errorf("--files %d: want 1 or more", files.Count))
			}
			cases := []bench.Case{s.OneByOne(hub)}
			if c, ok := files.OneByOne(); ok {
				cases = append(cases, c)
			}
			return f.run(cmd, cases)
		},
	}
	signalFlags(cmd, &s)
	cmd.Flags().IntVar(&files.Count, "files", 200, "files in a round")
	cmd.Flags().StringVar(&hub, "hub", "", "address of the hub to measure signals through (default one of our own)")
	return cmd
}

func benchAll(f *benchFlags) *cobra.Command {
	var scale float64
	cmd := &cobra.Command{
		Use:   "all",
		Short: "Everything, with what is to be reached; it takes several minutes and 2 GiB of disk",
		Long: `Everything that the program is measured by, with what it is to reach on two
processors, and whether it does. It takes several minutes and 2 GiB of disk.`,
		Example: "  imbrouter bench all --scale 0.1",
		Args:    withUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if scale <= 0 || scale > 100 {
				return usage(cmd, fmt.Errorf("--scale %v: want more than 0, at most 100", scale))
			}
			return f.run(cmd, bench.All(scale))
		},
	}
	cmd.Flags().Float64Var(&scale, "scale", 1, "multiply the amounts of work: less is quicker and says less")
	return cmd
}

// benchCeiling is what the others run for the ceiling's part.
func benchCeiling() *cobra.Command {
	return &cobra.Command{
		Use:    "ceiling",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			log := slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
			return bench.Ceiling(cmd.Context(), cmd.InOrStdin(), log, args)
		},
	}
}

// run measures cases and prints what came out, also of those before one that
// failed.
func (f *benchFlags) run(cmd *cobra.Command, cases []bench.Case) error {
	if f.rounds < 1 || f.rounds > 100 {
		return usage(cmd, fmt.Errorf("--rounds %d: want 1 to 100", f.rounds))
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	rows, err := bench.Run(cmd.Context(), bench.Options{
		Program: program, Rounds: f.rounds, Folder: f.folder,
		Progress: func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) },
	}, cases)
	if f.json {
		return errors.Join(err, bench.WriteJSON(cmd.OutOrStdout(), f.rounds, rows))
	}
	return errors.Join(err, bench.WriteTable(cmd.OutOrStdout(), rows))
}

// sizeFlag is a flag with a size as configurations have them.
type sizeFlag config.Size

// Set implements pflag.Value.
func (s *sizeFlag) Set(text string) error { return (*config.Size)(s).UnmarshalText([]byte(text)) }

// String implements pflag.Value.
func (s *sizeFlag) String() string { return config.Size(*s).String() }

// Type implements pflag.Value: it stands for the value in the help.
func (s *sizeFlag) Type() string { return "size" }
