package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imbrouter/router/config"
	"imbrouter/router/filter"
	"imbrouter/router/trial"
)

func explainCommand() *cobra.Command {
	var given givenFlags
	cmd := &cobra.Command{
		Use:   "explain FILE",
		Short: "Show which routes of a configuration would take a message, and why",
		Long: `Show what each route of a configuration would do with a message that flags
describe: whether it takes it or else the first reason why not, the value of its
"when" and of its parts, what "set" changes, and the event or file that it becomes
in each sink. Nothing is run, no hub is needed, and no file is written.

A message is a file with --file, a stream with --stream, and a signal otherwise.
The path of a file is relative to the folder of a source, or leads into it; when
the file is there, its size and time are taken from it. An event without
--federation is in the federation of each source's connection.`,
		Example: `  imbrouter explain examples/relay.toml --event alarms.pump3 --text '{"level": 4}'
  imbrouter explain examples/broadcast.toml --file summer/beach.jpg --source pictures
  imbrouter explain examples/collect.toml --full-event demo.maps --stream town.png`,
		Args: withUsage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flagFault(cmd, given.FaultAtSource); err != nil {
				return err
			}
			cfg, err := config.Load(args[0], kinds)
			if err != nil {
				return err
			}
			if _, ok := cfg.Sources[given.Source]; given.Source != "" && !ok {
				return usage(cmd, fmt.Errorf("--source: there is no source %q in %s", given.Source, cfg.Path))
			}
			given.look(cfg)
			e := explainer{out: cmd.OutOrStdout(), config: cfg}
			fmt.Fprintln(e.out, given.describe())
			for _, o := range trial.Run(cfg, given.Given) {
				e.outcome(o)
			}
			return nil
		},
	}
	given.register(cmd)
	return cmd
}

// look finds out which folder the path of a file leads into, and takes size and
// time from the file where they are not given.
func (g *givenFlags) look(cfg *config.Config) {
	if g.File == nil {
		return
	}
	absolute, err := filepath.Abs(*g.File)
	if err != nil {
		return
	}
	var folders []string
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		folder := cfg.Sources[name].Traffic().Folder
		if folder == "" || g.Source != "" && g.Source != name {
			continue
		}
		folders = append(folders, folder)
		if rel, err := filepath.Rel(folder, absolute); err == nil && filepath.IsLocal(rel) {
			path := filepath.ToSlash(rel)
			g.File, g.Source, folders = &path, name, []string{folder}
			break
		}
	}
	for _, folder := range folders {
		info, err := os.Lstat(filepath.Join(folder, filepath.FromSlash(*g.File)))
		if err == nil && info.Mode().IsRegular() {
			g.Size = cmp.Or(g.Size, info.Size())
			g.ModTime = cmp.Or(g.ModTime, info.ModTime())
			return
		}
	}
}

// explainer prints outcomes.
type explainer struct {
	out    io.Writer
	config *config.Config
}

func (e explainer) outcome(o trial.Outcome) {
	way := fmt.Sprintf("route %q", o.Route.Name)
	if o.Source != "" {
		way += fmt.Sprintf(" from %q", o.Source)
	}
	switch {
	case trial.IsFailure(o.Refusal):
		e.printf("\n%s fails on it, which %s: %s\n", way, ofFailure(o.In), escaped(o.Refusal.Error()))
	case o.Refusal != nil:
		e.printf("\n%s does not take it: %s\n", way, escaped(o.Refusal.Error()))
	default:
		e.printf("\n%s takes it\n", way)
	}
	f, ok := o.Route.Filter.(*filter.Filter)
	if ok && f.When() != "" && o.In.Arrived() {
		e.condition(f.When(), o.In)
	}
	if o.Refusal != nil {
		return
	}
	if ok {
		e.changes(f, o.In, o.Out)
	}
	for i, l := range o.Landings {
		e.printf("  %-5s %s\n", []string{"to", ""}[min(i, 1)], e.landing(l))
	}
}

// ofFailure tells what an expression that fails on a message does to it.
func ofFailure(m trial.Message) string {
	switch {
	case m.Stream == nil:
		return "makes a dead letter"
	case m.Stream.Path != "":
		return "moves the file to failed/"
	default:
		return "loses the stream"
	}
}

// condition prints what a `when` and its parts give.
func (e explainer) condition(when string, m trial.Message) {
	for _, part := range filter.Parts(when, m.Eval) {
		label := []string{"when", ""}[min(part.Depth, 1)]
		var gives string
		switch {
		case part.Skipped:
			gives = "not looked at"
		case part.Err != nil:
			gives = "fails: " + escaped(part.Err.Error())
		default:
			gives = shortened(trial.Show(part.Value))
		}
		e.printf("  %-5s %s%s → %s\n", label, strings.Repeat("  ", part.Depth), escaped(part.Text), gives)
	}
}

// changes prints what a `set` does.
func (e explainer) changes(f *filter.Filter, in, out trial.Message) {
	label := "set"
	for _, field := range filter.Settable() {
		if _, _, sets := f.Sets(field); !sets {
			continue
		}
		before, after := trial.Show(in.Field(field)), trial.Show(out.Field(field))
		e.printf("  %-5s %s: %s → %s\n", label, field, shortened(before), shortened(after))
		label = ""
	}
}

// landing tells what becomes of the message in a sink.
func (e explainer) landing(l trial.Landing) string {
	sink := fmt.Sprintf("%q: ", l.Sink)
	switch {
	case l.Refusal != nil:
		return sink + "not taken: " + escaped(l.Refusal.Error())
	case l.LooksOn():
		return sink + "looks on"
	case l.Target.File != "":
		folder := e.config.Sinks[l.Sink].Traffic().Folder
		return sink + fmt.Sprintf("file %q", shortPath(filepath.Join(folder, filepath.FromSlash(l.Target.File))))
	case l.Target.Event != "":
		return sink + fmt.Sprintf("event %q", l.Target.FullName())
	default:
		return sink + "taken"
	}
}

func (e explainer) printf(format string, args ...any) { fmt.Fprintf(e.out, format, args...) }

// maxValue is how much of a value, in bytes, is shown.
const maxValue = 1024

func shortened(value string) string {
	if len(value) > maxValue {
		return strings.ToValidUTF8(value[:maxValue], "") + "…"
	}
	return value
}
