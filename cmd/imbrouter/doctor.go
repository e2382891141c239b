package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os/user"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"imbrouter/imb"
	"imbrouter/router/canary"
	"imbrouter/router/config"
)

// hubTimeout is how long a hub may take to answer.
const hubTimeout = 5 * time.Second

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor FILE",
		Short: "Try out the folders and hubs of a configuration, and say what to change",
		Long: `Try out what a configuration needs of this machine and of its hubs. In each
folder a file is made, synced, moved, noticed and removed; free space and limits
of the system are looked at; each connection connects and waits until its hub has
answered. Run it as the user that runs imbrouter. It may be run beside it: its
files have names that begin with a dot, and are gone when it ends. Folders that do
not exist are not made. The exit code is 1 when something must be changed.`,
		Example: "  imbrouter doctor examples/quickstart.toml",
		Args:    withUsage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(args[0], kinds)
			if err != nil {
				return err
			}
			d := doctor{out: cmd.OutOrStdout(), config: cfg}
			d.examine(cmd.Context())
			if err := cmd.Context().Err(); err != nil {
				return fmt.Errorf("interrupted: %w", err)
			}
			if d.bad > 0 {
				return fmt.Errorf("%s must be changed", count(d.bad, "thing"))
			}
			return nil
		},
	}
}

// doctor prints what it finds.
type doctor struct {
	out    io.Writer
	config *config.Config
	bad    int
}

func (d *doctor) examine(ctx context.Context) {
	if u, err := user.Current(); err == nil {
		fmt.Fprintf(d.out, "as user %s\n", printable(u.Username))
	}
	examineParts(ctx, d, "source", d.config.Sources)
	examineParts(ctx, d, "sink", d.config.Sinks)
	d.report("folder for the router's own files, "+shortPath(d.config.Router.StateDir), canary.Try(d.config.Router.StateDir, nil))
	if d.config.Hub != nil {
		findings := []config.Finding{examineListen(ctx, d.config.Hub.Listen)}
		if locator := d.config.Hub.Locator; locator != "" {
			findings = append(findings, examineLocator(ctx, locator))
		}
		d.report("hub of this file", findings)
	}
	for _, name := range slices.Sorted(maps.Keys(d.config.Connections)) {
		if c := d.config.Connections[name]; !c.IsOwnHub() {
			d.report(fmt.Sprintf("connection %q, hub at %s", name, c.Address), []config.Finding{examineHub(ctx, c)})
		}
	}
}

func examineParts[P config.Part](ctx context.Context, d *doctor, kind string, parts map[string]P) {
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if part, ok := any(parts[name]).(config.Examiner); ok {
			folder := parts[name].Traffic().Folder
			d.report(fmt.Sprintf("%s %q, %s%c", kind, name, shortPath(folder), filepath.Separator), part.Examine(ctx))
		}
	}
}

func (d *doctor) report(what string, findings []config.Finding) {
	fmt.Fprintln(d.out, what)
	for _, f := range findings {
		if f.Err == nil {
			fmt.Fprintf(d.out, "  ok    %s\n", escaped(f.What))
			continue
		}
		d.bad++
		fmt.Fprintf(d.out, "  FAIL  %s: %s\n", escaped(f.What), escaped(f.Err.Error()))
	}
}

// examineListen tries to listen where the hub of the file is to. A hub that does
// already is no fault: this configuration may be running.
func examineListen(ctx context.Context, address string) config.Finding {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err == nil {
		_ = listener.Close()
		return config.Finding{What: "it can listen on " + address}
	}
	if examineHub(ctx, &config.Connection{Address: address, OwnerName: "imbrouter"}).Err == nil {
		return config.Finding{What: "a hub listens on " + address + " already, as it does while this configuration runs"}
	}
	return config.Finding{
		What: "it can listen on " + address,
		Err:  fmt.Errorf("%w; stop what does, or set another `listen` in [hub]", err),
	}
}

// examineLocator tries to answer where the hub of the file is to be looked for. As
// in examineListen, one that answers already is no fault.
func examineLocator(ctx context.Context, address string) config.Finding {
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", address)
	if err == nil {
		_ = conn.Close()
		return config.Finding{What: "it can be looked for at " + address}
	}
	ask := address
	if host, port, err := net.SplitHostPort(address); err == nil && (host == "" || net.ParseIP(host).IsUnspecified()) {
		ask = net.JoinHostPort("127.0.0.1", port)
	}
	if _, err := imb.Locate(ctx, ask); err == nil {
		return config.Finding{What: "a hub is found at " + address + " already, as it is while this configuration runs"}
	}
	return config.Finding{
		What: "it can be looked for at " + address,
		Err:  fmt.Errorf("%w; stop what uses it, or set another `locator` in [hub]", err),
	}
}

// examineHub connects, and waits until the hub has answered.
func examineHub(ctx context.Context, c *config.Connection) config.Finding {
	ctx, cancel := context.WithTimeoutCause(ctx, hubTimeout, fmt.Errorf("no answer within %v", hubTimeout))
	defer cancel()
	begun := time.Now()
	client, err := imb.Connect(ctx, imb.Options{
		Address: c.Address, Federation: c.Federation, OwnerID: c.OwnerID, OwnerName: c.OwnerName,
	})
	if err == nil {
		err = client.Flush(ctx)
		_ = disconnect(ctx, client)
	}
	if err == nil {
		return config.Finding{What: fmt.Sprintf("it answers (%v)", time.Since(begun).Round(100*time.Microsecond))}
	}
	return config.Finding{What: "it answers", Err: fmt.Errorf("%w; start it, or correct the address", err)}
}
