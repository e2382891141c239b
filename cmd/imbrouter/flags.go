package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"imbrouter/router/config"
)

// flagError makes a usage error of a flag that cannot be read.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		err = fmt.Errorf("--%s: %s", invalid.GetFlag().Name, valueFault(invalid))
	}
	return usage(cmd, err)
}

// valueFault tells what is wrong with the value of a flag, in words of people
// where its type has those of Go's.
func valueFault(invalid *pflag.InvalidValueError) string {
	value := strconv.Quote(invalid.GetValue())
	var number *strconv.NumError
	var moment *time.ParseError
	switch {
	case errors.As(invalid, &number) && errors.Is(number, strconv.ErrRange):
		return value + " is too large or too small"
	case errors.As(invalid, &number) && number.Func == "ParseBool":
		return value + " is neither true nor false"
	case errors.As(invalid, &number) && number.Func == "ParseFloat":
		return value + " is no number"
	case errors.As(invalid, &number):
		return value + " is no whole number"
	case errors.As(invalid, &moment):
		return value + ` is no time; write one such as "2026-05-04T03:02:01Z"`
	case invalid.GetFlag().Value.Type() == "duration":
		return value + ` is no duration; write a number and a unit, such as "500ms" or "10s"`
	}
	return invalid.Unwrap().Error()
}

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
