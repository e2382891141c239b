package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imbrouter/imb"
	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/config"
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
			if count < 0 {
				return usage(cmd, fmt.Errorf("--count %d is negative; 0 never stops", count))
			}
			for _, pattern := range args {
				if err := checkPattern(client.federation, pattern); err != nil {
					return usage(cmd, err)
				}
			}
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			c, err := client.connect(ctx, cmd)
			if err != nil {
				return err
			}
			t := &tap{out: cmd.OutOrStdout(), json: asJSON, left: count, stop: stop}
			for _, pattern := range args {
				event := c.Event(pattern)
				event.HandleAll(t.signal)
				event.HandleStreams(t.stream)
				if err := event.Subscribe(); err != nil {
					return err
				}
			}
			if err := c.Flush(ctx); err == nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "listening; Ctrl-C stops")
			}
			<-ctx.Done()
			return disconnect(ctx, c.Client)
		},
	}
	client.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	cmd.Flags().IntVar(&count, "count", 0, "stop after so many lines (default: never)")
	return cmd
}

func checkPattern(federation, pattern string) error {
	switch prefix := strings.TrimSuffix(pattern, wire.Wildcard); {
	case pattern == "":
		return fmt.Errorf("PATTERN is empty; %q stands for every event", wire.Wildcard)
	case strings.Contains(prefix, wire.Wildcard):
		return fmt.Errorf("PATTERN %q: %q can only stand at the end", pattern, wire.Wildcard)
	}
	if fault := config.NameFault(router.FullName(federation, pattern)); fault != "" {
		return fmt.Errorf("PATTERN: %s", fault)
	}
	return nil
}

// tap prints lines. The client calls it from one goroutine.
type tap struct {
	out  io.Writer
	json bool
	left int // lines until it stops; 0: never; below 0: it has
	stop context.CancelFunc
}

// tapLine is one line, as --json prints it. What a line's kind does not have is
// left out; what it has, and is empty, is not.
type tapLine struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"`
	Kind  string    `json:"kind"`
	Text  *string   `json:"text,omitempty"` // of a normal event
	*tapChange
	Stream   *string `json:"stream,omitempty"` // name of a stream
	Size     int64   `json:"size"`             // bytes of the data, or of the stream so far
	Tick     int32   `json:"tick,omitempty"`
	Priority bool    `json:"priority,omitempty"`
	Error    string  `json:"error,omitempty"` // why a stream was cut off
	shown    string
}

// tapChange is the data of a changeObject.
type tapChange struct {
	Action    string `json:"action"`
	ObjectID  int32  `json:"object_id"`
	Attribute string `json:"attribute"`
}

func (t *tap) print(l tapLine) {
	if t.left < 0 {
		return
	}
	l.Time = time.Now()
	var err error
	if t.json {
		err = json.NewEncoder(t.out).Encode(l)
	} else {
		_, err = fmt.Fprintf(t.out, "%s %s %s %s\n", l.Time.Format("15:04:05.000"), printable(l.Event), l.Kind, l.shown)
	}
	switch {
	case err != nil || t.left == 1:
		t.left = -1
		t.stop()
	case t.left > 1:
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
	switch m.Kind {
	case wire.NormalEvent:
		if text, ok := wire.NormalText(m.Data); ok {
			l.Text = new(string(text))
		}
	case wire.ChangeObject, wire.ChangeObjectWithData:
		if c, _, err := wire.ParseChangeObject(m.Data); err == nil {
			l.tapChange = &tapChange{Action: c.Action.String(), ObjectID: c.ObjectID, Attribute: c.Attribute}
		}
	}
	t.print(l)
}

func (t *tap) stream(in imb.IncomingStream) imb.StreamReceiver {
	t.print(tapLine{
		Event: in.Name, Kind: "stream", Stream: &in.StreamName, Tick: in.Tick, shown: fmt.Sprintf("%q begins", in.StreamName),
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
		Event: s.in.Name, Kind: "stream_end", Stream: &s.in.StreamName, Tick: s.in.Tick, Size: s.size,
		shown: fmt.Sprintf("%q, %d bytes", s.in.StreamName, s.size),
	}
	if err != nil {
		l.Error = err.Error()
		l.shown += ", cut off: " + l.Error
	}
	s.tap.print(l)
}
