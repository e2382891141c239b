package config

import (
	"context"
	"io"
	"time"

	"imbrouter/router"
)

// Kinds lists the types of sources and sinks that a configuration may name. A
// value makes the configuration of one part with its defaults filled in.
type Kinds struct {
	Sources map[string]func() Source
	Sinks   map[string]func() Sink
}

// Source is the configuration of a source: a pointer to a struct with `toml`
// tags, into which its table is decoded on top of the defaults. The key "type"
// is handled here.
type Source interface {
	Part
	// Build makes the source. It touches no file and no socket. It is called
	// only when Check found nothing wrong.
	Build(env router.Env) (router.Source, error)
}

// Sink is the configuration of a sink, see Source.
type Sink interface {
	Part
	Build(env router.Env) (router.Sink, error)
}

// Part is what configurations of sources and sinks have in common.
type Part interface {
	// Check reports everything that is wrong with the values, and may complete
	// them, such as make a path absolute. It touches no file and no socket.
	Check(c *Check)
	// Traffic tells what flows in or out, for the search for loops. It is
	// called after Check.
	Traffic() Traffic
}

// Selector is implemented by a source that reads files and leaves some alone,
// for commands that explain.
type Selector interface {
	// Select returns nil for a file that is read, or why it is not. The path has
	// "/" and is relative to the folder. It is called after Check.
	Select(path string) error
}

// Depot is implemented by a source that reads files, for those who look at them
// and add some while it runs. It touches them as a user of the folder does: the
// source finds out by itself. Names have "/" and are relative to the folder.
// Methods are called after Check.
type Depot interface {
	// Failed returns the files that were given up, the newest first and not more
	// than so many, and how many there are.
	Failed(most int) (files []FailedFile, inAll int, err error)
	// Again makes a file that was given up one to be sent.
	Again(name string) error
	// Put makes a file to be sent of all that can be read. The name is made
	// safe; it is an error when the source would leave it alone. Nothing is there
	// under a name before it is whole. Put returns the name that it has got.
	Put(name string, from io.Reader) (as string, err error)
}

// FailedFile is a file that a source has given up.
type FailedFile struct {
	Name   string
	Size   int64
	At     time.Time // when it was given up
	Reason string    // "" when there is none to be found
}

// Targeter is implemented by a sink that can tell where a message would go
// without sending it, for commands that explain. Errors are those that the sink
// itself would return. Both methods are called after Check.
type Targeter interface {
	SignalTarget(router.Signal) (Target, error)
	StreamTarget(router.StreamInfo) (Target, error)
}

// Target is where a sink puts a message. Nothing in it stands for a sink that
// only looks on.
type Target struct {
	// Federation and Event make the name on a hub. Event is "" for none.
	Federation, Event string
	// File is the path, with "/", in the sink's folder, as long as no other
	// file has it; "" for none.
	File string
}

// FullName returns the event's name on a hub.
func (t Target) FullName() string { return router.FullName(t.Federation, t.Event) }

// Examiner is implemented by a part that can try out what it will need of this
// machine, for the command doctor. It works with files of its own whose names
// begin with a dot, leaves none behind, and takes no lock, so that it does not
// disturb a router that runs on the same folder. It is called after Check, and
// ends soon when ctx does.
type Examiner interface {
	Examine(ctx context.Context) []Finding
}

// Finding is something that was tried out.
type Finding struct {
	What string // such as "files can be made and are durable"
	Err  error  // nil when it is so; else why not, and what to do about it
}

// Commented is implemented by a part whose keys Schema is to tell of.
type Commented interface {
	// GoSource returns the file of Go that has the struct, which is embedded.
	// The comments of the fields are what Schema says about their keys.
	GoSource() string
}

// Traffic tells which messages a source takes in, or a sink gives out.
type Traffic struct {
	// Folder is the absolute path of the folder that is read or written, which
	// the key "path" names; "" for none.
	Folder string
	// Reads tells whether a source reads files in a folder below Folder, with
	// "/" and relative to it. Nil stands for all. A sink may write anywhere.
	Reads func(below string) bool
	// Moved are the absolute paths of folders that a source has for the files
	// that it is done with.
	Moved []string
	// Removes says that files are removed after a time: by a sink from Folder
	// what it has put there, and by a source from the folders in Moved.
	Removes bool
	// Connection is the name of the connection that is read or written; "" for
	// none.
	Connection string
	// Events are full event names, or prefixes that end in "*". A sink without
	// any gives messages out under the name that they have, in its
	// connection's federation.
	Events []string
	// IgnoreRelayed says that a source does not take what this router relayed
	// to its hub.
	IgnoreRelayed bool
}
