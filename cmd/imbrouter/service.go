package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"imbrouter/router/config"
)

func serviceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "service",
		Short: "Install and control the Windows service",
		Long: `Install "imbrouter run FILE" as the Windows service imbrouter, and control it. All of
this needs a terminal that runs as administrator.

The service has an account of its own, "NT SERVICE\imbrouter", starts a little after
the machine, and is started again when it fails: after two seconds, and then every
minute. A stop lets what is in flight finish. It logs to the event log: in the
Event Viewer under Windows Logs, Application, with imbrouter as the source.`,
		Example: `  imbrouter service install C:\imbrouter\imbrouter.toml
  imbrouter service start`,
		Args: withUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "install FILE",
			Short: "Install the service, to run a configuration",
			Long: `Check a configuration, install the service that runs it, make the folders that it
writes to, and say how to let its account into them. It is not started yet.`,
			Example: `  imbrouter service install C:\imbrouter\imbrouter.toml`,
			Args:    withUsage(cobra.ExactArgs(1)),
			RunE: func(cmd *cobra.Command, args []string) error {
				path, err := filepath.Abs(args[0]) // a service starts in a folder of the system's
				if err != nil {
					return err
				}
				cfg, err := config.Load(path, kinds)
				if err != nil {
					return err
				}
				return installService(cmd, cfg)
			},
		},
		controlCommand("uninstall", "Stop the service and remove it; no file is removed", uninstallService),
		controlCommand("start", "Start the service, and wait until it runs", startService),
		controlCommand("stop", "Stop the service, and wait until what is in flight has finished", stopService),
		controlCommand("reload", "Have the service read its configuration again; the event log says how it went", reloadService),
	)
	return cmd
}

func controlCommand(name, short string, control func(*cobra.Command) error) *cobra.Command {
	return &cobra.Command{
		Use:     name,
		Short:   short,
		Example: "  imbrouter service " + name,
		Args:    withUsage(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return control(cmd) },
	}
}

// serviceFolders are the folders that the daemon writes to, without those that are
// in another of them.
func serviceFolders(cfg *config.Config) []string {
	all := []string{cfg.Router.StateDir}
	for _, source := range cfg.Sources {
		all = append(all, source.Traffic().Folder)
	}
	for _, sink := range cfg.Sinks {
		all = append(all, sink.Traffic().Folder)
	}
	slices.Sort(all)
	var outer []string
	for _, folder := range slices.Compact(all) {
		inside := func(other string) bool {
			return strings.HasPrefix(folder, strings.TrimSuffix(other, string(filepath.Separator))+string(filepath.Separator))
		}
		if folder != "" && !slices.ContainsFunc(outer, inside) {
			outer = append(outer, folder)
		}
	}
	return outer
}

// host is the service manager of Windows where it runs the daemon. Everywhere else
// it is the zero host, and the daemon hears signals and logs to standard error.
type host struct {
	reload <-chan os.Signal // asks for a reload, in the place of SIGHUP
	ready  func()           // is called when everything runs, and after reloads
	events eventLog
}

// isService tells whether the service manager of Windows runs the daemon.
func (h host) isService() bool { return h.reload != nil }

// serviceState is how far a service is.
type serviceState int

const (
	serviceStarts serviceState = iota
	serviceRuns
	serviceStops
)

// serviceRequest is what the service manager asks of a service.
type serviceRequest int

const (
	askNothing serviceRequest = iota // that concerns this service
	askState
	askStop
	askReload
)

// serviceProgress is the time between two signs that a start or a stop goes on.
// The service manager is promised one every serviceProgressLimit.
const (
	serviceProgress      = 2 * time.Second
	serviceProgressLimit = 15 * time.Second
)

// superviseService runs a daemon, does what is asked of it, and reports its state
// whenever it changes, someone asks, or a start or stop goes on. It returns what run
// returns, once that has ended. R is a request in the form in which it comes.
func superviseService[R any](run func(context.Context, host) error, events eventLog,
	requests <-chan R, meaning func(R) serviceRequest, report func(serviceState)) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	reload := make(chan os.Signal, 1) // further requests count as the one that waits
	ready := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, host{reload, sync.OnceFunc(func() { close(ready) }), events})
	}()
	progress := time.NewTicker(serviceProgress)
	defer progress.Stop()
	state := serviceStarts
	report(state)
	for {
		select {
		case err := <-ended:
			return err
		case <-ready:
			ready = nil
			if state == serviceStarts {
				state = serviceRuns
				report(state)
			}
		case <-progress.C:
			if state != serviceRuns {
				report(state)
			}
		case r := <-requests:
			switch meaning(r) {
			case askState:
				report(state)
			case askStop:
				state = serviceStops
				report(state)
				stop()
			case askReload:
				select {
				case reload <- syscall.SIGHUP:
				default:
				}
			}
		}
	}
}
