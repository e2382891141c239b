package config

import (
	"fmt"
	"strings"
	"unicode"

	"imbrouter/imb/wire"
	"imbrouter/router"
)

// EventName reports what is wrong with the name, without its federation, of an
// event of a connection that a key gives and under which messages are
// published. It returns the full name.
func (c *Check) EventName(key, connection, name string) (full string) {
	federation := c.Federation(connection)
	full = router.FullName(federation, name)
	if fault := publishedFault(name, full); fault != "" {
		c.Errorf(key, "%s", fault)
	} else if rest, twice := repeats(federation, name); twice {
		c.Warnf(key, "%q becomes %q, because the connection's federation is put before it; write %q", name, full, rest)
	}
	return full
}

// EventPattern is EventName for item i, from 0, of a list of names that are
// subscribed to: one that ends in "*" stands for all that begin so, one that
// begins with "=" is a full name.
func (c *Check) EventPattern(key string, i int, connection, name string) (full string) {
	federation := c.Federation(connection)
	full, isFull := strings.CutPrefix(name, "=")
	if !isFull {
		full = router.FullName(federation, name)
	}
	switch star := strings.Index(name, wire.Wildcard); {
	case name == "" || name == "=":
		c.ItemErrorf(key, i, "an event needs a name; \"*\" stands for all")
	case star >= 0 && star < len(name)-1:
		c.ItemErrorf(key, i, "%q: \"*\" can only stand at the end of a name", name)
	default:
		if fault := NameFault(full); fault != "" {
			c.ItemErrorf(key, i, "%s", fault)
		} else if rest, twice := repeats(federation, name); twice {
			c.ItemWarnf(key, i, "%q becomes %q, because the connection's federation is put before it; write %q, or %q for the full name",
				name, full, rest, "="+name)
		}
	}
	return full
}

// publishedFault tells what is wrong with a name to publish under, "" for
// nothing. Full has the federation, as far as that is known.
func publishedFault(name, full string) string {
	switch {
	case strings.HasSuffix(name, wire.Wildcard):
		return fmt.Sprintf("%q ends in \"*\", which stands for many events and can only be subscribed; name one event", name)
	case strings.HasPrefix(name, "="):
		return fmt.Sprintf("%q: \"=\" for a full name works in the events of a source only; name the event without its federation, which the sink's connection gives", name)
	}
	return NameFault(full)
}

// NameFault tells why hubs do not take a full name, "" for nothing.
func NameFault(full string) string {
	switch {
	case len(full) > wire.MaxNameLength:
		return fmt.Sprintf("a name with its federation is at most %d bytes long, this one has %d", wire.MaxNameLength, len(full))
	case strings.ContainsFunc(full, unicode.IsControl):
		return fmt.Sprintf("%q holds a control character; remove it", full)
	}
	return ""
}

// federationFault tells what is wrong with a federation, "" for nothing.
func federationFault(federation string) string {
	switch {
	case strings.HasPrefix(federation, ".") || strings.HasSuffix(federation, "."):
		return fmt.Sprintf("%q must not begin or end with a dot: the one before the event's name is put there", federation)
	case strings.Contains(federation, wire.Wildcard):
		return fmt.Sprintf("%q must not contain %q", federation, wire.Wildcard)
	}
	return NameFault(federation)
}

// repeats tells whether a name, which gets a federation put before it, begins
// with that already, and returns what follows.
func repeats(federation, name string) (rest string, ok bool) {
	found, rest := router.SplitName(federation, name)
	return rest, found != "" && rest != ""
}
