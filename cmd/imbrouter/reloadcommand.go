package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"imbrouter/router/admin"
)

// invalidError is a configuration that another process has found to be wrong.
type invalidError struct{ error }

func (e invalidError) Unwrap() error { return e.error }

func reloadCommand() *cobra.Command {
	var f adminFlags
	var wait bool
	cmd := &cobra.Command{
		Use:   "reload FILE",
		Short: "Have the router that runs a configuration read it again",
		Long: `Have the router that runs a configuration read it again, as SIGHUP does. With
--wait it returns when the router has taken it, and says what has changed; or
what is wrong with it: then the router goes on as before, and the exit code is 78,
or 1 when nothing is wrong but the change needs a restart.`,
		Example: `  imbrouter reload --wait examples/quickstart.toml`,
		Args:    adminArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
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
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done, and say what has changed or what is wrong")
	return cmd
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
