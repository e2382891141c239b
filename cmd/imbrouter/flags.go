package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"imbrouter/router/config"
)

// flagReporter takes what package config finds wrong with the values of flags
// that mean the same as keys of a file.
type flagReporter struct {
	cmd  *cobra.Command
	errs []error
}

// checkFlags lets check report what is wrong with flags, and makes a usage error
// of it.
func checkFlags(cmd *cobra.Command, check func(config.Reporter)) error {
	r := &flagReporter{cmd: cmd}
	check(r)
	if err := errors.Join(r.errs...); err != nil {
		return usage(cmd, err)
	}
	return nil
}

// Defined implements config.Reporter.
func (r *flagReporter) Defined(key string) bool { return r.cmd.Flags().Changed(flagOf(key)) }

// Errorf implements config.Reporter.
func (r *flagReporter) Errorf(key, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("--%s: %s", flagOf(key), fmt.Sprintf(format, args...)))
}

// flagOf returns the flag that means the same as a key.
func flagOf(key string) string {
	if key == "address" {
		return "hub"
	}
	return strings.ReplaceAll(key, "_", "-")
}
