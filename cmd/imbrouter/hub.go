package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"imbrouter/imb/hub"
)

func hubCommand() *cobra.Command {
	var logs logFlags
	var listen, locator string
	var options hub.Options
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
			if err := checkHub(listen, locator, options); err != nil {
				return usage(cmd, err)
			}
			outliveLogReader()
			options.Log = log
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			return serveHub(ctx, listen, locator, options)
		},
	}
	logs.register(cmd)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:4000", "address to listen on; port 0 takes a free one")
	cmd.Flags().StringVar(&locator, "locator", "", "UDP address, such as 0.0.0.0:4000, at which to answer those who look for a hub on their network (default: nobody is answered)")
	cmd.Flags().DurationVar(&options.SlowConsumerTimeout, "slow-consumer-timeout", 0,
		"disconnect a client whose queue stays more than half full for so long (default 10s)")
	cmd.Flags().IntVar(&options.MaxConnections, "max-connections", 0, "connections at once (default 2048)")
	cmd.Flags().BoolVar(&options.AllowControl, "allow-control", false, "let clients end the sessions of others")
	return cmd
}

// checkHub finds what is wrong with the command line. A limit of 0 is the
// hub's default.
func checkHub(listen, locator string, o hub.Options) error {
	switch {
	case !hasPort(listen):
		return fmt.Errorf("--listen %q: want an address and a port, such as 127.0.0.1:4000, or 0.0.0.0:4000 for every network", listen)
	case locator != "" && !hasPort(locator):
		return fmt.Errorf("--locator %q: want an address and a port, such as 0.0.0.0:4000", locator)
	case o.MaxConnections < 0:
		return fmt.Errorf("--max-connections %d is negative", o.MaxConnections)
	case o.SlowConsumerTimeout < 0:
		return fmt.Errorf("--slow-consumer-timeout %v is negative", o.SlowConsumerTimeout)
	}
	return nil
}

// hasPort tells whether an address has a port.
func hasPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	return err == nil
}

func serveHub(ctx context.Context, listen, locator string, o hub.Options) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("the hub cannot listen: %w; --listen sets another address", err)
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
