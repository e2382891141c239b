package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"imbrouter/router/config"
)

// givenFlags are the flags of commands that make a message out of thin air: one
// for each field that expressions have, under its name.
type givenFlags struct{ config.Given }

func (g *givenFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	text := func(into **string, name, usage string) {
		f.Func(name, usage, func(s string) error {
			*into = &s
			return nil
		})
	}
	number := func(into **int32, name, usage string) {
		f.Func(name, usage, func(s string) error {
			n, err := strconv.ParseInt(s, 10, 32)
			*into = new(int32(n))
			return err
		})
	}
	text(&g.Event, "event", "`NAME` of the event, without the federation")
	text(&g.Federation, "federation", "the `FEDERATION` of the event")
	text(&g.FullEvent, "full-event", "the full `NAME` of the event, in place of the two")
	text(&g.Kind, "kind", "`KIND` of the signal (default \"normal\")")
	text(&g.Text, "text", "the `TEXT` of the signal, or in the file or stream")
	text(&g.Data, "data", "the `DATA` of the signal, as it is")
	number(&g.Tick, "tick", "the sender's clock, a `NUMBER`")
	f.BoolFunc("priority", "set the priority flag", func(s string) error {
		on, err := strconv.ParseBool(s)
		g.Priority = &on
		return err
	})
	text(&g.Action, "action", "`ACTION` of a changeObject: new, delete, change or a number")
	number(&g.ObjectID, "object-id", "`NUMBER` of the object of a changeObject")
	text(&g.Attribute, "attribute", "the `ATTRIBUTE` of a changeObject")
	text(&g.Stream, "stream", "a stream from a hub, with this `NAME`")
	text(&g.File, "file", "a file in a folder, with this `PATH`")
	f.Int64Var(&g.Size, "size", 0, "bytes of the file")
	f.Func("mtime", "`TIME` of the file's last change, such as 2026-05-04T03:02:01Z", func(s string) error {
		return g.ModTime.UnmarshalText([]byte(s))
	})
	f.StringVar(&g.Source, "source", "", "the `NAME` of the source that brings it")
}

// flagFault makes a usage error of what makes no sense.
func flagFault(cmd *cobra.Command, check func() (key, fault string)) error {
	if key, fault := check(); fault != "" {
		return usage(cmd, fmt.Errorf("--%s: %s", strings.ReplaceAll(key, "_", "-"), fault))
	}
	return nil
}

// describe tells what is given, in a line.
func (g *givenFlags) describe() string {
	name := func() string {
		switch {
		case g.FullEvent != nil:
			return strconv.Quote(*g.FullEvent)
		case g.Federation != nil:
			return fmt.Sprintf("%q of the federation %q", *g.Event, *g.Federation)
		default:
			return strconv.Quote(*g.Event)
		}
	}
	switch {
	case g.File != nil:
		s := fmt.Sprintf("file %q", *g.File)
		if g.Source != "" {
			s += fmt.Sprintf(" in the folder of %q", g.Source)
		}
		s += ", " + humanize.IBytes(uint64(g.Size))
		if !g.ModTime.IsZero() {
			s += ", changed " + g.ModTime.Format(time.DateTime)
		}
		return s
	case g.Stream != nil:
		return fmt.Sprintf("stream %q on event %s", *g.Stream, name())
	default:
		return fmt.Sprintf("signal of kind %q on event %s", g.SignalKind(), name())
	}
}
