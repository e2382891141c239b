package imb

import (
	_ "embed"
	"errors"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/config"
)

const maxEvents = 1_000_000 // of max_events

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
	// From "64KiB" to "1GiB", default "8MiB".
	Queue config.Size `toml:"queue"`
	// WhenDown says what becomes of signals while the hub is away: "queue"
	// lets them wait in the queue, "fail" makes them fail. Default "queue".
	WhenDown string `toml:"when_down"`
	// MaxEvents is how many event names the sink publishes, where routes
	// compute them. From 1 to 1000000, default 10000.
	MaxEvents int `toml:"max_events"`

	federation string // of the connection
	full       string // Event with the connection's federation; "" without Event
}

// NewConfig returns a Config with the defaults.
func NewConfig() *Config {
	return &Config{
		ChunkSize: 64 << 10, PyimbSafe: true, Queue: 8 << 20, WhenDown: "queue", MaxEvents: 10_000,
	}
}

//go:embed config.go
var goSource string

// GoSource implements config.Commented.
func (c *Config) GoSource() string { return goSource }

// Check implements config.Part.
func (c *Config) Check(check *config.Check) {
	c.Connection = check.Connection(c.Connection)
	c.federation = check.Federation(c.Connection)
	if c.Event != "" {
		c.full = check.EventName("event", c.Connection, c.Event)
	}
	config.Range(check, "chunk_size", c.ChunkSize, 1, wire.MaxEventData-wire.StreamHeaderSize)
	config.Range(check, "queue", c.Queue, config.MinQueue, config.MaxQueue)
	check.OneOf("when_down", c.WhenDown, "queue", "fail")
	config.Range(check, "max_events", c.MaxEvents, 1, maxEvents)
}

// Traffic implements config.Part.
func (c *Config) Traffic() config.Traffic {
	t := config.Traffic{Connection: c.Connection}
	if c.Event != "" {
		t.Events = []string{c.full}
	}
	return t
}

// SignalTarget implements config.Targeter.
func (c *Config) SignalTarget(m router.Signal) (config.Target, error) {
	return c.target(m.Federation, m.Event, m.Redirected)
}

// StreamTarget implements config.Targeter.
func (c *Config) StreamTarget(info router.StreamInfo) (config.Target, error) {
	return c.target(info.Federation, info.Event, info.Redirected)
}

// target returns where a message with that event name goes.
func (c *Config) target(federation, event string, redirected bool) (t config.Target, err error) {
	t = config.Target{Federation: c.federation, Event: event}
	if redirected {
		t.Federation = federation
	}
	if c.Event != "" {
		t.Event = c.Event
	}
	if t.Event == "" {
		return t, router.Permanent(errors.New("the message has no event name: give the sink an `event`, or the route a `set.event`"))
	}
	return t, nil
}

// Build implements config.Sink.
func (c *Config) Build(env router.Env) (router.Sink, error) {
	return &sink{
		config: *c, connection: env.Connections[c.Connection], echoes: env.Echoes, log: env.Log,
		alone: map[string]bool{},
	}, nil
}
