package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// eventLog is the event log of Windows. Its entries have a number, which nothing
// here needs, and a text.
type eventLog interface {
	Info(id uint32, text string) error
	Warning(id uint32, text string) error
	Error(id uint32, text string) error
}

const (
	eventID       = 1
	eventTextSize = 30_000 // characters; Windows refuses entries of more than 31,839
)

// eventHandler writes each line of the log as an entry of the event log, which
// itself has time and level.
type eventHandler struct {
	events eventLog
	text   slog.Handler // into line
	line   *eventLine
}

type eventLine struct {
	mu sync.Mutex
	bytes.Buffer
}

func newEventHandler(events eventLog, level slog.Level) slog.Handler {
	line := new(eventLine)
	return &eventHandler{events, slog.NewTextHandler(line, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		},
	}), line}
}

func (h *eventHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.text.Enabled(ctx, level)
}

func (h *eventHandler) Handle(ctx context.Context, r slog.Record) error {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	h.line.Reset()
	if err := h.text.Handle(ctx, r); err != nil {
		return err
	}
	report := h.events.Info
	switch {
	case r.Level >= slog.LevelError:
		report = h.events.Error
	case r.Level >= slog.LevelWarn:
		report = h.events.Warning
	}
	return report(eventID, eventText(h.line.String()))
}

func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &eventHandler{h.events, h.text.WithAttrs(attrs), h.line}
}

func (h *eventHandler) WithGroup(name string) slog.Handler {
	return &eventHandler{h.events, h.text.WithGroup(name), h.line}
}

// eventText makes a text that the event log takes.
func eventText(text string) string {
	text = strings.TrimSuffix(strings.ReplaceAll(text, "\x00", `\x00`), "\n")
	if len(text) > eventTextSize {
		text = strings.ToValidUTF8(text[:eventTextSize], "") + "…"
	}
	return text
}
