package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/journal"
	slogjournal "github.com/systemd/slog-journal"
)

// journalHandler writes to the systemd journal. The attributes of a line are in
// its text, for people, and are fields as well, ROUTE= and PATH= and so on, for
// queries.
type journalHandler struct {
	journal slog.Handler
	text    slog.Handler // of the attributes, into line
	line    *lineBuffer
}

type lineBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

// newJournalHandler fails when standard error is not the journal.
func newJournalHandler(level slog.Level) (slog.Handler, error) {
	is, err := journal.StderrIsJournalStream()
	if err != nil {
		return nil, err
	}
	if !is {
		return nil, errors.New("standard error is not the journal")
	}
	fields, err := slogjournal.NewHandler(&slogjournal.Options{
		Level:        level,
		ReplaceGroup: fieldName,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			a = durationText(groups, a)
			a.Key = fieldName(a.Key)
			return a
		},
	})
	if err != nil {
		return nil, err
	}
	line := new(lineBuffer)
	return &journalHandler{fields, slog.NewTextHandler(line, &slog.HandlerOptions{ReplaceAttr: onlyAttributes}), line}, nil
}

// fieldName makes a name that the journal takes. It drops others without a word.
func fieldName(key string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(key))
}

// onlyAttributes leaves out what the journal has in places of their own.
func onlyAttributes(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

func (h *journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.journal.Enabled(ctx, level)
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	attributes, err := h.attributes(ctx, r)
	if err != nil {
		return err
	}
	if attributes != "" {
		r.Message += " " + attributes
	}
	return h.journal.Handle(ctx, r)
}

func (h *journalHandler) attributes(ctx context.Context, r slog.Record) (string, error) {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	h.line.Reset()
	err := h.text.Handle(ctx, r)
	return strings.TrimSuffix(h.line.String(), "\n"), err
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{h.journal.WithAttrs(attrs), h.text.WithAttrs(attrs), h.line}
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.journal.WithGroup(name), h.text.WithGroup(name), h.line}
}
