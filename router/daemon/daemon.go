// Package daemon makes a configuration run: the hub that it may hold, its
// connections, sources, sinks and routes.
//
//	cfg, err := config.Load("router.toml", kinds)
//	if err != nil { … }
//	d, err := daemon.New(cfg, daemon.Options{Log: slog.Default()})
//	if err != nil { … }
//	err = d.Run(ctx)
//
// While it runs, Reload takes another configuration.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/deadletter"
	"imbrouter/router/journal"
)

// Options are what a configuration does not hold. The zero value is usable.
type Options struct {
	Log         *slog.Logger // nil discards
	LogProgress bool         // see router.Options
	OnReady     func()       // see router.Options
}

// Daemon is a configuration made to run, once.
type Daemon struct {
	log     *slog.Logger
	levels  *router.RouteLog // the handler of log
	hub     *hub.Hub         // nil when the configuration has none
	listen  string           // its address
	locator string           // the address at which it can be looked for; "" for none
	echoes  router.Echoes
	router  *router.Router
	probe   probe

	journal *journal.Journal // nil when it is switched off
	letters *deadletter.Store

	mu     sync.Mutex                    // held by Reload
	config atomic.Pointer[config.Config] // the one that runs
	plan   router.Plan
}

// New builds everything that the configuration names, and opens the journal and
// the dead letters, which Run closes. It touches no other file and no socket.
func New(cfg *config.Config, o Options) (_ *Daemon, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	levels := router.NewRouteLog(o.Log.Handler())
	d := &Daemon{log: slog.New(levels), levels: levels, probe: probe{asked: make(chan struct{}, 1)}}
	d.config.Store(cfg)
	if cfg.Hub != nil {
		d.listen, d.locator = cfg.Hub.Listen, cfg.Hub.Locator
		d.hub = hub.New(cfg.Hub.Options(d.log.With("hub", cfg.Hub.Listen)))
	}
	if err := d.openState(cfg); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.closeState())
		}
	}()
	if d.plan, err = d.build(cfg, new(config.Config).Compare(cfg)); err != nil {
		return nil, err
	}
	d.levels.Follow(d.plan.Routes)
	d.router, err = router.New(d.plan, router.Options{
		Log: d.log, StopTimeout: time.Duration(cfg.Router.StopTimeout),
		LogProgress: o.LogProgress, OnReady: o.OnReady,
		Journal: d.journal, DeadLetters: d.letters, Hash: cfg.Router.JournalSHA256,
	})
	return d, err
}

// openState opens what the daemon keeps in its state_dir.
func (d *Daemon) openState(cfg *config.Config) (err error) {
	settings := cfg.Router
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w; `state_dir` in [router] says where the router keeps its own files", err)
		}
	}()
	if settings.Journal {
		d.journal, err = journal.Open(journal.Path(settings.StateDir, cfg.Path), journal.Options{
			Log: d.log, MaxSize: int64(settings.JournalMaxSize), MaxFiles: settings.JournalMaxFiles,
		})
		if err != nil {
			return err
		}
	}
	d.letters, err = deadletter.Open(deadletter.Dir(settings.StateDir, cfg.Path), deadletter.Options{
		Log: d.log, MaxSize: int64(settings.DeadLetterMaxSize), MaxAge: time.Duration(settings.DeadLetterMaxAge),
	})
	if err != nil {
		return errors.Join(err, d.journal.Close())
	}
	if err = d.keepRelayEvent(cfg); err != nil {
		return errors.Join(err, d.closeState())
	}
	return nil
}

func (d *Daemon) closeState() error { return errors.Join(d.letters.Close(), d.journal.Close()) }

// build makes the parts of a configuration that differ from those that are
// there, and takes the others.
func (d *Daemon) build(cfg *config.Config, diff config.Difference) (plan router.Plan, err error) {
	env := router.Env{Connections: connections(cfg, d.inside), Echoes: &d.echoes, Log: d.log}
	if plan.Sinks, err = buildParts("sink", cfg.Sinks, d.plan.Sinks, diff.Sinks, env); err != nil {
		return plan, err
	}
	if plan.Sources, err = buildParts("source", cfg.Sources, d.plan.Sources, diff.Sources, env); err != nil {
		return plan, err
	}
	for _, route := range cfg.Routes {
		if !diff.Routes.Differs(route.Name) {
			route = d.plan.Routes[slices.IndexFunc(d.plan.Routes, func(r router.Route) bool { return r.Name == route.Name })]
		}
		plan.Routes = append(plan.Routes, route)
	}
	return plan, nil
}

// buildParts builds all sources, or all sinks, but takes from before those that
// do not differ. Each gets env with its own name and log.
func buildParts[P any, C interface {
	Build(router.Env) (P, error)
}](kind string, configured map[string]C, before map[string]P, diff config.Names, env router.Env) (map[string]P, error) {
	log := env.Log
	parts := map[string]P{}
	for name, part := range configured {
		if !diff.Differs(name) {
			parts[name] = before[name]
			continue
		}
		env.Name, env.Log = name, log.With(kind, name)
		built, err := part.Build(env)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", kind, name, err)
		}
		parts[name] = built
	}
	return parts, nil
}

// ErrNeedsRestart is wrapped by the error of Reload for what can only change
// when the process starts anew.
var ErrNeedsRestart = errors.New("takes effect at a restart only")

// Reload puts another configuration in the place of the one that runs, as
// router.Router.Apply says, and returns what has changed. An error leaves
// everything as it was.
func (d *Daemon) Reload(ctx context.Context, cfg *config.Config) (config.Difference, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	diff := d.Config().Compare(cfg)
	if len(diff.Fixed) > 0 {
		return diff, fmt.Errorf("a change of %s %w", strings.Join(diff.Fixed, " and "), ErrNeedsRestart)
	}
	plan, err := d.build(cfg, diff)
	if err != nil {
		return diff, err
	}
	d.levels.Follow(plan.Routes) // also for what is told while it is applied
	if err := d.router.Apply(ctx, plan); err != nil {
		d.levels.Follow(d.plan.Routes)
		return diff, err
	}
	d.config.Store(cfg)
	d.plan = plan
	return diff, nil
}

// connections are those of a configuration. inside makes one lead to the hub in
// the daemon.
func connections(cfg *config.Config, inside func(*imb.Options)) map[string]router.Connection {
	all := map[string]router.Connection{}
	for name, c := range cfg.Connections {
		o := imb.Options{Address: c.Address, Federation: c.Federation, OwnerID: c.OwnerID, OwnerName: c.OwnerName}
		if c.Internal {
			inside(&o)
		}
		all[name] = router.Connection{Name: name, Hub: c.Hub(), Options: o}
	}
	return all
}

// inside makes a connection lead to the hub in the daemon, without a socket.
func (d *Daemon) inside(o *imb.Options) { o.Dial, o.Address = d.hub.Dial, "" }

// Connect connects to the hub of a connection for somebody who wants to look on.
// Names of events are full ones there.
func (d *Daemon) Connect(ctx context.Context, connection string) (*imb.Client, error) {
	c, ok := connections(d.Config(), d.inside)[connection]
	if !ok {
		return nil, fmt.Errorf("there is no connection %q", connection)
	}
	c.Options.Federation = ""
	return imb.Connect(ctx, c.Options)
}

// Config returns the configuration that runs.
func (d *Daemon) Config() *config.Config { return d.config.Load() }

// HubStats returns the counts of the hub inside. It waits for the hub's lock, see
// Stuck. There is none without [hub].
func (d *Daemon) HubStats() (stats hub.Stats, ok bool) {
	if d.hub == nil {
		return hub.Stats{}, false
	}
	return d.hub.Stats(), true
}

// Log returns the log that goes by the routes' own levels.
func (d *Daemon) Log() *slog.Logger { return d.log }

// Router returns the running router.
func (d *Daemon) Router() *router.Router { return d.router }

// Run serves the hub and runs the router until ctx ends; see router.Router.Run
// for how it stops.
func (d *Daemon) Run(ctx context.Context) (err error) {
	defer func() {
		if closeErr := d.closeState(); err == nil {
			err = closeErr
		}
	}()
	stopProbe := d.startProbe()
	defer stopProbe()
	if d.hub == nil {
		return d.router.Run(ctx)
	}
	listener, err := Listen(ctx, d.listen, "`listen` in [hub]")
	if err != nil {
		return err
	}
	d.log.Info("hub is listening", "address", listener.Addr().String())
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		d.log.Warn("the hub is open to the network, and the protocol has no passwords", "listen", listener.Addr().String())
	}
	if d.locator != "" {
		if _, err := d.hub.StartLocator(d.locator, listener.Addr()); err != nil {
			listener.Close()
			return fmt.Errorf("the hub cannot be looked for: %w; `locator` in [hub] sets another address, or none", err)
		}
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
