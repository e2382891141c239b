package dir

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/retention"
)

// Values of the key "after".
const (
	afterMove   = "move"
	afterDelete = "delete"
	afterKeep   = "keep"
)

// Limits of the configuration.
const (
	minInterval = config.Duration(100 * time.Millisecond) // of poll_interval
	minRescan   = config.Duration(time.Second)
	maxParallel = 64
	maxAttempts = 1_000_000
)

// Config is the table of a dir source.
type Config struct {
	// Path is the folder to watch, relative to the configuration file. It is
	// made when it does not exist. Required.
	Path string `toml:"path"`
	// Include are glob patterns, with "**" for any number of folders, of what
	// is sent. They are matched with the path relative to the folder; a pattern
	// without a slash is matched with the file's name alone, in every folder.
	// Default ["**"].
	Include []string `toml:"include"`
	// Exclude are patterns of what is left alone. A folder that matches is left
	// out with all that is in it. Names that begin with a dot, and the folders
	// sent and failed, are always left alone. Default [].
	Exclude []string `toml:"exclude"`
	// Recursive says that folders in the folder count too. Symbolic links are
	// never followed. Default true.
	Recursive bool `toml:"recursive"`
	// Settle is how long a file must not have changed before it is sent. By
	// default at once, where the system can tell that its writer has closed it,
	// and "500ms" where it cannot: files of another user, network file systems,
	// systems other than Linux.
	Settle config.Duration `toml:"settle"`
	// Watch says how new files are noticed: "inotify" by the events of the
	// system (also where they have another name), "poll" by looking every
	// poll_interval, "auto" by events where they work. Default "auto".
	Watch string `toml:"watch"`
	// PollInterval is the time between two looks when polling, at least
	// "100ms". Default "2s".
	PollInterval config.Duration `toml:"poll_interval"`
	// Rescan is the time between two looks at the whole folder in spite of
	// events, which can get lost, at least "1s". Default "30s".
	Rescan config.Duration `toml:"rescan"`
	// After is what becomes of a file that was sent: "move" to the folder sent,
	// "delete", or "keep" it and remember. Default "move".
	After string `toml:"after"`
	// Parallel is how many files are sent at once, from 1 to 64. Default 8.
	Parallel int `toml:"parallel"`
	// MaxAttempts is how often a file is tried that its destination fails to
	// take, before it is moved to the folder failed. Attempts while the
	// destination is away do not count. From 1 to 1000000, default 10.
	MaxAttempts int `toml:"max_attempts"`
	// SentMaxAge is how long a file stays in the folder sent, counted from when
	// it was moved there. Default "0s", for ever.
	SentMaxAge config.Duration `toml:"sent_max_age"`
	// SentMaxSize is the size of all files in sent together; the oldest are
	// removed first. Default "0B", no limit.
	SentMaxSize config.Size `toml:"sent_max_size"`
	// FailedMaxAge is how long a file, which nobody has got, stays in the folder
	// failed. The note beside it goes with it. Default "0s", for ever.
	FailedMaxAge config.Duration `toml:"failed_max_age"`
	// FailedMaxSize is the size of all files in failed together; the oldest are
	// removed first, with their notes. Default "0B", no limit.
	FailedMaxSize config.Size `toml:"failed_max_size"`

	settleAlways bool // Settle counts also for a file that its writer has closed
}

// NewConfig returns a Config with the defaults.
func NewConfig() *Config {
	return &Config{
		Include: []string{"**"}, Recursive: true,
		Settle: config.Duration(500 * time.Millisecond),
		Watch:  watchAuto, PollInterval: config.Duration(2 * time.Second), Rescan: config.Duration(30 * time.Second),
		After: afterMove, Parallel: 8, MaxAttempts: 10,
	}
}

//go:embed config.go
var goSource string

// GoSource implements config.Commented.
func (c *Config) GoSource() string { return goSource }

// Check implements config.Part.
func (c *Config) Check(check *config.Check) {
	c.Path = check.Path("path", c.Path)
	if len(c.Include) == 0 {
		check.Errorf("include", "is empty, which sends nothing; remove it to send every file")
	}
	checkPatterns(check, "include", c.Include)
	checkPatterns(check, "exclude", c.Exclude)
	check.OneOf("watch", c.Watch, watchAuto, watchInotify, watchPoll)
	check.OneOf("after", c.After, afterMove, afterDelete, afterKeep)
	c.settleAlways = check.Defined("settle")
	config.AtLeast(check, "settle", c.Settle, 0)
	config.AtLeast(check, "poll_interval", c.PollInterval, minInterval)
	config.AtLeast(check, "rescan", c.Rescan, minRescan)
	config.Range(check, "parallel", c.Parallel, 1, maxParallel)
	config.Range(check, "max_attempts", c.MaxAttempts, 1, maxAttempts)
	check.NotNegative("sent_max_age", c.SentMaxAge)
	check.NotNegative("failed_max_age", c.FailedMaxAge)
}

func checkPatterns(check *config.Check, key string, patterns []string) {
	for i, p := range patterns {
		if !doublestar.ValidatePattern(p) {
			check.ItemErrorf(key, i, "%q is no pattern; close every [ and { and put a character after each \\", p)
		}
	}
}

// Traffic implements config.Part.
func (c *Config) Traffic() config.Traffic {
	// Both are the source's own, whether it moves something there or not: another
	// one that sends from there would have to stop when a key is changed.
	moved := []string{filepath.Join(c.Path, failedDir), filepath.Join(c.Path, sentDir)}
	return config.Traffic{Folder: c.Path, Reads: c.reads, Moved: moved, Removes: c.sent().Any() || c.failed().Any()}
}

// sent and failed return the limits for the folders of those names.
func (c *Config) sent() retention.Limits {
	return retention.Limits{MaxAge: time.Duration(c.SentMaxAge), MaxSize: int64(c.SentMaxSize)}
}

func (c *Config) failed() retention.Limits {
	return retention.Limits{MaxAge: time.Duration(c.FailedMaxAge), MaxSize: int64(c.FailedMaxSize)}
}

// reads tells whether files in a folder below the source's can be input.
func (c *Config) reads(below string) bool {
	selection := c.selection()
	for dir := below; dir != "."; dir = path.Dir(dir) {
		if !selection.dir(dir) || dir == sentDir || dir == failedDir {
			return false
		}
	}
	return true
}

// Select implements config.Selector.
func (c *Config) Select(file string) error {
	switch {
	case !fs.ValidPath(file) || file == ".":
		return fmt.Errorf("%q is no path in the folder", file)
	case !c.reads(path.Dir(file)):
		return fmt.Errorf("the folder %q is left out, see exclude and recursive; sent, failed and names that begin with a dot always are", path.Dir(file))
	case hidden(file):
		return errors.New("a name that begins with a dot is left alone")
	case matches(c.Exclude, file):
		return errors.New("a pattern of exclude matches")
	case !matches(c.Include, file):
		return errors.New("no pattern of include matches")
	}
	return nil
}

func (c *Config) selection() selection {
	return selection{include: c.Include, exclude: c.Exclude, recursive: c.Recursive}
}

// Build implements config.Source.
func (c *Config) Build(env router.Env) (router.Source, error) {
	return &Source{
		config: *c, path: filepath.Clean(c.Path), name: env.Name, log: env.Log,
		selection:  c.selection(),
		newWatcher: newFSWatcher, writers: openWriters,
		rerouted: make(chan struct{}, 1),
	}, nil
}
