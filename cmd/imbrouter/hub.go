package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"imbrouter/imb/hub"
	"imbrouter/router/config"
	routerdaemon "imbrouter/router/daemon"
)

func hubCommand() *cobra.Command {
	var logs logFlags
	var settings config.Hub
	cmd := &cobra.Command{
		Use:   "hub",
		Short: "Run a hub and nothing else",
		Long: `Run an IMB hub until SIGINT or SIGTERM. The protocol has no passwords and no
encryption: whoever can reach the address can read and send every event. So it
listens on this machine only, unless --listen says otherwise.`,
		Example: `  imbrouter hub
  imbrouter hub --listen 0.0.0.0:4000`,
		Args: withUsage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logs.logger(cmd, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := checkFlags(cmd, settings.Check); err != nil {
				return err
			}
			outliveLogReader()
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			return serveHub(ctx, settings.Listen, settings.Locator, settings.Options(log))
		},
	}
	logs.register(cmd)
	cmd.Flags().StringVar(&settings.Listen, "listen", "127.0.0.1:4000", "address to listen on; port 0 takes a free one")
	cmd.Flags().StringVar(&settings.Locator, "locator", "", "UDP address, such as 0.0.0.0:4000, at which to answer those who look for a hub on their network (default: nobody is answered)")
	cmd.Flags().DurationVar((*time.Duration)(&settings.SlowConsumerTimeout), "slow-consumer-timeout", 0,
		"disconnect a client whose queue stays more than half full for so long, 1ms to 1h (default 10s)")
	cmd.Flags().IntVar(&settings.MaxConnections, "max-connections", 0, "connections at once, at most 1000000 (default 2048)")
	cmd.Flags().BoolVar(&settings.AllowControl, "allow-control", false, "let clients end the sessions of others")
	return cmd
}

func serveHub(ctx context.Context, listen, locator string, o hub.Options) error {
	listener, err := routerdaemon.Listen(ctx, listen, "--listen")
	if err != nil {
		return err
	}
	o.Log.Info("hub is listening", "address", listener.Addr().String())
	h := hub.New(o)
	if locator != "" {
		if _, err := h.StartLocator(locator, listener.Addr()); err != nil {
			listener.Close()
			return fmt.Errorf("the hub cannot be looked for: %w; --locator sets another address", err)
		}
	}
	defer context.AfterFunc(ctx, func() { _ = h.Close() })()
	if err := h.Serve(listener); !errors.Is(err, hub.ErrClosed) {
		return err
	}
	o.Log.Info("stopped")
	return h.Close()
}
