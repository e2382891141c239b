package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"imbrouter/router/config"
)

// FuzzParse reads arbitrary text: what comes of it is a Config, or problems that
// stand in the text. What a Config comes of, the schema takes.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.toml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	schema := schemaOf(f, kinds)
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := config.Parse("dir/x.toml", text, kinds)
		if err == nil {
			checkPositions(t, text, cfg.Warnings)
			if wrong := seen(t, schema, strings.TrimPrefix(string(text), "\uFEFF")); len(wrong) > 0 {
				t.Errorf("the schema refuses it: %q", wrong)
			}
			return
		}
		var errs config.Errors
		if !errors.As(err, &errs) || len(errs) == 0 || cfg != nil {
			t.Fatalf("%v, %v", cfg, err)
		}
		checkPositions(t, text, errs)
	})
}

func checkPositions(t *testing.T, text []byte, problems []config.Problem) {
	lines := strings.Split(string(text), "\n")
	line, column := 1, 1
	for _, p := range problems {
		if p.Line < line || p.Line == line && p.Column < column {
			t.Errorf("not in order: %v", p)
		}
		line, column = p.Line, p.Column
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > 1+utf8.RuneCountInString(lines[p.Line-1]) {
			t.Errorf("not in the text: %v", p)
		}
		if p.Path != "dir/x.toml" || p.Message == "" || !utf8.ValidString(p.String()) {
			t.Errorf("%q", p.String())
		}
	}
}
