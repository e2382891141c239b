package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imbrouter/router/config"
)

const oneRoute = `
[sources.in]
type = "dir"
path = "/in"
[sinks.out]
type = "dir"
path = "/out"
[routes.r]
from = ["in"]
to = ["out"]
`

func TestAdminAddress(t *testing.T) {
	dir, err := filepath.Abs("dir")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ text, runtime, want string }{
		{``, "", "unix:" + filepath.Join(dir, ".imbrouter", "x.admin.sock")},
		{``, "/run/imbrouter", "unix:" + filepath.FromSlash("/run/imbrouter/x.admin.sock")},
		{"[router]\nstate_dir = 'state'", "", "unix:" + filepath.Join(dir, "state", "x.admin.sock")},
		{"[admin]\nlisten = 'unix:a.sock'", "/run/imbrouter", "unix:" + filepath.Join(dir, "a.sock")},
		{"[admin]\nlisten = '127.0.0.1:9400'", "", "127.0.0.1:9400"},
		{"[admin]\nlisten = '[::1]:0'", "", "[::1]:0"},
		{"[admin]\nlisten = 'localhost:9400'", "", "localhost:9400"},
		{"[admin]\nlisten = 'off'", "", "off"},
	} {
		t.Setenv("RUNTIME_DIRECTORY", tt.runtime)
		cfg, err := parse(t, tt.text+oneRoute)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Admin.Listen != tt.want {
			t.Errorf("%q in %q: listen is %q, want %q", tt.text, tt.runtime, cfg.Admin.Listen, tt.want)
		}
	}
}

// An address of a network needs a token, and nothing else does.
func TestAdminToken(t *testing.T) {
	token, err := filepath.Abs(filepath.Join("dir", "token"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := parse(t, "[admin]\nlisten = ':9400'\ntoken_file = 'token'\nread_only = true\nmax_upload = '1MiB'"+oneRoute)
	if err != nil {
		t.Fatal(err)
	}
	if a := cfg.Admin; a.Listen != ":9400" || a.TokenFile != token || !a.ReadOnly || a.MaxUpload != 1<<20 {
		t.Errorf("admin is %+v", a)
	}
	for _, text := range []string{"listen = ':9400'", "token_file = ''", "max_upload = '0B'"} {
		if _, err := parse(t, "[admin]\n"+text+oneRoute); err == nil {
			t.Errorf("%s is no error", text)
		}
	}
}

// A folder that is too deep for a socket keeps nobody from running.
func TestDefaultSocketInADeepFolder(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", "")
	cfg, err := parse(t, "[router]\nstate_dir = '/"+strings.Repeat("deep/", 30)+"'"+oneRoute)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Admin.Listen != config.AdminOff || len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0].Message, "at most") {
		t.Errorf("listen is %q, with the warnings %v", cfg.Admin.Listen, cfg.Warnings)
	}
}

// Where a router tells how it is can be read from a file that is wrong otherwise.
func TestLoadAdmin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.toml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[sinks.a]\ntype = 'none'\n[admin]\nlisten = '127.0.0.1:9400'")
	if a, err := config.LoadAdmin(path); err != nil || a.Listen != "127.0.0.1:9400" {
		t.Errorf("%+v, %v", a, err)
	}
	var errs config.Errors
	write("[admin]\nlisten = '192.0.2.1:9400'")
	if _, err := config.LoadAdmin(path); !errors.As(err, &errs) || len(errs) != 1 {
		t.Errorf("an address of a network gives %v", err)
	}
	write("[admin\n")
	if _, err := config.LoadAdmin(path); !errors.As(err, &errs) {
		t.Errorf("a broken file gives %v", err)
	}
}
