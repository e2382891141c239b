package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"imbrouter/imb"
	"imbrouter/imb/wire"
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
and when it ends; its bytes are counted only.`,
		Example: `  imbrouter tap 'demo.*'
  imbrouter tap --json demo.alarms | jq .text`,
		Args: withUsage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			c, err := client.connect(ctx, cmd)
			if err != nil {
				return err
			}
			t := &tap{out: cmd.OutOrStdout(), json: asJSON, left: count, stop: stop}
			for _, pattern := range args {
				event, err := c.Subscribe(pattern)
				if err != nil {
					return err
				}
				event.HandleAll(t.signal)
				event.HandleStreams(t.stream)
			}
			if err := c.Flush(ctx); err == nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "listening; Ctrl-C stops")
			}
			<-ctx.Done()
			return disconnect(ctx, c)
		},
	}
	client.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	cmd.Flags().IntVar(&count, "count", 0, "stop after so many lines (default: never)")
	return cmd
}

// tap prints lines. The client calls it from one goroutine.
type tap struct {
	out  io.Writer
	json bool
	left int // lines until it stops; 0 from the start: never
	stop context.CancelFunc
}

// tapLine is one line, as --json prints it.
type tapLine struct {
	Time     time.Time `json:"time"`
	Event    string    `json:"event"`
	Kind     string    `json:"kind"`
	Text     string    `json:"text,omitempty"`   // of a normal event
	Stream   string    `json:"stream,omitempty"` // name of a stream
	Size     int64     `json:"size"`             // bytes of the data, or of the stream so far
	Tick     int32     `json:"tick,omitempty"`
	Priority bool      `json:"priority,omitempty"`
	Error    string    `json:"error,omitempty"` // why a stream was cut off
	shown    string
}

func (t *tap) print(l tapLine) {
	if t.left < 0 {
		return
	}
	l.Time = time.Now()
	if t.json {
		text, err := json.Marshal(l)
		if err == nil {
			fmt.Fprintf(t.out, "%s\n", text)
		}
	} else {
		fmt.Fprintf(t.out, "%s %s %s %s\n", l.Time.Format("15:04:05.000"), printable(l.Event), l.Kind, l.shown)
	}
	if t.left == 1 {
		t.left = -1
		t.stop()
	} else if t.left > 1 {
		t.left--
	}
}

// printable returns a name as it is, or quoted when it could upset a terminal.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted[1:len(quoted)-1] != name {
		return quoted
	}
	return name
}

func (t *tap) signal(m imb.Message) {
	l := tapLine{
		Event: m.Name, Kind: m.Kind.String(), Size: int64(len(m.Data)), Tick: m.Tick,
		Priority: m.Flags&wire.Priority != 0, shown: wire.Describe(m.Kind, m.Data),
	}
	if m.Kind == wire.NormalEvent {
		text, _ := wire.NormalText(m.Data)
		l.Text = string(text)
	}
	t.print(l)
}

func (t *tap) stream(in imb.IncomingStream) imb.StreamReceiver {
	t.print(tapLine{
		Event: in.Name, Kind: "stream", Stream: in.StreamName, Tick: in.Tick, shown: fmt.Sprintf("%q begins", in.StreamName),
	})
	return &tapStream{tap: t, in: in}
}

type tapStream struct {
	tap  *tap
	in   imb.IncomingStream
	size int64
}

func (s *tapStream) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	return len(p), nil
}

func (s *tapStream) End(err error) {
	l := tapLine{
		Event: s.in.Name, Kind: "stream_end", Stream: s.in.StreamName, Tick: s.in.Tick, Size: s.size,
		shown: fmt.Sprintf("%q, %d bytes", s.in.StreamName, s.size),
	}
	if err != nil {
		l.Error = err.Error()
		l.shown += ", cut off: " + l.Error
	}
	s.tap.print(l)
}
