package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"imbrouter/imb"
	"imbrouter/router/tap"
)

func tapCommand() *cobra.Command {
	var client clientFlags
	var asJSON bool
	var count int
	cmd := &cobra.Command{
		Use:   "tap PATTERN...",
		Short: "Show what happens on events, a line each",
		Long: `Show what happens on events, a line each, until stopped. A PATTERN is a full
event name, or the beginning of one and "*". A stream is shown when it begins
and when it ends; its bytes are counted only. When what reads the output is too
slow, signals are left out, and standard error tells how many.`,
		Example: `  imbrouter tap 'demo.*'
  imbrouter tap --json demo.alarms | jq .text`,
		Args: withUsage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 0 {
				return usage(cmd, fmt.Errorf("--count %d is negative; 0 never stops", count))
			}
			for _, pattern := range args {
				if err := tap.Check(client.federation, pattern); err != nil {
					return usage(cmd, err)
				}
			}
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			c, err := client.connect(ctx, cmd)
			if err != nil {
				return err
			}
			p := &tapPrinter{
				out: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), json: asJSON, left: count, leftOut: &c.leftOut, stop: stop,
			}
			if err := tap.Subscribe(c.Client, p.print, args...); err != nil {
				return err
			}
			if err := c.Flush(ctx); err == nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "listening; Ctrl-C stops")
			}
			<-ctx.Done()
			signal.Reset(os.Interrupt, syscall.SIGTERM) // a second one ends it at once
			return p.finish(ctx, c.Client)
		},
	}
	client.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	cmd.Flags().IntVar(&count, "count", 0, "stop after so many lines (default: never)")
	return cmd
}

// tapPrinter prints lines. The client calls it from one goroutine.
type tapPrinter struct {
	out, stderr io.Writer
	json        bool
	left        int           // lines until it stops; 0: never; below 0: it has
	leftOut     *atomic.Int64 // signals that have not come here, since the last line that told of it
	stop        context.CancelFunc
}

func (p *tapPrinter) print(l tap.Line) {
	if p.left < 0 {
		return
	}
	p.tellLeftOut()
	var err error
	if p.json {
		err = json.NewEncoder(p.out).Encode(l)
	} else {
		_, err = fmt.Fprintf(p.out, "%s %s %s %s\n", l.Time.Format("15:04:05.000"), printable(l.Event), l.Kind, l.Shown)
	}
	switch {
	case err != nil || p.left == 1:
		p.left = -1
		p.stop()
	case p.left > 1:
		p.left--
	}
}

// finish disconnects, and returns when all that has come is printed. A line that
// nobody takes is left to the end of the process.
func (p *tapPrinter) finish(ctx context.Context, c *imb.Client) error {
	closed := make(chan error, 1)
	go func() { closed <- disconnect(ctx, c) }()
	select {
	case err := <-closed:
		p.tellLeftOut()
		return err
	case <-time.After(closeTimeout + time.Second):
		return errors.New("stopped before everything was shown: what reads the output takes nothing")
	}
}

// tellLeftOut tells of signals that are not shown because the lines before were
// not taken for imb.Options.BlockTimeout.
func (p *tapPrinter) tellLeftOut() {
	if n := p.leftOut.Swap(0); n > 0 {
		fmt.Fprintf(p.stderr, "%d signals were left out: what reads the output is too slow\n", n)
	}
}

// printable returns a name as it is, or quoted when it could upset a terminal.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted[1:len(quoted)-1] != name {
		return quoted
	}
	return name
}
