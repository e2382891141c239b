package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"imbrouter/router/admin"
)

const (
	// shortestInterval is the least time between two looks of top.
	shortestInterval = 100 * time.Millisecond
	// redraw goes to the upper left corner of a terminal and clears what is below.
	redraw = "\x1b[H\x1b[J"
)

func topCommand() *cobra.Command {
	var f adminFlags
	t := top{interval: time.Second}
	cmd := &cobra.Command{
		Use:   "top FILE",
		Short: "Show what passes through the routes, live",
		Long: `Show, again and again until stopped, what passes through each route of the router
that runs a configuration: messages and bytes in a second, what failed, and what
is in transit.`,
		Example: `  imbrouter top examples/quickstart.toml
  imbrouter top examples/quickstart.toml --interval 5s --count 3`,
		Args: adminArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if t.interval < shortestInterval || t.count < 0 {
				return usage(cmd, fmt.Errorf("--interval is at least %v, and --count at least 0", shortestInterval))
			}
			client, err := f.client(cmd, args)
			if err != nil {
				return err
			}
			return t.run(cmd, client)
		},
	}
	f.register(cmd)
	cmd.Flags().DurationVar(&t.interval, "interval", t.interval, "time between two looks")
	cmd.Flags().IntVar(&t.count, "count", 0, "look so often; 0: until stopped")
	return cmd
}

// top is what the command line asks for.
type top struct {
	interval time.Duration
	count    int
}

func (t *top) run(cmd *cobra.Command, client *admin.Client) error {
	out, ctx := cmd.OutOrStdout(), cmd.Context()
	separator := "\n"
	if o, ok := out.(*output); ok && isTerminal(o.Writer) {
		separator = redraw
	}
	before, at, err := look(ctx, client)
	for n := 1; err == nil; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(t.interval):
		}
		var now admin.Status
		var nowAt time.Time
		if now, nowAt, err = look(ctx, client); err != nil {
			break
		}
		if n > 1 || separator == redraw {
			fmt.Fprint(out, separator)
		}
		if _, err = out.Write(rates(before, now, at, nowAt)); err != nil {
			break
		}
		if n == t.count {
			return nil
		}
		before, at = now, nowAt
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func look(ctx context.Context, client *admin.Client) (admin.Status, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status, err := client.Status(ctx)
	return status, time.Now(), err
}

// rates draws what has passed between two looks.
func rates(before, now admin.Status, from, to time.Time) []byte {
	var drawn bytes.Buffer
	w := tabwriter.NewWriter(&drawn, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s  %s  for %s\n", now.Config, health(now), ago(to.Sub(now.Started)))
	fmt.Fprint(w, "\nROUTE\tSTATE\tSIGNALS/s\tSTREAMS/s\tBYTES/s\tLEFT OUT/s\tFAILED/s\tIN TRANSIT\tSIGNALS\tSTREAMS\tFAILED\n")
	earlier := map[string]admin.Counts{}
	for _, r := range before.Routes {
		earlier[r.Name] = r.Counts
	}
	seconds := to.Sub(from).Seconds()
	rate := func(now, before uint64) float64 {
		if now < before || before > 0 && seconds <= 0 { // a reload came between
			return 0
		}
		return float64(now-before) / seconds
	}
	for _, r := range now.Routes {
		b := earlier[r.Name]
		signals, streams := r.Signals, r.Streams
		failed := signals.Failed() + streams.Failed()
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\t%s\t%.1f\t%.1f\t%d\t%d\t%d\t%d\n", r.Name, r.State,
			rate(signals.Messages, b.Signals.Messages), rate(streams.Messages, b.Streams.Messages),
			size(int64(rate(signals.Bytes+streams.Bytes, b.Signals.Bytes+b.Streams.Bytes))),
			rate(signals.NotTaken+streams.NotTaken, b.Signals.NotTaken+b.Streams.NotTaken),
			rate(failed, b.Signals.Failed()+b.Streams.Failed()),
			r.Transfers, signals.Messages, streams.Messages, failed)
	}
	for _, p := range now.Sources {
		if p.Waiting != nil && *p.Waiting > 0 {
			fmt.Fprintf(w, "\n%s to send from %s", count(*p.Waiting, "file"), p.Name)
		}
	}
	w.Flush()
	printTransfers(w, now, to)
	for _, reason := range now.Reasons {
		fmt.Fprintf(w, "\n%s", escaped(reason))
	}
	w.Flush()
	if drawn.Bytes()[drawn.Len()-1] != '\n' {
		drawn.WriteByte('\n')
	}
	return drawn.Bytes()
}
