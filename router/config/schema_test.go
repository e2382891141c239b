package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"imbrouter/router/config"
)

// schemaOf returns what Schema says of configurations with these kinds.
func schemaOf(t testing.TB, kinds config.Kinds) *jsonschema.Schema {
	t.Helper()
	text, err := config.Schema(kinds)
	if err != nil {
		t.Fatal(err)
	}
	return compileSchema(t, text)
}

func compileSchema(t testing.TB, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// seen returns what a schema finds wrong in a file that is TOML: keys, and
// which words of the schema they do not obey.
func seen(t testing.TB, schema *jsonschema.Schema, text string) (all []string) {
	t.Helper()
	var root map[string]any
	if _, err := toml.Decode(text, &root); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	var invalid *jsonschema.ValidationError
	switch err := schema.Validate(value); {
	case errors.As(err, &invalid):
		return leaves(invalid)
	case err != nil:
		t.Fatal(err)
	}
	return nil
}

func leaves(e *jsonschema.ValidationError) (all []string) {
	if len(e.Causes) == 0 {
		return []string{strings.Join(e.InstanceLocation, ".") + ": " + strings.Join(e.ErrorKind.KeywordPath(), ".")}
	}
	for _, cause := range e.Causes {
		all = append(all, leaves(cause)...)
	}
	slices.Sort(all)
	return all
}

// unseen are the wrong files that a schema takes, and why it cannot know better.
var unseen = map[string]string{
	"errors/addresses.toml":     "an address is a text",
	"errors/admin-address.toml": "an address is a text",
	"errors/admin-open.toml":    "an address is a text",
	"errors/broken-set.toml":    "an expression is a text",
	"errors/wording.toml":       "an expression is a text",
	"errors/folders.toml":       "two folders are compared",
	"errors/names.toml":         "a name is a text, and goes behind that of another table",
	"errors/no-connection.toml": "a source names a table that is not there",
	"errors/no-event.toml":      "it takes the sources and the sinks of a route",
	"errors/paths.toml":         "a path is a text",
	"errors/empty.toml":         "an editor would underline each file that is begun",
	"loops/computed.toml":       "it takes all routes",
	"loops/constants.toml":      "it takes all routes",
	"loops/folders.toml":        "it takes all routes",
	"loops/same-hub.toml":       "it takes all routes",
	"loops/two-hubs.toml":       "it takes all routes",
}

// TestSchemaOfErrors has the schema look at every wrong file: what it sees is in
// schema.golden, and it does not see only what it cannot.
func TestSchemaOfErrors(t *testing.T) {
	schema := schemaOf(t, kinds)
	files, err := filepath.Glob("testdata/*/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	var golden strings.Builder
	for _, file := range files {
		name := strings.TrimPrefix(filepath.ToSlash(file), "testdata/")
		if strings.HasPrefix(name, "valid/") {
			continue
		}
		text := read(t, file)
		if _, err := toml.Decode(text, new(map[string]any)); err != nil {
			continue // an editor says so without a schema
		}
		wrong := seen(t, schema, text)
		switch _, isUnseen := unseen[name]; {
		case isUnseen && len(wrong) > 0:
			t.Errorf("%s: is seen after all: %q", name, wrong)
		case !isUnseen && len(wrong) == 0:
			t.Errorf("%s: the schema finds nothing wrong; why can it not?", name)
		case !isUnseen:
			fmt.Fprintf(&golden, "%s\n\t%s\n", name, strings.Join(wrong, "\n\t"))
		}
	}
	compare(t, "testdata/schema.toml", golden.String())
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSchemaTakesWhatIsValid(t *testing.T) {
	schema := schemaOf(t, kinds)
	files, err := filepath.Glob("testdata/valid/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if wrong := seen(t, schema, read(t, file)); len(wrong) > 0 {
			t.Errorf("%s: %q", file, wrong)
		}
	}
}

// TestSchemaOfUnits has texts that are durations longer than 0 and sizes, and
// some that are not: the schema sees what Parse does.
func TestSchemaOfUnits(t *testing.T) {
	schema := schemaOf(t, kinds)
	for format, texts := range map[string]map[string]bool{
		"[router]\nstop_timeout = %q": {
			"5s": true, "1h30m": true, ".5s": true, "1.5ms": true, "0h1m": true, "100µs": true, "100μs": true, "+5s": true, "0.001s": true, "1m0s": true,
			"0s": false, "-5s": false, "0h0m": false, "0.0s": false, "5": false, "s": false, "5 s": false, "5d": false, "": false,
		},
		"[hub]\nqueue = %q": {
			"64KiB": true, "64 kib": true, "1,024KB": true, "0.5GiB": true, "100000B": true,
			"0B": false, "64": false, "64K": false, "KiB": false, "-1GiB": false, "": false,
		},
	} {
		for text, want := range texts {
			file := fmt.Sprintf(format, text) + "\n[sinks.print]\ntype = \"log\"\n"
			if !strings.Contains(file, "[hub]") {
				file += "[hub]\n"
			}
			_, err := parse(t, file)
			if got := seen(t, schema, file); (len(got) == 0) != want || (err == nil) != want {
				t.Errorf("%q: the schema says %q, Parse %v", text, got, err)
			}
		}
	}
}

// silentSink has a key that nobody has described.
type silentSink struct {
	logSink
	Loud bool `toml:"loud"`
}

func (*silentSink) GoSource() string { return "package config_test" }

func TestSchemaIsCompleteOrTellsWhatIsMissing(t *testing.T) {
	_, err := config.Schema(config.Kinds{Sinks: map[string]func() config.Sink{
		"silent": func() config.Sink { return &silentSink{} },
	}})
	if err == nil || !strings.Contains(err.Error(), "sinks.silent.loud has no comment") {
		t.Error(err)
	}
}

// TestExamples has the checked-in schema, which is that of the program, look at
// the files that are handed out with it.
func TestExamples(t *testing.T) {
	schema := compileSchema(t, []byte(read(t, "../../examples/imbrouter.schema.json")))
	examples, err := filepath.Glob("../../examples/*.toml")
	if err != nil || len(examples) == 0 {
		t.Fatal(examples, err)
	}
	starts, err := filepath.Glob("../../cmd/imbrouter/init/*.toml")
	if err != nil || len(starts) == 0 {
		t.Fatal(starts, err)
	}
	for _, file := range slices.Concat(examples, starts, []string{"../../systemd/imbrouter.toml"}) {
		text := read(t, file)
		if wrong := seen(t, schema, text); len(wrong) > 0 {
			t.Errorf("%s: %q", file, wrong)
		}
		if slices.Contains(examples, file) && !strings.HasPrefix(text, "#:schema imbrouter.schema.json\n") {
			t.Errorf("%s does not begin with the name of the schema", file)
		}
	}
}
