package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"imbrouter/imb"
	"imbrouter/imb/wire"
)

// Connection is a table [connections.NAME]: an address with an identity. Each
// source and sink that names it opens a socket of its own.
type Connection struct {
	Name string
	// Address is that of a hub, "host:port"; without a port, 4000; or "locate",
	// or "locate:host:port", to look for one. Default: the hub of this file, and
	// "localhost:4000" when there is none.
	//
	// See imb.Locate.
	Address string `toml:"address"`
	// Federation is the prefix of event names, to which a dot is added. Default
	// none.
	Federation string `toml:"federation"`
	// OwnerID is a number that tells the hub who is connected. Default 0.
	OwnerID int32 `toml:"owner_id"`
	// OwnerName is a name that tells the hub who is connected. Default
	// "imbrouter".
	OwnerName string `toml:"owner_name"`
	// Internal says that it is to the hub of this file, without a socket.
	Internal bool

	hub string
}

// internalHub is what Hub returns for the hub of this file.
const internalHub = "internal"

// Hub returns which hub the connection is to: the same text for the same one,
// as far as addresses tell.
func (c *Connection) Hub() string { return c.hub }

// IsOwnHub tells whether the connection is to the hub of this file, with or
// without a socket.
func (c *Connection) IsOwnHub() bool { return c.hub == internalHub }

func (l *loader) connections() {
	table := l.table(l.root, "connections")
	for _, name := range sortedKeys(table) {
		own := l.table(table, "connections", name)
		if own == nil {
			continue
		}
		l.checkName("connections", name)
		c := &Connection{Name: name, OwnerName: "imbrouter"}
		l.config.Connections[name] = c
		check := &Check{l.document, l.config, []string{"connections", name}, own}
		l.decode(own, check.path, c)
		l.resolve(c, check)
	}
}

// Check reports every value that is wrong, in a file or on a command line.
func (c *Connection) Check(r Reporter) {
	if fault := federationFault(c.Federation); fault != "" {
		r.Errorf("federation", "%s", fault)
	}
	if c.Address == "" {
		return
	}
	if word, _, _ := strings.Cut(c.Address, ":"); strings.EqualFold(word, "locate") {
		if !canBeLocated(c.Address) {
			r.Errorf("address", "%q does not say whom to ask for a hub; write \"locate\", or an address such as \"locate:192.168.1.255:4000\"", c.Address)
		}
	} else if _, _, err := hubAddress(c.Address); err != nil {
		r.Errorf("address", "%v", err)
	}
}

// canBeLocated tells whether there can be an answer to where a hub is. It is
// asked for by IPv4.
func canBeLocated(address string) bool {
	if address == "locate" {
		return true
	}
	ask, ok := imb.LocateTarget(address)
	host, port, err := splitAddress(ask, wire.DefaultPort)
	if _, notNumeric := strconv.Atoi(host); notNumeric == nil { // a port alone
		return false
	}
	ip := parseIP(host)
	return ok && err == nil && canBeHost(host) && port != 0 && (ip == nil || ip.To4() != nil)
}

// hubAddress splits the address of a hub, whose port may be left out.
func hubAddress(address string) (host string, port int, err error) {
	host, port, err = splitAddress(address, wire.DefaultPort)
	if err != nil || !canBeHost(host) || port == 0 {
		return "", 0, fmt.Errorf("%q is no address of a hub; write a host and a port, such as \"imb.example.com:4000\"", address)
	}
	return host, port, nil
}

// resolve finds out where a connection goes.
func (l *loader) resolve(c *Connection, check *Check) {
	c.Check(check)
	own := l.config.Hub
	if c.Address == "" && own != nil {
		c.Internal, c.hub = true, internalHub
		return
	}
	if c.Address == "" {
		c.Address = "localhost"
	}
	if _, ok := imb.LocateTarget(c.Address); ok {
		l.resolveLocate(c)
		return
	}
	host, port, err := hubAddress(c.Address)
	if err != nil {
		return // Check has reported it
	}
	c.Address = net.JoinHostPort(host, strconv.Itoa(port))
	switch {
	case own != nil && own.listensAt(host, port):
		c.hub = internalHub
	case isThisMachine(host) && !parseIP(host).IsLoopback():
		c.hub = net.JoinHostPort(loopback, strconv.Itoa(port))
	default: // a hub may have 127.0.0.2 for itself
		c.hub = net.JoinHostPort(sameHost(host), strconv.Itoa(port))
	}
}

// resolveLocate is for a connection to a hub that is looked for. If the one of
// this file can be, it is the one that will be found, as far as is known here.
func (l *loader) resolveLocate(c *Connection) {
	c.hub = c.Address
	if own := l.config.Hub; own != nil && own.Locator != "" {
		c.hub = internalHub
	}
}
