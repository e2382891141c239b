package dir

import (
	_ "embed"
	"fmt"
	"log/slog"
	"time"

	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/filter"
	"imbrouter/router/retention"
)

const (
	ifExistsRename    = "rename"
	ifExistsOverwrite = "overwrite"
	ifExistsSkip      = "skip"
	ifExistsFail      = "fail"

	incompleteKeep   = "keep"
	incompleteRemove = "remove"

	maxOpen = 100_000 // of max_open
)

// Config is the table of a dir sink.
type Config struct {
	// Path is the folder that streams land in, relative to the configuration
	// file. It is made when it is missing, and must be on one file system with
	// all that is in it. Required.
	Path string `toml:"path"`
	// Filename is an expression that gives the name of a stream's file; "/"
	// makes folders. The name is made safe. Default "stream": the stream's own
	// name, which for a file from a dir source is its relative path.
	Filename string `toml:"filename"`
	// Flatten makes no folders: "/" in a name is encoded as %2F. Default false.
	Flatten bool `toml:"flatten"`
	// IfExists says what becomes of a stream whose file exists already:
	// "rename" gives it a number before the extension (report.2.csv),
	// "overwrite" replaces the file, and of streams at once the one that ends
	// last wins, "skip" leaves the file and drops the stream, "fail" makes the
	// stream fail for good. Default "rename".
	IfExists string `toml:"if_exists"`
	// IdleTimeout ends a stream as incomplete of which nothing has come here for
	// so long. The sink cannot tell a silent sender from one that is held up,
	// by another sink of the route or a full queue; the source can, and ends
	// streams of silent senders by itself (stream_timeout of an imb source).
	// Default "0s", which turns it off.
	IdleTimeout config.Duration `toml:"idle_timeout"`
	// MaxSize is the size of the largest stream that is taken; a larger one
	// ends as incomplete. Default "10GiB".
	MaxSize config.Size `toml:"max_size"`
	// MinFree is how much of the disk is kept free: streams that would take
	// of it fail, and incomplete files are removed before that. "0B" turns it
	// off. Default "100MiB".
	MinFree config.Size `toml:"min_free"`
	// MaxOpen is how many streams may be open at once; each takes a file
	// descriptor. More are refused. From 1 to 100000, default 256.
	MaxOpen int `toml:"max_open"`
	// Incomplete says what becomes of a stream that does not arrive whole:
	// "keep" puts what came of it into .imbrouter/incomplete, with
	// <name>.reason.txt beside it, "remove" deletes it. What did not fit on the
	// disk is always deleted, and so is a file that its source still has. Default
	// "keep".
	Incomplete string `toml:"incomplete"`
	// IncompleteMaxAge is how long an incomplete file is kept. Default "168h",
	// 7 days.
	IncompleteMaxAge config.Duration `toml:"incomplete_max_age"`
	// IncompleteMaxSize is the size of all incomplete files together, 8 KiB
	// added for each; the oldest are removed first. Default "1GiB".
	IncompleteMaxSize config.Size `toml:"incomplete_max_size"`
	// ReceivedMaxAge is how long a received file stays. Only a file counts that
	// the sink put there while this or ReceivedMaxSize was set, and that nobody
	// has moved or changed since. Default "0s", for ever.
	ReceivedMaxAge config.Duration `toml:"received_max_age"`
	// ReceivedMaxSize is the size of all those files together; the oldest are
	// removed first. Default "0B", no limit.
	ReceivedMaxSize config.Size `toml:"received_max_size"`

	name *filter.Name
}

// NewConfig returns a Config with the defaults.
func NewConfig() *Config {
	return &Config{
		Filename: "stream", IfExists: ifExistsRename,
		MaxSize: 10 << 30, MinFree: 100 << 20, MaxOpen: 256,
		Incomplete: incompleteKeep, IncompleteMaxAge: config.Duration(7 * 24 * time.Hour), IncompleteMaxSize: 1 << 30,
	}
}

//go:embed config.go
var goSource string

// GoSource implements config.Commented.
func (c *Config) GoSource() string { return goSource }

// Check implements config.Part.
func (c *Config) Check(check *config.Check) {
	c.Path = check.Path("path", c.Path)
	var err error
	c.name, err = filter.CompileName(c.Filename)
	check.Expression("filename", err)
	check.OneOf("if_exists", c.IfExists, ifExistsRename, ifExistsOverwrite, ifExistsSkip, ifExistsFail)
	check.OneOf("incomplete", c.Incomplete, incompleteKeep, incompleteRemove)
	check.NotNegative("idle_timeout", c.IdleTimeout)
	check.NotNegative("received_max_age", c.ReceivedMaxAge)
	config.AtLeast(check, "max_size", c.MaxSize, 1)
	config.Range(check, "max_open", c.MaxOpen, 1, maxOpen)
	check.Positive("incomplete_max_age", c.IncompleteMaxAge)
}

// Traffic implements config.Part.
func (c *Config) Traffic() config.Traffic {
	return config.Traffic{Folder: c.Path, Removes: c.received().Any()}
}

// received returns the limits for received files.
func (c *Config) received() retention.Limits {
	return retention.Limits{MaxAge: time.Duration(c.ReceivedMaxAge), MaxSize: int64(c.ReceivedMaxSize)}
}

// SignalTarget implements config.Targeter.
func (c *Config) SignalTarget(router.Signal) (t config.Target, err error) { return t, streamsOnly{} }

// StreamTarget implements config.Targeter.
func (c *Config) StreamTarget(info router.StreamInfo) (config.Target, error) {
	name, err := c.fileName(info)
	return config.Target{File: SafeName(name, c.Flatten)}, err
}

// fileName returns what the filename expression makes of a stream, or why it is
// refused.
func (c *Config) fileName(info router.StreamInfo) (string, error) {
	name, err := c.name.Of(info)
	switch {
	case err != nil:
		return "", router.Permanent(fmt.Errorf("filename: %w", err))
	case info.Size > int64(c.MaxSize):
		return "", tooLarge(c.MaxSize)
	}
	return name, nil
}

// streamsOnly is router.ErrNotTaken for a signal.
type streamsOnly struct{}

func (streamsOnly) Error() string        { return "a folder takes files and streams only" }
func (streamsOnly) Is(target error) bool { return target == router.ErrNotTaken }

// Build implements config.Sink.
func (c *Config) Build(env router.Env) (router.Sink, error) {
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &sink{config: *c, log: log, open: map[*stream]struct{}{}}, nil
}
