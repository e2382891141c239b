package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/durable"
)

// relayEventPath returns the path of the file with the name of the relay event of
// the daemon that runs a configuration, or ran it last. Each daemon has another
// name, so that one that runs with a copy of the state_dir is not taken for it.
func relayEventPath(cfg *config.Config) string {
	return filepath.Join(cfg.Router.StateDir, strings.TrimSuffix(filepath.Base(cfg.Path), ".toml")+".relay")
}

// keepRelayEvent writes the file, for Replay.
func (d *Daemon) keepRelayEvent(cfg *config.Config) error {
	return durable.ReplacePath(relayEventPath(cfg), 0o600, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, d.echoes.RelayEvent())
		return err
	})
}

// outsideEchoes are the Echoes of a process beside the daemon: what it relays, a
// hub of this project keeps from the daemon's sources that ignore it, as if the
// daemon had relayed it. There is nobody to ignore it when no daemon has run.
func outsideEchoes(cfg *config.Config) (*router.Echoes, error) {
	text, err := os.ReadFile(relayEventPath(cfg))
	event := strings.TrimSpace(string(text))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		event = ""
	case err != nil:
		return nil, err
	case !strings.HasPrefix(event, wire.RelayPrefix) || len(event) > wire.MaxNameLength:
		return nil, fmt.Errorf("%q does not hold the name of a relay event; the router writes it anew when it starts", relayEventPath(cfg))
	}
	echoes := router.NewEchoes(event)
	for _, source := range cfg.Sources {
		if t := source.Traffic(); t.IgnoreRelayed {
			echoes.Listen(cfg.Connections[t.Connection].Hub(), func(string) bool { return false })
		}
	}
	return echoes, nil
}
