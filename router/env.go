package router

import (
	"log/slog"

	"imbrouter/imb"
)

// Env is what a source or sink is built with.
type Env struct {
	Name        string       // its name in the configuration
	Log         *slog.Logger // tells the name with each line
	Connections map[string]Connection
	Echoes      *Echoes
}

// Connection is an address with an identity. It is not a socket: each source
// and sink that uses it opens its own, so that one that is held up holds up
// nobody else.
type Connection struct {
	Name    string
	Hub     string      // the same text for connections to the same hub
	Options imb.Options // of the client; its Federation is the connection's
}
