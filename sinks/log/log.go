// Package log is the sink that writes a line to the program's log for each
// signal and each stream. It is for looking at what a route carries, and only
// looks on: a message that nobody else takes counts as not taken, so that a file
// that was shown and not sent stays in its folder.
//
//	[sinks.print]
//	type = "log"
//	level = "info"   # debug | info | warn | error
package log

import (
	"context"
	_ "embed"
	"log/slog"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/config"
)

// Config is the table of a log sink.
type Config struct {
	// Level is that of the lines: "debug", "info", "warn" or "error". Default "info".
	Level string `toml:"level"`

	level slog.Level
}

// NewConfig returns a Config with the defaults.
func NewConfig() *Config { return &Config{Level: "info"} }

//go:embed log.go
var goSource string

// GoSource implements config.Commented.
func (c *Config) GoSource() string { return goSource }

// Check implements config.Part.
func (c *Config) Check(check *config.Check) {
	c.level = *check.LogLevel("level", c.Level)
}

// Traffic implements config.Part: nothing flows on.
func (c *Config) Traffic() config.Traffic { return config.Traffic{} }

// SignalTarget implements config.Targeter: the sink only looks on.
func (c *Config) SignalTarget(router.Signal) (t config.Target, err error) { return t, nil }

// StreamTarget implements config.Targeter, likewise.
func (c *Config) StreamTarget(router.StreamInfo) (t config.Target, err error) { return t, nil }

// Build implements config.Sink.
func (c *Config) Build(env router.Env) (router.Sink, error) {
	return &sink{log: env.Log, level: c.level}, nil
}

type sink struct {
	log   *slog.Logger
	level slog.Level
}

func (s *sink) Signal(ctx context.Context, m router.Signal) error {
	if s.log.Enabled(ctx, s.level) {
		s.log.Log(ctx, s.level, "signal", "event", short(m.FullName()), "kind", m.Kind.String(),
			"data", wire.Describe(m.Kind, m.Data))
	}
	return router.ErrShown
}

func (s *sink) Stream(_ context.Context, info router.StreamInfo) (router.StreamWriter, error) {
	return &stream{sink: s, info: info}, nil
}

type stream struct {
	sink *sink
	info router.StreamInfo
	size int64
}

func (s *stream) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	return len(p), nil
}

func (s *stream) Commit(ctx context.Context) error {
	s.sink.log.Log(ctx, s.sink.level, "stream", s.attributes()...)
	return router.ErrShown
}

func (s *stream) Abort(cause error) {
	s.sink.log.Log(context.Background(), s.sink.level, "stream cut off", append(s.attributes(), "error", cause)...)
}

// attributes says which stream this is. A file from a folder has no event.
func (s *stream) attributes() (attributes []any) {
	if event := s.info.FullName(); event != "" {
		attributes = append(attributes, "event", short(event))
	}
	return append(attributes, "stream", short(s.info.Name), "size", s.size)
}

// short returns a name from outside, which may have megabytes, as far as a line
// shows it.
func short(name string) string {
	const most = 1024
	if len(name) > most {
		return name[:most] + "…"
	}
	return name
}
