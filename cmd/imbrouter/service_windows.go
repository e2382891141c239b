package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"

	"imbrouter/router/config"
)

// serviceName is what Windows calls the service, and the source of its lines in
// the event log.
const serviceName = "imbrouter"

// serviceAccount is made by Windows with the service, and may do what it is let.
const serviceAccount = `NT SERVICE\` + serviceName

// serviceLook is the time between two looks at what a service does, and
// servicePatience bounds them all: far longer than stop_timeout is as a rule.
const (
	serviceLook     = 200 * time.Millisecond
	servicePatience = 5 * time.Minute
)

// asService runs the daemon for the service manager, if that started it, or else
// for whoever did.
func asService(ctx context.Context, run func(context.Context, host) error) error {
	is, err := svc.IsWindowsService()
	if err != nil {
		return fmt.Errorf("ask whether this is a service: %w", err)
	}
	if !is {
		return run(ctx, host{})
	}
	// Here SIGTERM comes whenever some user logs off; the service manager itself
	// says when to stop.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	events, err := eventlog.Open(serviceName)
	if err != nil {
		return fmt.Errorf("open the event log: %w", err)
	}
	defer events.Close()
	s := &service{run: run, events: events}
	if err := svc.Run(serviceName, s); err != nil {
		return fmt.Errorf("answer the service manager: %w", err)
	}
	return s.err
}

// service is a svc.Handler.
type service struct {
	run    func(context.Context, host) error
	events eventLog
	err    error // of run
}

// Execute returns the exit code that the program would end with in a shell. One
// that is not 0 makes the service manager start the service again.
func (s *service) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (specific bool, code uint32) {
	checkpoint := uint32(0)
	s.err = superviseService(s.run, s.events, requests, serviceMeaning, func(state serviceState) {
		checkpoint++
		changes <- serviceStatus(state, checkpoint)
	})
	if s.err == nil {
		return false, 0
	}
	_ = s.events.Error(eventID, eventText(s.err.Error())) // there is nowhere else to tell it
	return true, uint32(exitCode(s.err))
}

func serviceMeaning(r svc.ChangeRequest) serviceRequest {
	switch r.Cmd {
	case svc.Interrogate:
		return askState
	case svc.Stop, svc.Shutdown:
		return askStop
	case svc.ParamChange:
		return askReload
	}
	return askNothing
}

// serviceStatus counts up the checkpoint while something goes on, which the
// service manager takes for a sign that it does.
func serviceStatus(state serviceState, checkpoint uint32) svc.Status {
	if state == serviceRuns {
		return svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown | svc.AcceptParamChange}
	}
	status := svc.Status{State: svc.StartPending, CheckPoint: checkpoint, WaitHint: uint32(serviceProgressLimit.Milliseconds())}
	if state == serviceStops {
		status.State = svc.StopPending
	}
	return status
}

func installService(cmd *cobra.Command, cfg *config.Config) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	manager, err := connectServices()
	if err != nil {
		return err
	}
	defer manager.Disconnect()
	folders := serviceFolders(cfg)
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
	}
	s, err := manager.CreateService(serviceName, program, mgr.Config{
		StartType:        mgr.StartAutomatic,
		DelayedAutoStart: true, // the network is there by then
		ServiceStartName: serviceAccount,
		DisplayName:      "imbrouter",
		Description:      "Event router and file drop for IMB hubs",
	}, "run", cfg.Path)
	if errors.Is(err, windows.ERROR_SERVICE_EXISTS) {
		return fmt.Errorf("the service %s is there already; for another configuration: imbrouter service uninstall, and then install", serviceName)
	}
	if err != nil {
		return fmt.Errorf("install the service: %w", err)
	}
	defer s.Close()
	if err := completeService(s); err != nil {
		return errors.Join(fmt.Errorf("install the service: %w", err), s.Delete())
	}
	fmt.Fprintf(cmd.OutOrStdout(), "The service %s runs %s.\n", serviceName, cfg.Path)
	fmt.Fprintln(cmd.ErrOrStderr(), "Let its account into the folders that it writes to, and start it:")
	for _, folder := range folders {
		fmt.Fprintf(cmd.ErrOrStderr(), "  icacls \"%s\" /grant \"%s:(OI)(CI)M\"\n", folder, serviceAccount)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "  imbrouter service start")
	return nil
}

// completeService does what a service is not made with at once.
func completeService(s *mgr.Service) error {
	err := s.SetRecoveryActions([]mgr.RecoveryAction{
		{Type: mgr.ServiceRestart, Delay: 2 * time.Second},
		{Type: mgr.ServiceRestart, Delay: time.Minute},
	}, uint32(time.Hour.Seconds()))
	if err != nil {
		return err
	}
	if err := s.SetRecoveryActionsOnNonCrashFailures(true); err != nil {
		return err
	}
	_ = eventlog.Remove(serviceName) // of an earlier one that was not uninstalled
	return eventlog.InstallAsEventCreate(serviceName, eventlog.Info|eventlog.Warning|eventlog.Error)
}

func uninstallService(cmd *cobra.Command) error {
	return withService(func(s *mgr.Service) error {
		if err := stop(cmd.Context(), s); err != nil {
			return err
		}
		if err := s.Delete(); err != nil {
			return err
		}
		if err := eventlog.Remove(serviceName); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
}

func startService(cmd *cobra.Command) error {
	return withService(func(s *mgr.Service) error {
		if err := s.Start(); err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
			return err
		}
		status, err := settled(cmd.Context(), s)
		if err == nil && status.State != svc.Running {
			err = fmt.Errorf("it has stopped with code %d; the event log has the reason: Windows Logs, Application, source %s",
				status.ServiceSpecificExitCode, serviceName)
		}
		return err
	})
}

func stopService(cmd *cobra.Command) error {
	return withService(func(s *mgr.Service) error { return stop(cmd.Context(), s) })
}

func reloadService(*cobra.Command) error {
	return withService(func(s *mgr.Service) error {
		_, err := s.Control(svc.ParamChange)
		return err
	})
}

// stop makes a service stop that runs, and waits until it has.
func stop(ctx context.Context, s *mgr.Service) error {
	status, err := s.Control(svc.Stop)
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE):
		return nil
	case errors.Is(err, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL) && status.State == svc.StopPending:
	case err != nil:
		return err
	}
	status, err = settled(ctx, s)
	if err == nil && status.State != svc.Stopped {
		err = errors.New("it was started again meanwhile")
	}
	return err
}

// settled waits until a service is no longer on its way to a state.
func settled(ctx context.Context, s *mgr.Service) (svc.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, servicePatience)
	defer cancel()
	for {
		status, err := s.Query()
		if err != nil || status.State == svc.Running || status.State == svc.Stopped {
			return status, err
		}
		select {
		case <-ctx.Done():
			return status, fmt.Errorf("not waited for any longer: %w", ctx.Err())
		case <-time.After(serviceLook):
		}
	}
}

// withService does something with the installed service.
func withService(do func(*mgr.Service) error) error {
	manager, err := connectServices()
	if err != nil {
		return err
	}
	defer manager.Disconnect()
	s, err := manager.OpenService(serviceName)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return fmt.Errorf("there is no service %s; make it with: imbrouter service install FILE", serviceName)
	}
	if err != nil {
		return fmt.Errorf("open the service %s: %w", serviceName, err)
	}
	defer s.Close()
	if err := do(s); err != nil {
		return fmt.Errorf("service %s: %w", serviceName, err)
	}
	return nil
}

func connectServices() (*mgr.Mgr, error) {
	manager, err := mgr.Connect()
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return nil, fmt.Errorf("the service manager refuses: run this in a terminal as administrator: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the service manager: %w", err)
	}
	return manager, nil
}
