package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"imbrouter/router/config"
	"imbrouter/router/filter"
)

func graphCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "graph FILE",
		Short: "Draw the routes of a configuration",
		Long: `Draw the routes of a configuration: from folders and hubs by sources, routes and
sinks to folders and hubs. The format is a tree of text, or a graph for Mermaid
(which Markdown shows on many sites) or for Graphviz (dot).`,
		Example: `  imbrouter graph examples/quickstart.toml
  imbrouter graph --format dot examples/relay.toml >relay.dot`,
		Args: withUsage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			draw, ok := map[string]func(io.Writer, *config.Config){
				"text": drawText, "mermaid": drawMermaid, "dot": drawDot,
			}[format]
			if !ok {
				return usage(cmd, errors.New("--format must be text, mermaid or dot"))
			}
			cfg, err := config.Load(args[0], kinds)
			if err != nil {
				return err
			}
			draw(cmd.OutOrStdout(), cfg)
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, mermaid or dot")
	return cmd
}

// drawText draws each route as a tree.
func drawText(out io.Writer, cfg *config.Config) {
	for _, route := range cfg.Routes {
		var lines []string
		line := func(what, text string) { lines = append(lines, fmt.Sprintf("%-4s %s", what, text)) }
		for _, name := range route.From {
			line("from", name+": "+cfg.Describe(cfg.Sources[name].Traffic(), shortPath))
		}
		if f, ok := route.Filter.(*filter.Filter); ok {
			if f.When() != "" {
				line("when", oneLine(f.When()))
			}
			if fields := f.SetFields(); len(fields) > 0 {
				line("set", strings.Join(fields, ", "))
			}
		}
		for _, name := range route.To {
			line("to", name+": "+cfg.Describe(cfg.Sinks[name].Traffic(), shortPath))
		}
		fmt.Fprintln(out, route.Name)
		for i, l := range lines {
			branch := "├─ "
			if i == len(lines)-1 {
				branch = "└─ "
			}
			fmt.Fprintln(out, branch+l)
		}
	}
}

// oneLine puts an expression on one line.
func oneLine(text string) string { return escaped(strings.Join(strings.Fields(text), " ")) }

// drawing is a configuration as a graph.
type drawing struct {
	nodes []drawnNode
	edges []drawnEdge
	ids   map[string]int // of nodes by kind and name
}

type drawnNode struct{ kind, label string } // kind: "place", "source", "route" or "sink"

type drawnEdge struct {
	from, to int
	label    string
}

func (d *drawing) node(kind, name, label string) int {
	key := kind + " " + name
	id, ok := d.ids[key]
	if !ok {
		id = len(d.nodes)
		d.ids[key] = id
		d.nodes = append(d.nodes, drawnNode{kind, label})
	}
	return id
}

func (d *drawing) edge(from, to int, label string) {
	e := drawnEdge{from, to, label}
	for _, known := range d.edges {
		if known == e {
			return
		}
	}
	d.edges = append(d.edges, e)
}

// connect draws the way between a part and the place that it reads or writes.
func (d *drawing) connect(cfg *config.Config, part int, t config.Traffic, in bool) {
	name, ok := cfg.Place(t, shortPath)
	if !ok {
		return
	}
	label := ""
	if t.Folder == "" {
		label = cfg.Passing(t)
	}
	if place := d.node("place", name, name); in {
		d.edge(place, part, label)
	} else {
		d.edge(part, place, label)
	}
}

func drawingOf(cfg *config.Config) *drawing {
	d := &drawing{ids: map[string]int{}}
	for _, route := range cfg.Routes {
		label := route.Name
		if f, ok := route.Filter.(*filter.Filter); ok {
			if f.When() != "" {
				label += "\nwhen " + oneLine(f.When())
			}
			if fields := f.SetFields(); len(fields) > 0 {
				label += "\nset " + strings.Join(fields, ", ")
			}
		}
		through := d.node("route", route.Name, label)
		for _, name := range route.From {
			source := d.node("source", name, name)
			d.connect(cfg, source, cfg.Sources[name].Traffic(), true)
			d.edge(source, through, "")
		}
		for _, name := range route.To {
			sink := d.node("sink", name, name)
			d.connect(cfg, sink, cfg.Sinks[name].Traffic(), false)
			d.edge(through, sink, "")
		}
	}
	return d
}

func drawMermaid(out io.Writer, cfg *config.Config) {
	text := func(s string) string {
		return `"` + strings.NewReplacer("#", "#35;", "&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "\n", "<br>").Replace(s) + `"`
	}
	shapes := map[string]string{"place": "[(%s)]", "source": "([%s])", "route": "[%s]", "sink": "([%s])"}
	d := drawingOf(cfg)
	fmt.Fprintln(out, "flowchart LR")
	for i, n := range d.nodes {
		fmt.Fprintf(out, "  n%d"+shapes[n.kind]+"\n", i, text(n.label))
	}
	for _, e := range d.edges {
		label := ""
		if e.label != "" {
			label = "|" + text(e.label) + "|"
		}
		fmt.Fprintf(out, "  n%d -->%s n%d\n", e.from, label, e.to)
	}
}

func drawDot(out io.Writer, cfg *config.Config) {
	text := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
	}
	shapes := map[string]string{"place": "cylinder", "source": "ellipse", "route": "box", "sink": "ellipse"}
	d := drawingOf(cfg)
	fmt.Fprintf(out, "digraph imbrouter {\n  rankdir=LR;\n")
	for i, n := range d.nodes {
		fmt.Fprintf(out, "  n%d [shape=%s, label=%s];\n", i, shapes[n.kind], text(n.label))
	}
	for _, e := range d.edges {
		label := ""
		if e.label != "" {
			label = " [label=" + text(e.label) + "]"
		}
		fmt.Fprintf(out, "  n%d -> n%d%s;\n", e.from, e.to, label)
	}
	fmt.Fprintln(out, "}")
}
