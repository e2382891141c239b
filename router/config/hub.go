package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// Hub is the table [hub]: a hub inside the process, for clients on this machine
// and others. Its limits keep one client from using up the hub.
//
// A limit that is 0 was left out, and the hub's default holds, see hub.Options.
type Hub struct {
	// Listen is the TCP address. A hub has no passwords: who reaches the port
	// may read and send everything. Port 0 takes a free one, which the log tells.
	// Default "127.0.0.1:4000".
	Listen string `toml:"listen"`
	// Locator is the UDP address, such as "0.0.0.0:4000", at which those are
	// answered who look for a hub on their network. Default "": they are not.
	//
	// See hub.Hub.StartLocator.
	Locator string `toml:"locator"`
	// MaxConnections is how many clients there may be at once; more are
	// refused. From 1 to 1000000, default 2048.
	MaxConnections int `toml:"max_connections"`
	// MaxEvents is how many events one client may publish, subscribe or name.
	// From 1 to 10000000, default 20000.
	MaxEvents int `toml:"max_events"`
	// Queue is how much may wait for one client. A full queue makes its senders
	// wait. From "64KiB" to "1GiB", default "8MiB".
	Queue Size `toml:"queue"`
	// SlowConsumerTimeout is how long the queue of a client may stay more than
	// half full before it is disconnected. From "1ms" to "1h", default "10s".
	SlowConsumerTimeout Duration `toml:"slow_consumer_timeout"`
	// MaxStreams is how many streams one client may have open. From 1 to
	// 10000000, default 20000.
	MaxStreams int `toml:"max_streams"`
	// MaxVariables is how many variables there may be in all. From 1 to
	// 10000000, default 10000.
	MaxVariables int `toml:"max_variables"`
	// MaxVariableBytes is what names and values of all variables may take
	// together. From "1B" to "1GiB", default "4MiB".
	MaxVariableBytes Size `toml:"max_variable_bytes"`
	// MaxTimers is how many timers there may be in all. From 1 to 100000,
	// default 1000.
	MaxTimers int `toml:"max_timers"`
	// MinTickInterval is the least time between two ticks of a timer. From
	// "100µs" to "1h", default "1ms".
	MinTickInterval Duration `toml:"min_tick_interval"`
	// AllowControl lets clients end the sessions of others. Default false.
	AllowControl bool `toml:"allow_control"`
}

// Options returns the options of the hub.
func (h *Hub) Options(log *slog.Logger) hub.Options {
	return hub.Options{
		Log: log, MaxConnections: h.MaxConnections, MaxEvents: h.MaxEvents, QueueBytes: int(h.Queue),
		SlowConsumerTimeout: time.Duration(h.SlowConsumerTimeout), MaxStreams: h.MaxStreams,
		MaxVariables: h.MaxVariables, MaxVariableBytes: int(h.MaxVariableBytes),
		MaxTimers: h.MaxTimers, MinTickInterval: time.Duration(h.MinTickInterval), AllowControl: h.AllowControl,
	}
}

// Bounds of a queue in memory, of a hub's connection or of a source or sink.
const (
	MinQueue Size = 64 << 10
	MaxQueue Size = 1 << 30
)

// maxNumber is the largest number of things, each of which takes some memory.
const maxNumber = 10_000_000

// maxTimers is the largest number of timers, each of which runs by itself.
const maxTimers = 100_000

func (l *loader) hub() {
	table := l.table(l.root, "hub")
	if table == nil {
		return
	}
	h := &Hub{Listen: net.JoinHostPort("127.0.0.1", strconv.Itoa(wire.DefaultPort))}
	l.config.Hub = h
	c := &Check{l.document, l.config, []string{"hub"}, table}
	l.decode(table, c.path, h)
	h.Check(c)
}

// Check reports every value that is wrong, in a file or on a command line. Of a
// limit that is not defined the hub knows the default.
func (h *Hub) Check(r Reporter) {
	if _, _, err := splitAddress(h.Listen, -1); err != nil {
		r.Errorf("listen", "%v; write an address and a port, such as \"127.0.0.1:4000\"", err)
	}
	if _, _, err := splitAddress(h.Locator, -1); err != nil && h.Locator != "" {
		r.Errorf("locator", "%v; write an address and a port, such as \"0.0.0.0:4000\", or leave it out", err)
	}
	limit(r, "max_connections", h.MaxConnections, 1, 1_000_000)
	limit(r, "max_events", h.MaxEvents, 1, maxNumber)
	limit(r, "queue", h.Queue, MinQueue, MaxQueue)
	limit(r, "slow_consumer_timeout", h.SlowConsumerTimeout, Duration(time.Millisecond), Duration(time.Hour))
	limit(r, "max_streams", h.MaxStreams, 1, maxNumber)
	limit(r, "max_variables", h.MaxVariables, 1, maxNumber)
	limit(r, "max_variable_bytes", h.MaxVariableBytes, 1, MaxQueue)
	limit(r, "max_timers", h.MaxTimers, 1, maxTimers)
	limit(r, "min_tick_interval", h.MinTickInterval, Duration(100*time.Microsecond), Duration(time.Hour))
}

func limit[T cmp.Ordered](r Reporter, key string, value, least, most T) {
	if !r.Defined(key) {
		value = least
	}
	Range(r, key, value, least, most)
}

// listensAt tells whether a connection to an address comes to the hub.
func (h *Hub) listensAt(host string, port int) bool {
	ownHost, ownPort, err := splitAddress(h.Listen, -1)
	if err != nil || ownPort != port {
		return false
	}
	everywhere := ownHost == "" || isUnspecified(ownHost)
	return everywhere && isThisMachine(host) || sameHost(ownHost) == sameHost(host)
}

// splitAddress splits "host:port". Without a port it is defaultPort, or an
// error when that is negative.
func splitAddress(address string, defaultPort int) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil && defaultPort >= 0 {
		host, text, err = address, strconv.Itoa(defaultPort), nil
		if strings.HasPrefix(address, "[") && strings.HasSuffix(address, "]") {
			host = address[1 : len(address)-1]
		}
	}
	if err != nil {
		return "", 0, fmt.Errorf("%q is no address with a port", address)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no port from 0 to 65535", text)
	}
	if !isHost(host) {
		return "", 0, fmt.Errorf("%q is no host", host)
	}
	return host, int(n), nil
}

// isHost tells whether a text may be a name or an IP address; "" may be.
func isHost(host string) bool {
	bad := strings.ContainsFunc(host, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("[]/\\@", r)
	})
	return !bad && (!strings.Contains(host, ":") || parseIP(host) != nil)
}
