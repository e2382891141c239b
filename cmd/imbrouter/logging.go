package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// logFlags are the flags of commands that log.
type logFlags struct {
	format string
	level  string
	events eventLog // of a Windows service, or nil
}

func (f *logFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.format, "log-format", "text", "form of the log lines: text, json, or journal (systemd's, with fields)")
	cmd.Flags().StringVar(&f.level, "log-level", "info", "least important lines to show: debug, info, warn or error")
}

// logger returns a logger that writes to w, or to the event log where there is one.
func (f *logFlags) logger(cmd *cobra.Command, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, usage(cmd, fmt.Errorf("--log-level %q: want debug, info, warn or error", f.level))
	}
	if f.events != nil {
		return slog.New(newEventHandler(f.events, level)), nil
	}
	text := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: shortTime}))
	switch f.format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: durationText})), nil
	case "text":
		return text, nil
	case "journal":
		handler, err := newJournalHandler(level)
		if err != nil {
			text.Warn("the log is text: it cannot be written to the journal", "error", err)
			return text, nil
		}
		return slog.New(handler), nil
	}
	return nil, usage(cmd, fmt.Errorf("--log-format %q: want text, json or journal", f.format))
}

// shortTime leaves out what whoever reads the log knows already: the journal
// notes the time of each line itself, and a person the day.
func shortTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 || a.Key != slog.TimeKey {
		return a
	}
	if os.Getenv("JOURNAL_STREAM") != "" {
		return slog.Attr{}
	}
	return slog.String(slog.TimeKey, a.Value.Time().Format("2006-01-02T15:04:05.000"))
}

// durationText writes a duration as the text form does, "1.5s", where JSON would
// have a number of nanoseconds.
func durationText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// outliveLogReader is for services: without it a write to standard error whose
// reader is gone, such as a journal that restarts, would end the process.
func outliveLogReader() { signal.Ignore(syscall.SIGPIPE) }

// isTerminal tells whether w is a terminal, where a person looks on.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
