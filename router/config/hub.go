package config

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// Hub is the table [hub]: a hub inside the process. A limit that is 0 was left
// out, and the hub's default holds, see hub.Options.
type Hub struct {
	// Listen is the TCP address. A hub has no passwords: who reaches the port
	// may read and send everything. Default "127.0.0.1:4000".
	Listen              string   `toml:"listen"`
	MaxConnections      int      `toml:"max_connections"`
	MaxEvents           int      `toml:"max_events"` // a connection
	Queue               Size     `toml:"queue"`      // a connection
	SlowConsumerTimeout Duration `toml:"slow_consumer_timeout"`
	MaxStreams          int      `toml:"max_streams"` // a connection
	MaxVariables        int      `toml:"max_variables"`
	MaxVariableBytes    Size     `toml:"max_variable_bytes"`
	// AllowControl lets clients end the sessions of others. Default false.
	AllowControl bool `toml:"allow_control"`
}

// Options returns the options of the hub.
func (h *Hub) Options(log *slog.Logger) hub.Options {
	return hub.Options{
		Log: log, MaxConnections: h.MaxConnections, MaxEvents: h.MaxEvents, QueueBytes: int(h.Queue),
		SlowConsumerTimeout: time.Duration(h.SlowConsumerTimeout), MaxStreams: h.MaxStreams,
		MaxVariables: h.MaxVariables, MaxVariableBytes: int(h.MaxVariableBytes), AllowControl: h.AllowControl,
	}
}

// minQueue is the smallest queue of a hub's connection.
const minQueue = 64 << 10

func (l *loader) hub() {
	table := l.table(l.root, "hub")
	if table == nil {
		return
	}
	h := &Hub{Listen: net.JoinHostPort("127.0.0.1", strconv.Itoa(wire.DefaultPort))}
	l.config.Hub = h
	c := &Check{l.document, l.config, []string{"hub"}, table}
	l.decode(table, c.path, h)
	if _, _, err := splitAddress(h.Listen, -1); err != nil {
		c.Errorf("listen", "%v; write an address and a port, such as \"127.0.0.1:4000\"", err)
	}
	for _, limit := range []struct {
		key          string
		value, least int64
		written      string
	}{
		{"max_connections", int64(h.MaxConnections), 1, "1"},
		{"max_events", int64(h.MaxEvents), 1, "1"},
		{"queue", int64(h.Queue), minQueue, Size(minQueue).String()},
		{"slow_consumer_timeout", int64(h.SlowConsumerTimeout), int64(time.Millisecond), "1ms"},
		{"max_streams", int64(h.MaxStreams), 1, "1"},
		{"max_variables", int64(h.MaxVariables), 1, "1"},
		{"max_variable_bytes", int64(h.MaxVariableBytes), 1, "1B"},
	} {
		if c.Defined(limit.key) && limit.value < limit.least {
			c.Errorf(limit.key, "must be at least %s", limit.written)
		}
	}
}

// splitAddress splits "host:port". Without a port it is defaultPort, or an
// error when that is negative.
func splitAddress(address string, defaultPort int) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil && defaultPort >= 0 {
		host, text, err = net.SplitHostPort(net.JoinHostPort(strings.Trim(address, "[]"), strconv.Itoa(defaultPort)))
	}
	if err != nil {
		return "", 0, fmt.Errorf("%q is no address with a port", address)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no port from 0 to 65535", text)
	}
	if strings.ContainsAny(host, " \t\r\n/\\@") {
		return "", 0, fmt.Errorf("%q is no host", host)
	}
	return host, int(n), nil
}
