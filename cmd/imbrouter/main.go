// Command imbrouter routes the events of IMB hubs: it broadcasts what is put
// into a folder, collects what is sent as files, relays between federations and
// hubs, and runs a hub of its own. "imbrouter help" tells how.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"imbrouter/imb"
	"imbrouter/router/config"
)

// Exit codes. Those above 63 are the ones of BSD's sysexits, which service
// managers know.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitUnreachable = 69 // EX_UNAVAILABLE: no hub answers, or it was lost before it confirmed
	exitConfig      = 78 // EX_CONFIG: the configuration is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs one command line and returns the exit code. Programs read
// stdout, people stderr.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	out := &output{Writer: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = out.err
	}
	if err == nil {
		return 0
	}
	code := exitCode(err)
	if code == exitConfig {
		fmt.Fprintln(stderr, err)
	} else {
		fmt.Fprintf(stderr, "imbrouter: %v\n", err)
	}
	return code
}

// exitCode is the exit code of a command that fails.
func exitCode(err error) int {
	var invalid config.Errors
	var usage usageError
	var unreachable unreachableError
	var elsewhere invalidError
	switch {
	case errors.As(err, &invalid), errors.As(err, &elsewhere):
		return exitConfig
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unreachable), errors.Is(err, imb.ErrNotConnected), errors.Is(err, imb.ErrDisconnected):
		return exitUnreachable
	}
	return exitFailure
}

// output is the standard output. It remembers that it could not be written, so
// that a command that goes on to its end need not ask.
type output struct {
	io.Writer
	err error // the first
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("write to standard output: %w", err)
	}
	return n, err
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(cmd *cobra.Command, err error) error {
	return usageError{fmt.Errorf("%w\nTry: %s --help", err, cmd.CommandPath())}
}

// withUsage makes a failed check of the number of arguments a usage error, which
// names the one that is missing or too many as the command's Use does.
func withUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err == nil {
			return nil
		}
		names := strings.Fields(cmd.Use)[1:]
		switch {
		case cmd.HasSubCommands(): // an unknown one
		case len(args) < len(names):
			err = fmt.Errorf("missing argument: %s", strings.TrimSuffix(names[len(args)], "..."))
		case len(args) > len(names):
			err = fmt.Errorf("unexpected argument: %q", args[len(names)])
		}
		return usage(cmd, err)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "imbrouter",
		Short: "Route the events of IMB hubs: files to streams, streams to files, signals between federations",
		Long: `imbrouter connects folders and IMB hubs along the routes of a TOML file.

Drop a file into a folder, and everyone who subscribes to the event has it.
Streams that come in land as whole files. Signals pass between federations and
hubs, filtered and rewritten. A hub can run inside, so that nothing else is
needed on a laptop.`,
		Example: `  imbrouter run examples/quickstart.toml
  imbrouter tap 'demo.*'
  imbrouter send demo.files report.csv`,
		Args:              withUsage(cobra.NoArgs),
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		initCommand(), testCommand(), evalCommand(), explainCommand(), graphCommand(), doctorCommand(),
		completionCommand(), manCommand(),
		runCommand(), validateCommand(), hubCommand(),
		sendCommand(), signalCommand(), tapCommand(), historyCommand(), deadCommand(),
		statusCommand(), reloadCommand(), topCommand(), serviceCommand(), benchCommand(), schemaCommand(), versionCommand(),
	)
	return root
}
