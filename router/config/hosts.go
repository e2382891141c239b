package config

import (
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

const loopback = "127.0.0.1"

// sameHost returns the same text for spellings of one host.
func sameHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	switch ip := parseIP(host); {
	case host == "localhost" || ip.Equal(net.IPv6loopback):
		return loopback
	case ip == nil:
		return host
	default:
		return ip.String()
	}
}

// isThisMachine tells whether a host is this machine, as far as it knows that
// itself, without asking a name server.
func isThisMachine(host string) bool {
	host = sameHost(host)
	if ip := parseIP(host); ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	if name, err := os.Hostname(); err == nil && host == sameHost(name) {
		return true
	}
	addresses, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		own, ok := a.(*net.IPNet)
		return ok && own.IP.String() == host
	})
}

// canBeHost tells whether a text can be a host's name or address. One that ends in
// a number behind a dot can only be an address.
func canBeHost(host string) bool {
	dot := strings.LastIndexByte(host, '.')
	_, notNumeric := strconv.Atoi(host[dot+1:])
	return host != "" && (dot < 0 || notNumeric != nil || parseIP(host) != nil)
}

// isUnspecified tells whether a host is the address that stands for every one
// of a machine: a hub listens on all of them, a connection goes to its own.
func isUnspecified(host string) bool { return parseIP(host).IsUnspecified() }

// parseIP returns the address that a host is, without its zone; nil for a name.
func parseIP(host string) net.IP {
	host, _, _ = strings.Cut(host, "%")
	return net.ParseIP(host)
}
