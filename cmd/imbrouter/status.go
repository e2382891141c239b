package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"imbrouter/router/admin"
	"imbrouter/router/config"
)

// askTimeout is how long a router may take to say how it is.
const askTimeout = 10 * time.Second

// adminFlags find the router that a command asks.
type adminFlags struct{ socket, tokenFile string }

// errNoAddress is wrapped when a configuration lets nobody ask.
var errNoAddress = errors.New("no admin address")

// adminArgs are those of a command that asks a router.
var adminArgs = withUsage(cobra.MaximumNArgs(1))

func (f *adminFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.socket, "socket", "",
		`ask at this address, such as "/run/imbrouter/imbrouter.admin.sock" or "127.0.0.1:9400", in place of that in FILE`)
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "with --socket: the file with the token that is needed there")
}

// client returns a client of the router that runs a configuration, or answers at
// --socket.
func (f *adminFlags) client(cmd *cobra.Command, args []string) (*admin.Client, error) {
	switch {
	case (f.socket == "") == (len(args) == 0):
		return nil, usage(cmd, errors.New("name either the FILE that the router runs, or its --socket"))
	case f.socket == "" && f.tokenFile != "":
		return nil, usage(cmd, errors.New("--token-file goes with --socket; FILE names its own"))
	case strings.ContainsAny(f.socket, `/\`) && !strings.HasPrefix(f.socket, config.AdminSocket):
		return adminClient(config.AdminSocket+f.socket, f.tokenFile)
	case f.socket != "":
		return adminClient(f.socket, f.tokenFile)
	}
	a, err := config.LoadAdmin(args[0])
	if err != nil {
		return nil, err
	}
	if a.Listen == config.AdminOff {
		return nil, fmt.Errorf("%s has %w: `listen` in [admin] names one", args[0], errNoAddress)
	}
	return adminClient(a.Listen, a.TokenFile)
}

// adminClient returns a client with the token in a file, "" for none.
func adminClient(address, tokenFile string) (*admin.Client, error) {
	if tokenFile == "" {
		return admin.NewClient(address, ""), nil
	}
	token, err := admin.ReadToken(tokenFile)
	if err != nil {
		return nil, err
	}
	return admin.NewClient(address, token), nil
}

func statusCommand() *cobra.Command {
	var f adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status FILE",
		Short: "Say how the router that runs a configuration is",
		Long: `Ask the router that runs a configuration how it is: its routes, sources, sinks
and connections, what has passed through them since it started, what is in
transit, what failed last, and the last reload.

The exit code is 0 when it is healthy and ready: nothing hangs, the routes are up
and their hubs are connected. It is 1 when it is not, or does not answer.`,
		Example: `  imbrouter status examples/quickstart.toml
  imbrouter status --socket /run/imbrouter/imbrouter.admin.sock --json | jq .routes`,
		Args: adminArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := f.client(cmd, args)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askTimeout)
			defer cancel()
			status, err := client.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetEscapeHTML(false)
				out.SetIndent("", "  ")
				err = out.Encode(status)
			} else {
				err = printStatus(cmd.OutOrStdout(), status, time.Now())
			}
			if err != nil {
				return err
			}
			if !status.Healthy || !status.Ready {
				return errors.New("it is not well: " + escaped(strings.Join(status.Reasons, "; ")))
			}
			return nil
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs: the answer of /api/status")
	return cmd
}

// printStatus prints a status for people.
func printStatus(out io.Writer, s admin.Status, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "imbrouter %s runs %s for %s: %s\n", s.Version, s.Config, ago(now.Sub(s.Started)), health(s))
	if r := s.LastReload; r != nil {
		what := slices.Concat(r.Changes, r.Errors)
		for i, line := range what {
			what[i], _, _ = strings.Cut(line, "\n") // without the line of the file
		}
		fmt.Fprintf(w, "Reloaded %s ago: %s: %s\n", ago(now.Sub(r.At)), r.Outcome, cmp.Or(escaped(strings.Join(what, "; ")), "nothing has changed"))
	}
	if h := s.Hub; h != nil {
		fmt.Fprintf(w, "Hub %s: %s, %s, %s waiting\n", h.Listen, count(h.Connections, "client"), count(h.Events, "event"), size(int64(h.QueuedBytes)))
	}
	counts := func(c admin.Counts) string {
		return fmt.Sprintf("%d\t%d\t%d\t%d\t%s", c.Signals.Messages, c.Streams.Messages,
			c.Signals.NotTaken+c.Streams.NotTaken, c.Signals.Failed()+c.Streams.Failed(), size(int64(c.Signals.Bytes+c.Streams.Bytes)))
	}
	last := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return ago(now.Sub(t)) + " ago"
	}
	const columns = "STATE\tSIGNALS\tSTREAMS\tLEFT OUT\tFAILED\tBYTES\tLAST"
	fmt.Fprintf(w, "\nROUTE\t%s\tFROM -> TO\n", columns)
	for _, r := range s.Routes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s -> %s\n", r.Name, r.State, counts(r.Counts), last(r.LastSuccess),
			strings.Join(r.From, ", "), strings.Join(r.To, ", "))
	}
	for _, section := range []struct {
		title string
		parts []admin.Part
	}{{"SOURCE", s.Sources}, {"SINK", s.Sinks}} {
		fmt.Fprintf(w, "\n%s\t%s\tTYPE\n", section.title, columns)
		for _, p := range section.parts {
			about := p.Type
			switch {
			case p.Folder != "":
				about += " " + shortPath(p.Folder)
			case p.Connection != "":
				about += " " + p.Connection
			}
			if p.Waiting != nil && *p.Waiting > 0 {
				about += ", " + count(*p.Waiting, "file") + " to send"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.State, counts(p.Counts), last(p.LastSuccess), about)
		}
	}
	if len(s.Connections) > 0 {
		fmt.Fprint(w, "\nCONNECTION\tOF\tSTATE\tRECEIVED\tSENT\tQUEUED\tMADE\tERROR\n")
	}
	for _, c := range s.Connections {
		of := "source " + c.Source
		if c.Sink != "" {
			of = "sink " + c.Sink
		}
		if c.Relay {
			of += " (relay)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", c.Name, of, c.State, size(int64(c.BytesReceived)), size(int64(c.BytesSent)),
			size(int64(c.ReceiveQueue+c.SendQueue)), c.Connects, escaped(c.Error))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	printTransfers(w, s, now)
	printErrors(w, s, now)
	return w.Flush()
}

func health(s admin.Status) string {
	switch {
	case !s.Healthy:
		return "stuck"
	case !s.Ready:
		return string(s.Phase) + ", not ready"
	}
	return string(s.Phase) + ", ready"
}

// printTransfers prints what is in transit, if anything is.
func printTransfers(w io.Writer, s admin.Status, now time.Time) {
	if s.TransfersInAll == 0 {
		return
	}
	fmt.Fprintf(w, "\nIN TRANSIT\tDONE\tOF\tFOR\tFROM\n")
	for _, t := range s.Transfers {
		of := "?"
		if t.Size >= 0 {
			of = size(t.Size)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s %s\n", printable(t.Name), size(t.Done), of, ago(now.Sub(t.Started)), t.Source, printable(t.Event))
	}
	if more := s.TransfersInAll - len(s.Transfers); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
}

// printErrors prints what each part failed with last, with what it has failed of.
func printErrors(w io.Writer, s admin.Status, now time.Time) {
	title := "\nLAST ERRORS\n"
	one := func(kind, name string, c admin.Counts) {
		if c.LastError == nil {
			return
		}
		causes := map[string]uint64{}
		for _, failures := range []map[string]uint64{c.Signals.Failures, c.Streams.Failures} {
			for cause, n := range failures {
				causes[cause] += n
			}
		}
		var counts []string
		for _, cause := range slices.Sorted(maps.Keys(causes)) {
			counts = append(counts, fmt.Sprintf("%d %s", causes[cause], cause))
		}
		fmt.Fprintf(w, "%s%s %s\t%s ago\t%s\t%s\n", title, kind, name, ago(now.Sub(c.LastError.At)),
			strings.Join(counts, ", "), escaped(c.LastError.Error))
		title = ""
	}
	for _, r := range s.Routes {
		one("route", r.Name, r.Counts)
	}
	for _, p := range s.Sources {
		one("source", p.Name, p.Counts)
	}
	for _, p := range s.Sinks {
		one("sink", p.Name, p.Counts)
	}
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// ago is a duration to the second.
func ago(d time.Duration) string { return config.Duration(max(d, 0).Round(time.Second)).String() }
