package imb

import (
	"strings"

	"imbrouter/imb"
	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/config"
)

// Config is the table of an imb sink.
type Config struct {
	// Connection names the connection to publish on. It may be left out when
	// there is one only.
	Connection string `toml:"connection"`
	// Event is the name, without federation, under which everything is
	// published. Default: the message's own event name, in this connection's
	// federation.
	Event string `toml:"event"`
	// ChunkSize is the size of a stream's bodies. Default "64KiB", at most "10MiB" less 16 bytes.
	ChunkSize config.Size `toml:"chunk_size"`
	// PyimbSafe ends a body early where pyimb would take its bytes for the end
	// of a frame. Default true.
	PyimbSafe bool `toml:"pyimb_safe"`
	// Queue is how much may wait to be sent. A full queue holds the source up.
	// Default "8MiB".
	Queue config.Size `toml:"queue"`
	// WhenDown says what becomes of signals while the hub is away: "queue"
	// lets them wait in the queue, "fail" makes them fail. Default "queue".
	WhenDown string `toml:"when_down"`
	// MaxEvents is how many event names the sink publishes, where routes
	// compute them. Default 10000.
	MaxEvents int `toml:"max_events"`

	federation string
}

// NewConfig returns a Config with the defaults.
func NewConfig() *Config {
	return &Config{
		ChunkSize: 64 << 10, PyimbSafe: true, Queue: 8 << 20, WhenDown: "queue", MaxEvents: 10_000,
	}
}

// Check implements config.Part.
func (c *Config) Check(check *config.Check) {
	c.Connection = check.Connection(c.Connection)
	c.federation = check.Federation(c.Connection)
	if strings.HasSuffix(c.Event, "*") {
		check.Errorf("event", "an event to publish cannot be the pattern %q: name one event", c.Event)
	}
	if c.ChunkSize < 1 || c.ChunkSize > wire.MaxEventData-wire.StreamHeaderSize {
		check.Errorf("chunk_size", "must be from 1B to %dB", wire.MaxEventData-wire.StreamHeaderSize)
	}
	if c.Queue < 64<<10 {
		check.Errorf("queue", "must be at least 64KiB")
	}
	check.OneOf("when_down", c.WhenDown, "queue", "fail")
	if c.MaxEvents < 1 {
		check.Errorf("max_events", "must be at least 1")
	}
}

// Traffic implements config.Part.
func (c *Config) Traffic() config.Traffic {
	t := config.Traffic{Connection: c.Connection}
	if c.Event != "" {
		t.Events = []string{router.FullName(c.federation, c.Event)}
	}
	return t
}

// Build implements config.Sink.
func (c *Config) Build(env router.Env) (router.Sink, error) {
	return &sink{
		config: *c, connection: env.Connections[c.Connection], echoes: env.Echoes, log: env.Log,
		ready: make(chan struct{}), events: map[string]*imb.Event{}, alone: map[string]bool{},
	}, nil
}
