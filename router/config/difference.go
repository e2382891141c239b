package config

import (
	"fmt"
	"reflect"
	"slices"
)

// Difference is what another configuration would change. A part is the same
// when its table, and its connection, say the same.
type Difference struct {
	// Fixed names the tables, of [hub], [router] and [admin], that differ and
	// that a process cannot change while it runs.
	Fixed                  []string
	Sources, Sinks, Routes Names
}

// Names are names of one section of a configuration, sorted. What is in none of
// the lists is the same.
type Names struct{ Added, Changed, Removed []string }

// Differs tells whether the part of that name in the newer configuration is not
// that of the older.
func (n Names) Differs(name string) bool {
	return slices.Contains(n.Added, name) || slices.Contains(n.Changed, name)
}

// List says what differs, one thing an item.
func (d Difference) List() (parts []string) {
	for _, section := range []struct {
		what  string
		names Names
	}{{"source", d.Sources}, {"sink", d.Sinks}, {"route", d.Routes}} {
		for _, list := range []struct {
			done  string
			names []string
		}{{"added", section.names.Added}, {"changed", section.names.Changed}, {"removed", section.names.Removed}} {
			for _, name := range list.names {
				parts = append(parts, fmt.Sprintf("%s %q %s", section.what, name, list.done))
			}
		}
	}
	return parts
}

// Compare tells what next changes.
func (c *Config) Compare(next *Config) Difference {
	var d Difference
	for _, table := range []string{"hub", "router", "admin"} {
		if !reflect.DeepEqual(c.root[table], next.root[table]) {
			d.Fixed = append(d.Fixed, "["+table+"]")
		}
	}
	d.Sources = compare(c, next, "sources", func(of *Config, name string) Part { return of.Sources[name] })
	d.Sinks = compare(c, next, "sinks", func(of *Config, name string) Part { return of.Sinks[name] })
	d.Routes = compare(c, next, "routes", func(*Config, string) Part { return nil })
	return d
}

// compare compares one section. part returns what a name stands for, or nil
// where it is not a part.
func compare(old, next *Config, section string, part func(*Config, string) Part) (n Names) {
	before, _ := old.root[section].(map[string]any)
	after, _ := next.root[section].(map[string]any)
	for _, name := range sortedKeys(after) {
		switch table, ok := before[name]; {
		case !ok:
			n.Added = append(n.Added, name)
		case !reflect.DeepEqual(table, after[name]) || old.Dir != next.Dir,
			!sameConnection(old, next, part(old, name), part(next, name)):
			n.Changed = append(n.Changed, name)
		}
	}
	for _, name := range sortedKeys(before) {
		if _, ok := after[name]; !ok {
			n.Removed = append(n.Removed, name)
		}
	}
	return n
}

// sameConnection tells whether two versions of a part use the same connection,
// or none.
func sameConnection(old, next *Config, a, b Part) bool {
	if a == nil || b == nil {
		return true
	}
	x, y := old.Connections[a.Traffic().Connection], next.Connections[b.Traffic().Connection]
	return x == y || x != nil && y != nil && *x == *y
}
