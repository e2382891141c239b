package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"imbrouter/router/config"
	"imbrouter/router/filter"
	"imbrouter/router/trial"
)

// documents are what people read, from the top of the project.
var documents = []string{"README.md", "docs/configuration.md", "docs/faults.md", "docs/recipes.md"}

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The reference is written by hand; what it must not do is miss a key.
func TestReferenceNamesEveryKey(t *testing.T) {
	sections := map[string]string{}
	for _, s := range strings.Split(document(t, "docs/configuration.md"), "\n#") {
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
		t.Errorf("the reference has no section %q", prefix)
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
				t.Errorf("the reference's section %s does not have the key %q", title, key)
			}
		}
	}
	for _, table := range []any{config.Test{}, config.Given{}, config.Expected{}} {
		for _, key := range keys(table) { // several stand in one row
			if body := section("`[[tests]]`"); !strings.Contains(body, "`"+key+"`") {
				t.Errorf("the reference's section [[tests]] does not have the key %q", key)
			}
		}
	}
	body := section("Expressions")
	for _, field := range filter.Fields() {
		if !strings.Contains(body, "`"+field+"`") {
			t.Errorf("the reference does not have the field %q", field)
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
	text := document(t, "README.md")
	for _, cmd := range rootCommand().Commands() {
		if row := "| `imbrouter " + cmd.Name(); !strings.Contains(text, row) {
			t.Errorf("README's table of commands does not have %q", cmd.Name())
		}
	}
}

// Links between the documents lead to files and headings that there are.
func TestLinksOfDocuments(t *testing.T) {
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchor := regexp.MustCompile(`[^\pL\pN _-]`)
	anchors := map[string]bool{}
	for _, name := range documents {
		for _, title := range heading.FindAllStringSubmatch(document(t, name), -1) {
			anchors[name+"#"+strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(title[1]), ""), " ", "-")] = true
		}
	}
	for _, name := range documents {
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(document(t, name), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			to, anchor, _ := strings.Cut(link[1], "#")
			file := path.Join(path.Dir(name), to)
			if to == "" {
				file = name
			}
			if !fileExists("../../"+file) || anchor != "" && !anchors[file+"#"+anchor] {
				t.Errorf("%s: the link %q leads nowhere", name, link[1])
			}
		}
	}
}

// Each recipe is a configuration without a warning, whose tests pass.
func TestRecipes(t *testing.T) {
	recipes := regexp.MustCompile("(?s)\n## ([^\n]*)\n(?:.*?)\n```toml\n(.*?)```").FindAllStringSubmatch(document(t, "docs/recipes.md"), -1)
	if len(recipes) != strings.Count(document(t, "docs/recipes.md"), "\n## ") {
		t.Errorf("%d recipes have a configuration", len(recipes))
	}
	t.Setenv("RUNTIME_DIRECTORY", "/run") // the path of a socket must be short
	readme := document(t, "README.md")
	for _, recipe := range recipes {
		t.Run(recipe[1], func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "imbrouter.toml")
			if err := os.WriteFile(file, []byte(recipe[2]), 0o644); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(file, kinds)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range cfg.Warnings {
				t.Error(w)
			}
			if len(cfg.Tests) == 0 {
				t.Error("it has no tests")
			}
			for _, test := range cfg.Tests {
				if diff := trial.Test(cfg, test); diff != "" {
					t.Errorf("%q: %s", test.Name, diff)
				}
			}
			if !strings.Contains(strings.ToLower(readme), "- ["+strings.ToLower(recipe[1])+"](") {
				t.Error("README does not list it")
			}
		})
	}
}

// What README quotes from the log in the first column of its section on troubles,
// with an ellipsis for what differs, is what the program says.
func TestTroubleshootingQuotesTheLog(t *testing.T) {
	var program strings.Builder
	for _, folder := range []string{"cmd", "imb", "router", "sinks", "sources"} {
		err := filepath.WalkDir("../../"+folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			program.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, said := range []error{ // by the system
		syscall.EACCES, syscall.ECONNREFUSED, syscall.EADDRINUSE, syscall.EROFS, syscall.EMFILE,
	} {
		program.WriteString(said.Error())
	}
	_, section, _ := strings.Cut(document(t, "README.md"), "\n## Troubleshooting\n")
	section, _, _ = strings.Cut(section, "\n## ")
	quotes := regexp.MustCompile("(?m)^\\| `([^`]*)` \\|").FindAllStringSubmatch(section, -1)
	if len(quotes) < 20 {
		t.Errorf("there are %d quotes", len(quotes))
	}
	for _, quote := range quotes {
		for _, part := range regexp.MustCompile(` ?… ?|[:;] `).Split(quote[1], -1) { // one wraps another
			if part != "report.2.csv" && !strings.Contains(program.String(), part) {
				t.Errorf("the program does not say %q", part)
			}
		}
	}
}
