package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"imbrouter/router/config"
	"imbrouter/router/journal"
)

func historyCommand() *cobra.Command {
	var h history
	cmd := &cobra.Command{
		Use:   "history FILE",
		Short: "Show what became of every file and stream",
		Long: `Show what became of the files and streams of a configuration, from the journal
that "imbrouter run" keeps in state_dir, oldest first. It may be running.

Outcomes are:
  ` + strings.Join(outcomeNames(), ", ") + `
"unconfirmed", that the last byte of a stream is about to be sent, is shown when
--outcome asks for it: what came of it follows.`,
		Example: `  imbrouter history examples/quickstart.toml --last 20
  imbrouter history /etc/imbrouter/imbrouter.toml --outcome failed,incomplete --since 24h
  imbrouter history examples/quickstart.toml --name '**/*.csv' --json | jq .reason`,
		Args: withUsage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := h.parse(time.Now()); err != nil {
				return usage(cmd, err)
			}
			cfg, err := config.Load(args[0], kinds)
			if err != nil {
				return err
			}
			return h.show(cmd, journal.Path(cfg.Router.StateDir, cfg.Path))
		},
	}
	f := cmd.Flags()
	f.StringVar(&h.filter.Route, "route", "", "only of this route")
	f.StringVar(&h.filter.Source, "source", "", "only of this source")
	f.StringVar(&h.filter.Sink, "sink", "", "only of this sink")
	f.StringVar(&h.filter.Event, "event", "", "only on the event with this full name")
	f.StringVar(&h.filter.Name, "name", "", `only of streams whose name matches this glob; "**" goes over "/"`)
	f.StringSliceVar(&h.outcomes, "outcome", nil, "only with these outcomes, separated by commas")
	f.StringVar(&h.since, "since", "", `only from this time on: "2h" ago, or "2026-05-04T03:02:01Z"`)
	f.StringVar(&h.until, "until", "", "only before this time, written like --since")
	f.IntVar(&h.last, "last", 0, "only so many, the newest (default: all)")
	f.BoolVar(&h.follow, "follow", false, "go on with what is to come, until stopped")
	f.BoolVar(&h.json, "json", false, "one JSON object a line")
	return cmd
}

// history is what the command line asks for.
type history struct {
	filter       journal.Filter
	outcomes     []string
	since, until string
	last         int
	follow, json bool
}

func outcomeNames() (names []string) {
	for _, o := range journal.Outcomes {
		names = append(names, string(o))
	}
	return names
}

// parse completes the filter.
func (h *history) parse(now time.Time) (err error) {
	switch {
	case h.last < 0:
		return fmt.Errorf("--last %d is negative; 0 shows all", h.last)
	case h.last > 0 && h.follow:
		return errors.New("--last and --follow do not go together; --since limits what is shown first")
	}
	if h.filter.Since, err = parseTime(h.since, now); err != nil {
		return fmt.Errorf("--since %w", err)
	}
	if h.filter.Until, err = parseTime(h.until, now); err != nil {
		return fmt.Errorf("--until %w", err)
	}
	if err := h.filter.Check(); err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	for _, o := range h.outcomes {
		if !slices.Contains(journal.Outcomes, journal.Outcome(o)) {
			return fmt.Errorf("--outcome %q: want one of %s", o, strings.Join(outcomeNames(), ", "))
		}
		h.filter.Outcomes = append(h.filter.Outcomes, journal.Outcome(o))
	}
	if len(h.outcomes) == 0 {
		h.filter.Outcomes = slices.DeleteFunc(slices.Clone(journal.Outcomes), func(o journal.Outcome) bool { return o == journal.Unconfirmed })
	}
	return nil
}

// parseTime reads a time, or how long ago it was. "" is no time.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago.Abs()), nil
	}
	for _, format := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(format, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf(`%q: want a time such as "2026-05-04T03:02:01Z" or "2026-05-04", or how long ago, such as "2h"`, text)
}

// show prints records. What cannot be read of the journal is told of at the end.
func (h *history) show(cmd *cobra.Command, path string) error {
	records := journal.Read(cmd.Context(), path, h.filter)
	if h.follow {
		records = journal.Follow(cmd.Context(), path, h.filter)
	}
	records = tellOfFiles(cmd.ErrOrStderr(), records)
	p := historyPrinter{out: cmd.OutOrStdout(), json: h.json}
	var last []journal.Record // with --last
	damaged, err := eachReadable(cmd.Context(), records, func(r journal.Record) error {
		if h.last == 0 {
			return p.print(r)
		}
		if last = append(last, r); len(last) >= 2*h.last {
			last = append(last[:0], last[len(last)-h.last:]...)
		}
		return nil
	})
	if h.follow && errors.Is(err, context.Canceled) {
		err = nil // stopped, as it is to be
	}
	for _, r := range last[max(0, len(last)-h.last):] {
		if err == nil {
			err = p.print(r)
		}
	}
	if damaged > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s of the journal %q cannot be read\n", count(damaged, "line"), path)
	}
	if err == nil && !p.printed {
		fmt.Fprintf(cmd.ErrOrStderr(), "nothing to show in the journal %q\n", path)
	}
	return err
}

// tellOfFiles returns the values without the errors about whole files, of which
// it warns.
func tellOfFiles(out io.Writer, records iter.Seq2[journal.Record, error]) iter.Seq2[journal.Record, error] {
	return func(yield func(journal.Record, error) bool) {
		for r, err := range records {
			if file := (*journal.FileError)(nil); errors.As(err, &file) {
				fmt.Fprintf(out, "warning: %v\n", file)
			} else if !yield(r, err) {
				return
			}
		}
	}
}

// eachReadable does something with the values of a file whose lines may be
// damaged, and returns the number of those that are. It fails when ctx ends
// first.
func eachReadable[T any](ctx context.Context, values iter.Seq2[T, error], do func(T) error) (damaged int, err error) {
	for v, err := range values {
		if err := ctx.Err(); err != nil {
			return damaged, fmt.Errorf("interrupted: %w", err)
		}
		var line *journal.LineError
		switch {
		case errors.As(err, &line):
			damaged++
		case err != nil:
			return damaged, err
		default:
			if err := do(v); err != nil {
				return damaged, err
			}
		}
	}
	return damaged, nil
}

// historyPrinter prints records: a table for people, or JSON.
type historyPrinter struct {
	out     io.Writer
	json    bool
	printed bool // something
}

// historyRow has columns of a fixed width, because rows come one by one.
const historyRow = "%-19s  %-14s  %-12s  %9s  %8s  %s\n"

func (p *historyPrinter) print(r journal.Record) error {
	first := !p.printed
	p.printed = true
	if p.json {
		out := json.NewEncoder(p.out)
		out.SetEscapeHTML(false)
		return out.Encode(r)
	}
	if first {
		if _, err := fmt.Fprintf(p.out, historyRow, "TIME", "OUTCOME", "ROUTE", "SIZE", "TOOK", "NAME"); err != nil {
			return err
		}
	}
	size := "?"
	if r.Size >= 0 {
		size = humanize.IBytes(uint64(r.Size))
	}
	took := ""
	if r.Duration > 0 {
		took = shortDuration(r.Duration)
	}
	name := printable(r.Name)
	if r.Reason != "" {
		name += ": " + escaped(r.Reason)
	}
	_, err := fmt.Fprintf(p.out, historyRow, r.Time.Local().Format(time.DateTime), r.Outcome, r.Route, size, took, name)
	return err
}

// escaped returns a sentence with what could upset a terminal escaped. Names in
// it have quotes already.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// shortDuration has three figures or so.
func shortDuration(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
