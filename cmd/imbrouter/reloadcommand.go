package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"imbrouter/router/admin"
	"imbrouter/router/config"
)

// invalidError is a configuration that another process has found to be wrong.
type invalidError struct{ error }

func (e invalidError) Unwrap() error { return e.error }

func reloadCommand() *cobra.Command {
	var f adminFlags
	var wait bool
	var pid int
	cmd := &cobra.Command{
		Use:   "reload FILE",
		Short: "Have the router that runs a configuration read it again",
		Long: `Have the router that runs a configuration read it again, as SIGHUP does. With
--wait it returns when the router has taken it, and says what has changed; or
what is wrong with it: then the router goes on as before, and the exit code is 78,
or 1 when nothing is wrong but the change needs a restart.

It asks at the admin address that FILE names. With --pid it does without: where
none is named, nobody answers or nothing may be changed there, it looks itself
whether FILE is right, and sends that process SIGHUP.`,
		Example: `  imbrouter reload --wait examples/quickstart.toml`,
		Args:    adminArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if pid != 0 && len(args) == 0 {
				return usage(cmd, errors.New("--pid goes with FILE"))
			}
			err := f.reload(cmd, args, wait)
			if pid != 0 && (errors.Is(err, errNoAddress) || errors.Is(err, admin.ErrNotRunning) || errors.Is(err, admin.ErrForbidden)) {
				return hangUp(cmd, args[0], pid, err)
			}
			return err
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done, and say what has changed or what is wrong")
	cmd.Flags().IntVar(&pid, "pid", 0, "the process that runs FILE: it gets SIGHUP where it cannot be asked")
	return cmd
}

// reload asks at the admin address.
func (f *adminFlags) reload(cmd *cobra.Command, args []string, wait bool) error {
	client, err := f.client(cmd, args)
	if err != nil {
		return err
	}
	if !wait {
		return client.Request(cmd.Context())
	}
	reload, err := client.Reload(cmd.Context())
	if err != nil {
		return err
	}
	return tellReload(cmd, reload)
}

// hangUp has a process read its configuration again that cannot be asked, because
// of err, unless something is wrong with the file.
func hangUp(cmd *cobra.Command, path string, pid int, cannot error) error {
	if _, err := config.Load(path, kinds); err != nil {
		return err
	}
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Signal(syscall.SIGHUP)
	}
	if err != nil {
		return fmt.Errorf("%w; and SIGHUP to process %d: %w", cannot, pid, err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%v\nthe configuration is right, and process %d has SIGHUP; its log says what came of it\n", cannot, pid)
	return nil
}

// tellReload prints what came of a reload, and returns an error when it was
// refused.
func tellReload(cmd *cobra.Command, r admin.Reload) error {
	for _, w := range r.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
	}
	switch r.Outcome {
	case admin.Applied:
		fmt.Fprintln(cmd.OutOrStdout(), "reloaded: "+strings.Join(r.Changes, ", "))
		return nil
	case admin.Unchanged:
		fmt.Fprintln(cmd.OutOrStdout(), "reloaded: nothing has changed")
		return nil
	}
	for _, problem := range r.Errors {
		fmt.Fprintln(cmd.ErrOrStderr(), problem)
	}
	err := errors.New("not reloaded: the configuration from before goes on")
	if r.Invalid {
		return invalidError{err}
	}
	return err
}
