package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"imbrouter/router/admin"
	"imbrouter/router/admin/web"
	"imbrouter/router/config"
	routerdaemon "imbrouter/router/daemon"
)

func runCommand() *cobra.Command {
	var logs logFlags
	var watch bool
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run the routes of a configuration file until stopped",
		Long: `Run the routes of a configuration file until SIGINT or SIGTERM.

Stopping is clean: nothing new is taken in, and what is in flight gets the
stop_timeout of the configuration to finish. A second signal stops at once;
files that were not sent stay where they are.

SIGHUP makes it read the file again, and with --watch it does so whenever the
file has changed. What is the same goes on undisturbed; a file that is wrong
changes nothing, and the log says so. A change of [hub], [router] or [admin]
needs a restart. "imbrouter status" tells how it is meanwhile.`,
		Example: `  imbrouter run examples/quickstart.toml
  imbrouter run --log-format json /etc/imbrouter/imbrouter.toml`,
		Args: withUsage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return asService(cmd.Context(), func(ctx context.Context, h host) error {
				return run(ctx, cmd, args[0], &logs, watch, h)
			})
		},
	}
	logs.register(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "read the file again whenever it has changed")
	return cmd
}

func run(ctx context.Context, cmd *cobra.Command, path string, logs *logFlags, watch bool, h host) error {
	cfg, err := config.Load(path, kinds)
	if err != nil {
		return err
	}
	outliveLogReader()
	stderr := cmd.ErrOrStderr()
	onTerminal := isTerminal(stderr)
	var bars *progressBars
	if logs.format == "text" && onTerminal {
		bars = newProgressBars(stderr)
		defer bars.close()
		stderr = bars
	}
	logs.events = h.events
	log, err := logs.logger(cmd, stderr)
	if err != nil {
		return err
	}
	warn(log, cfg)
	manager := &serviceManager{log: log}
	var server *admin.Server
	d, err := routerdaemon.New(cfg, routerdaemon.Options{
		Log: log, LogProgress: bars == nil,
		OnReady: func() {
			server.Enter(admin.Running)
			if logs.format == "text" {
				fmt.Fprint(stderr, introduction(cfg))
			}
			manager.ready(cfg)
			if h.ready != nil {
				h.ready()
			}
		},
	})
	if err != nil {
		return err
	}
	r := newReloader(path, d, log, manager)
	dog := newWatchdog(log, manager, d.Stuck)
	token, err := adminToken(cfg.Admin)
	if err != nil {
		return err
	}
	server = admin.New(admin.Options{Daemon: d, Reloader: r, Stuck: dog.stuck, Version: version(), Token: token, Log: log})
	page := web.New(web.Options{Daemon: d, Status: server.Status, Reload: r.Reload, Log: d.Log()})
	server.Handle("/", page)
	ctx, stopHangups := r.listen(ctx, onTerminal, h)
	defer stopHangups()
	if watch {
		if r.watcher, err = watchFolder(path); err != nil {
			return err
		}
		defer r.watcher.Close()
	}
	if bars != nil {
		stop := bars.follow(d.Router())
		defer stop()
	}
	listener, err := listenAdmin(cfg.Admin, log)
	if err != nil {
		return err
	}
	running, stopRunning := context.WithCancel(ctx)                    // until it is to stop, or fails
	watching, stopWatching := context.WithCancel(context.Background()) // until it has stopped
	var helpers sync.WaitGroup
	helpers.Go(func() { r.run(running) })
	helpers.Go(func() {
		<-running.Done()
		if ctx.Err() == nil {
			return
		}
		hint := ""
		if !h.isService() {
			stopOnSecondSignal(d)
			hint = "; a second signal stops at once"
		}
		log.Info("stopping: what is in flight gets time to finish"+hint, "stop_timeout", cfg.Router.StopTimeout.String())
		server.Enter(admin.Stopping)
		manager.stopping(cfg)
	})
	helpers.Go(func() { dog.run(watching) })
	if listener != nil {
		helpers.Go(func() { page.Run(watching) })
		helpers.Go(func() {
			if err := server.Serve(watching, listener); err != nil {
				log.Error("nobody can ask any more how the router is", "error", err)
			}
		})
	}
	err = d.Run(ctx)
	stopRunning()
	stopWatching()
	helpers.Wait()
	if err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// listenAdmin returns the listener of the admin address, or nil for none. What the
// file does not ask for keeps nobody from running, unless another router does.
func listenAdmin(a config.Admin, log *slog.Logger) (net.Listener, error) {
	if a.Listen == config.AdminOff {
		return nil, nil
	}
	listener, err := admin.Listen(a.Listen)
	if err != nil {
		if a.ByDefault && !errors.Is(err, admin.ErrInUse) {
			log.Warn("nobody can ask how the router is", "error", err)
			return nil, nil
		}
		return nil, err
	}
	tellAdmin(listener.Addr(), a, log)
	return listener, nil
}

// adminToken reads the token that those who ask must have; "" for none.
func adminToken(a config.Admin) (string, error) {
	if a.TokenFile == "" || a.Listen == config.AdminOff {
		return "", nil
	}
	return admin.ReadToken(a.TokenFile)
}

// tellAdmin logs where the router can be asked, and where a browser finds its page:
// none can open a socket.
func tellAdmin(at net.Addr, a config.Admin, log *slog.Logger) {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return
	}
	host, _, _ := net.SplitHostPort(a.Listen)
	if host == "" || tcp.IP.IsUnspecified() { // all addresses of the machine
		host = "localhost"
	}
	log.Info("admin address is open", "address", tcp.String(), "page", "http://"+net.JoinHostPort(host, strconv.Itoa(tcp.Port))+"/")
	if !tcp.IP.IsLoopback() {
		log.Warn("the page is open to the network, to those who have the token; it is not encrypted",
			"listen", tcp.String(), "token_file", a.TokenFile)
	}
}

// stopOnSecondSignal cuts off what is in flight when another signal comes. It
// lasts until the process ends.
func stopOnSecondSignal(d *routerdaemon.Daemon) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-again
		d.Router().StopNow()
	}()
}

// introduction says in a few lines what the daemon does and what to try.
func introduction(cfg *config.Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "imbrouter runs %s\n", cfg.Path)
	if cfg.Hub != nil {
		fmt.Fprintf(&b, "  hub       %s\n", cfg.Hub.Listen)
	}
	for _, route := range cfg.Routes {
		fmt.Fprintf(&b, "  %-9s %s -> %s\n", route.Name, strings.Join(route.From, ", "), strings.Join(route.To, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		if folder := cfg.Sources[name].Traffic().Folder; folder != "" {
			fmt.Fprintf(&b, "Try: drop a file into %s%c\n", shortPath(folder), filepath.Separator)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		if folder := cfg.Sinks[name].Traffic().Folder; folder != "" {
			fmt.Fprintf(&b, "Files that come in land in %s%c\n", shortPath(folder), filepath.Separator)
		}
	}
	fmt.Fprintln(&b, "Ctrl-C stops it.")
	return b.String()
}

// shortPath is relative where that is shorter to read.
func shortPath(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
