//go:build !linux

package main

import (
	"errors"
	"log/slog"
)

func newJournalHandler(slog.Level) (slog.Handler, error) {
	return nil, errors.New("there is no journal on this system")
}
