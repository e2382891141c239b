package config

import (
	"path/filepath"
	"strings"
)

// Describe tells people where a source or sink reads or writes. Folders are
// named as path makes of them.
func (c *Config) Describe(t Traffic, path func(string) string) string {
	place, ok := c.Place(t, path)
	switch {
	case !ok:
		return "the log"
	case t.Folder != "":
		return place
	}
	return c.Passing(t) + " on " + place
}

// Place names the folder or hub of a source or sink, the same for the same one. A
// sink that only looks on has none.
func (c *Config) Place(t Traffic, path func(string) string) (name string, ok bool) {
	switch connection := c.Connections[t.Connection]; {
	case t.Folder != "":
		return "folder " + path(t.Folder) + string(filepath.Separator), true
	case connection == nil:
		return "", false
	case connection.Internal:
		return "the hub of this file", true
	default:
		return "hub " + connection.Address, true
	}
}

// Passing names the events that a source or sink of a hub has to do with.
func (c *Config) Passing(t Traffic) string {
	if len(t.Events) > 0 {
		return strings.Join(t.Events, ", ")
	}
	if federation := c.Connections[t.Connection].Federation; federation != "" {
		return federation + ".(its own name)"
	}
	return "its own name"
}
