//go:build !unix

package hub

import (
	"io"
	"net"
)

// direct returns the connection: here nothing is written without waiting.
func direct(nc net.Conn) io.Writer { return nc }
