// Package daemon makes a configuration run: the hub that it may hold, its
// connections, sources, sinks and routes.
//
//	cfg, err := config.Load("router.toml", kinds)
//	if err != nil { … }
//	d, err := daemon.New(cfg, daemon.Options{Log: slog.Default()})
//	if err != nil { … }
//	err = d.Run(ctx)
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/router"
	"imbrouter/router/config"
)

// Options are what a configuration does not hold. The zero value is usable.
type Options struct {
	Log         *slog.Logger // nil discards
	LogProgress bool         // see router.Options
	OnReady     func()       // see router.Options
}

// Daemon is a configuration made to run, once.
type Daemon struct {
	config *config.Config
	log    *slog.Logger
	hub    *hub.Hub // nil when the configuration has none
	router *router.Router
}

// New builds everything that the configuration names. It touches no file and
// no socket.
func New(cfg *config.Config, o Options) (*Daemon, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Daemon{config: cfg, log: o.Log}
	if cfg.Hub != nil {
		d.hub = hub.New(cfg.Hub.Options(o.Log.With("hub", cfg.Hub.Listen)))
	}
	env := router.Env{
		Connections: d.connections(), Echoes: new(router.Echoes), StateDir: cfg.Router.StateDir,
	}
	plan := router.Plan{Sources: map[string]router.Source{}, Sinks: map[string]router.Sink{}, Routes: cfg.Routes}
	for name, part := range cfg.Sinks {
		env.Name, env.Log = name, o.Log.With("sink", name)
		sink, err := part.Build(env)
		if err != nil {
			return nil, fmt.Errorf("sink %q: %w", name, err)
		}
		plan.Sinks[name] = sink
	}
	for name, part := range cfg.Sources {
		env.Name, env.Log = name, o.Log.With("source", name)
		source, err := part.Build(env)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", name, err)
		}
		plan.Sources[name] = source
	}
	r, err := router.New(plan, router.Options{
		Log: o.Log, StopTimeout: time.Duration(cfg.Router.StopTimeout),
		LogProgress: o.LogProgress, OnReady: o.OnReady,
	})
	d.router = r
	return d, err
}

func (d *Daemon) connections() map[string]router.Connection {
	all := map[string]router.Connection{}
	for name, c := range d.config.Connections {
		o := imb.Options{
			Address: c.Address, Federation: c.Federation, OwnerID: c.OwnerID, OwnerName: c.OwnerName,
		}
		if c.Internal {
			o.Dial, o.Address = d.hub.Dial, ""
		}
		all[name] = router.Connection{Name: name, Hub: c.Hub(), Options: o}
	}
	return all
}

// Router returns the running router.
func (d *Daemon) Router() *router.Router { return d.router }

// Run serves the hub and runs the router until ctx ends; see router.Router.Run
// for how it stops.
func (d *Daemon) Run(ctx context.Context) error {
	if d.hub == nil {
		return d.router.Run(ctx)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.config.Hub.Listen)
	if err != nil {
		return fmt.Errorf("the hub cannot listen: %w; is another hub running there? `listen` in [hub] sets the address", err)
	}
	d.log.Info("hub is listening", "address", listener.Addr().String())
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		d.log.Warn("the hub is open to the network, and the protocol has no passwords", "listen", listener.Addr().String())
	}
	serving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.hub.Serve(listener); !errors.Is(err, hub.ErrClosed) {
			stop(fmt.Errorf("the hub stopped: %w", err))
		}
	})
	err = d.router.Run(serving)
	if cause := context.Cause(serving); err == nil && ctx.Err() == nil && cause != nil {
		err = cause
	}
	if closeErr := d.hub.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	running.Wait()
	return err
}
