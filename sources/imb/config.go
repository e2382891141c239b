package imb

import (
	_ "embed"
	"time"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/config"
)

// Limits of the configuration.
const (
	maxStreams  = 100_000
	maxParallel = 1000 // each is a goroutine with its open streams
)

// Config is the table of an imb source.
type Config struct {
	// Connection names the connection to subscribe on. It may be left out when
	// there is one only.
	Connection string `toml:"connection"`
	// Events are the names to subscribe to, without federation. One that ends
	// in "*" takes every event that begins so; one that begins with "=" is a
	// full name. Required.
	Events []string `toml:"events"`
	// IgnoreRelayed leaves out what this router itself relayed to the hub from
	// a hub. Files that it sends from a folder still count. Default false.
	IgnoreRelayed bool `toml:"ignore_relayed"`
	// Queue is how much may wait between the connection and the routes. A full
	// queue makes the hub wait. From "64KiB" to "1GiB", default "8MiB".
	Queue config.Size `toml:"queue"`
	// BlockTimeout is how long a full queue may make the hub wait while the routes
	// take nothing at all. Then what is queued is given up: streams in it end as
	// incomplete, signals become dead letters. Default "8s", which is less than
	// after what a hub disconnects a slow client.
	BlockTimeout config.Duration `toml:"block_timeout"`
	// MaxStreams is how many streams may be open at once; more are refused.
	// From 1 to 100000, default 1000.
	MaxStreams int `toml:"max_streams"`
	// StreamTimeout ends a stream as incomplete that has been silent for so
	// long. Default "60s".
	StreamTimeout config.Duration `toml:"stream_timeout"`
	// Parallel is how many whole streams may be on their way to disk or to
	// another hub at once, while the next ones come in. From 1 to 1000, default
	// 16.
	Parallel int `toml:"parallel"`

	names []string // full, in the order of Events
}

// NewConfig returns a Config with the defaults.
func NewConfig() *Config {
	return &Config{
		Queue: 8 << 20, BlockTimeout: config.Duration(8 * time.Second),
		MaxStreams: 1000, StreamTimeout: config.Duration(time.Minute), Parallel: 16,
	}
}

//go:embed config.go
var goSource string

// GoSource implements config.Commented.
func (c *Config) GoSource() string { return goSource }

// Check implements config.Part.
func (c *Config) Check(check *config.Check) {
	c.Connection = check.Connection(c.Connection)
	if len(c.Events) == 0 {
		check.Missing("events")
	}
	seen := map[string]bool{}
	for i, event := range c.Events {
		full := check.EventPattern("events", i, c.Connection, event)
		key := wire.FoldName(full)
		if seen[key] {
			check.ItemErrorf("events", i, "%q is there already; case does not count", full)
		}
		seen[key] = true
		c.names = append(c.names, full)
	}
	config.Range(check, "queue", c.Queue, config.MinQueue, config.MaxQueue)
	check.Positive("block_timeout", c.BlockTimeout)
	config.Range(check, "max_streams", c.MaxStreams, 1, maxStreams)
	check.Positive("stream_timeout", c.StreamTimeout)
	config.Range(check, "parallel", c.Parallel, 1, maxParallel)
}

// Traffic implements config.Part.
func (c *Config) Traffic() config.Traffic {
	return config.Traffic{Connection: c.Connection, Events: c.names, IgnoreRelayed: c.IgnoreRelayed}
}

// Build implements config.Source.
func (c *Config) Build(env router.Env) (router.Source, error) {
	s := &source{
		config: *c, connection: env.Connections[c.Connection], log: env.Log, ready: make(chan struct{}),
		losses: router.NewFailureLog(env.Log, "stream lost", "streams get through again"),
	}
	if c.IgnoreRelayed {
		s.relays = env.Echoes
	}
	return s, nil
}

// subscribed tells whether a full event name is one that the source takes.
func (s *source) subscribed(full string) bool {
	for _, name := range s.config.names {
		if wire.MatchName(name, full) {
			return true
		}
	}
	return false
}
