package log_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/sinks/log"
)

// build returns a sink of that level, and what a log of level info shows.
func build(t *testing.T, level string) (router.Sink, *bytes.Buffer) {
	t.Helper()
	c, lines := log.NewConfig(), new(bytes.Buffer)
	c.Level = level
	c.Check(new(config.Check))
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	sink, err := c.Build(router.Env{Log: slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{ReplaceAttr: noTime}))})
	if err != nil {
		t.Fatal(err)
	}
	return sink, lines
}

func TestSignals(t *testing.T) {
	text := func(s string) []byte { return wire.AppendString(nil, s) }
	tests := []struct {
		name   string
		signal router.Signal
		want   string
	}{
		{
			"text", router.Signal{Federation: "demo", Event: "alarm", Kind: wire.NormalEvent, Data: text("fire")},
			`level=INFO msg=signal event=demo.alarm kind=normal data="\"fire\""`,
		},
		{
			"binary", router.Signal{Event: "raw", Kind: wire.NormalEvent, Data: []byte{0xff, 0, 1}},
			`level=INFO msg=signal event=raw kind=normal data="3 bytes"`,
		},
		{
			"a kind without a name", router.Signal{Event: "raw", Kind: 77, Data: []byte("abc")},
			`level=INFO msg=signal event=raw kind=77 data="3 bytes"`,
		},
		{
			"hostile", router.Signal{Event: "a\nlevel=ERROR\x1b[2J", Kind: wire.NormalEvent, Data: text("\u202e\nx")},
			`level=INFO msg=signal event="a\nlevel=ERROR\x1b[2J" kind=normal data="\"\\u202e\\nx\""`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sink, lines := build(t, "info")
			if err := sink.Signal(context.Background(), test.signal); !errors.Is(err, router.ErrNotTaken) {
				t.Errorf("Signal = %v", err)
			}
			if got := lines.String(); got != test.want+"\n" {
				t.Errorf("logged %s, want %s", got, test.want)
			}
		})
	}
}

func TestStreams(t *testing.T) {
	tests := []struct {
		name, stream string
		end          func(w router.StreamWriter) error
		want         string
	}{
		{"whole", "a.csv", whole, `level=WARN msg=stream event=demo.files stream=a.csv size=10`},
		{
			"cut off", "a.csv", func(w router.StreamWriter) error { w.Abort(io.ErrUnexpectedEOF); return router.ErrNotTaken },
			`level=WARN msg="stream cut off" event=demo.files stream=a.csv size=10 error="unexpected EOF"`,
		},
		{"hostile", "../\x1b\nb", whole, `level=WARN msg=stream event=demo.files stream="../\x1b\nb" size=10`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sink, lines := build(t, "warn")
			w, err := sink.Stream(context.Background(), router.StreamInfo{
				Federation: "demo", Event: "files", Name: test.stream, Size: -1,
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, body := range []string{"12345", "", "67890"} {
				if n, err := w.Write([]byte(body)); n != len(body) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			if err := test.end(w); !errors.Is(err, router.ErrNotTaken) {
				t.Errorf("Commit = %v", err)
			}
			if got := lines.String(); got != test.want+"\n" {
				t.Errorf("logged %s, want %s", got, test.want)
			}
		})
	}
}

func whole(w router.StreamWriter) error { return w.Commit(context.Background()) }

// TestLinesAreBounded has a sender that chooses names and texts of a megabyte.
func TestLinesAreBounded(t *testing.T) {
	sink, lines := build(t, "info")
	long := strings.Repeat("\x1b", 1<<20)
	_ = sink.Signal(context.Background(), router.Signal{Event: long, Kind: wire.NormalEvent, Data: []byte(long)})
	for _, end := range []func(router.StreamWriter){
		func(w router.StreamWriter) { _ = whole(w) },
		func(w router.StreamWriter) { w.Abort(io.ErrUnexpectedEOF) },
	} {
		w, err := sink.Stream(context.Background(), router.StreamInfo{Event: long, Name: long})
		if err != nil {
			t.Fatal(err)
		}
		end(w)
	}
	for line := range strings.Lines(lines.String()) {
		if len(line) > 16<<10 {
			t.Errorf("a line has %d bytes: %.100s…", len(line), line)
		}
	}
}

func TestLevel(t *testing.T) {
	sink, lines := build(t, "debug")
	_ = sink.Signal(context.Background(), router.Signal{Event: "alarm", Kind: wire.NormalEvent})
	if lines.Len() > 0 {
		t.Errorf("a log of level info has %s", lines)
	}
}

// send is a source of one file, which notes what became of it.
type send struct{ err chan error }

func (s send) Run(ctx context.Context, next router.Sink) error {
	w, err := next.Stream(ctx, router.StreamInfo{ID: router.NextID(), Event: "files", Name: "a.csv", Path: "a.csv", Size: 0})
	if err == nil {
		err = w.Commit(ctx)
	}
	s.err <- err
	return nil
}

// taker is a sink that takes everything.
type taker struct{}

func (taker) Signal(context.Context, router.Signal) error { return nil }
func (taker) Stream(context.Context, router.StreamInfo) (router.StreamWriter, error) {
	return taker{}, nil
}
func (taker) Write(p []byte) (int, error)  { return len(p), nil }
func (taker) Commit(context.Context) error { return nil }
func (taker) Abort(error)                  {}

// TestFileStaysUnlessAnotherSinkTakesIt runs a route to the log alone, and one
// to the log and another sink.
func TestFileStaysUnlessAnotherSinkTakesIt(t *testing.T) {
	for _, test := range []struct {
		to   []string
		want error
	}{{[]string{"print"}, router.ErrShown}, {[]string{"print", "other"}, router.ErrShown}, {[]string{"print", "taker"}, nil}} {
		sink, lines := build(t, "info")
		other, _ := build(t, "info")
		source := send{make(chan error, 1)}
		r, err := router.New(router.Plan{
			Sources: map[string]router.Source{"drop": source},
			Sinks:   map[string]router.Sink{"print": sink, "other": other, "taker": taker{}},
			Routes:  []router.Route{{Name: "show", From: []string{"drop"}, To: test.to}},
		}, router.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ran := make(chan error)
		go func() { ran <- r.Run(ctx) }()
		if err := <-source.err; !errors.Is(err, test.want) {
			t.Errorf("to %q: the file ended with %v, want %v", test.to, err, test.want)
		}
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		if n := strings.Count(lines.String(), "stream=a.csv"); n != 1 {
			t.Errorf("to %q: logged %s", test.to, lines)
		}
	}
}
