package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"imbrouter/router/config"
	"imbrouter/router/filter"
)

// The reference in README is written by hand; what it must not do is miss a key.
func TestReadmeNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(text), "\n#") {
		title, body, _ := strings.Cut(s, "\n")
		sections[strings.TrimLeft(title, "# ")] = body
	}
	section := func(prefix string) string {
		t.Helper()
		for title, body := range sections {
			if strings.HasPrefix(title, prefix) {
				return body
			}
		}
		t.Errorf("README has no section %q", prefix)
		return ""
	}
	tables := map[string]any{
		"`[hub]`":              config.Hub{},
		"`[connections.NAME]`": config.Connection{},
		"`[router]`":           config.RouterSettings{},
		"`[admin]`":            config.Admin{},
	}
	for name, source := range kinds.Sources {
		tables["`[sources.NAME]` with `type = \""+name+"\"`"] = source()
	}
	for name, sink := range kinds.Sinks {
		tables["`[sinks.NAME]` with `type = \""+name+"\"`"] = sink()
	}
	for title, table := range tables {
		body := section(title)
		for _, key := range keys(table) {
			if !strings.Contains(body, "| `"+key+"` |") {
				t.Errorf("README's section %s does not have the key %q", title, key)
			}
		}
	}
	for _, table := range []any{config.Test{}, config.Given{}, config.Expected{}} {
		for _, key := range keys(table) { // several stand in one row
			if body := section("`[[tests]]`"); !strings.Contains(body, "`"+key+"`") {
				t.Errorf("README's section [[tests]] does not have the key %q", key)
			}
		}
	}
	body := section("Expressions")
	for _, field := range filter.Fields() {
		if !strings.Contains(body, "`"+field+"`") {
			t.Errorf("README does not have the field %q", field)
		}
	}
}

// keys returns the keys of a table that a struct, or a pointer to one, stands for.
func keys(table any) (all []string) {
	typ := reflect.TypeOf(table)
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	for _, field := range reflect.VisibleFields(typ) {
		if key := field.Tag.Get("toml"); key != "" {
			all = append(all, key)
		}
	}
	return all
}

func TestReadmeNamesEveryCommand(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range rootCommand().Commands() {
		if row := "| `imbrouter " + cmd.Name(); !strings.Contains(string(text), row) {
			t.Errorf("README's table of commands does not have %q", cmd.Name())
		}
	}
}
