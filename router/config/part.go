package config

import "imbrouter/router"

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

// Traffic tells which messages a source takes in, or a sink gives out.
type Traffic struct {
	// Folder is the absolute path of the folder that is read or written, which
	// the key "path" names; "" for none.
	Folder string
	// Reads tells whether a source reads files in a folder below Folder, with
	// "/" and relative to it. Nil stands for all. A sink may write anywhere.
	Reads func(below string) bool
	// Moved are the absolute paths of folders to which a source moves the
	// files that it is done with.
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
