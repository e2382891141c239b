//go:build !windows

package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"imbrouter/router/config"
)

var errNoService = errors.New(`there are Windows services on Windows only; elsewhere the system's own manager, such as systemd, runs "imbrouter run FILE"`)

func installService(*cobra.Command, *config.Config) error { return errNoService }
func uninstallService(*cobra.Command) error               { return errNoService }
func startService(*cobra.Command) error                   { return errNoService }
func stopService(*cobra.Command) error                    { return errNoService }
func reloadService(*cobra.Command) error                  { return errNoService }

// asService runs the daemon for whoever started it.
func asService(ctx context.Context, run func(context.Context, host) error) error {
	return run(ctx, host{})
}
