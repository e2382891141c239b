package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is long in reading can be stopped.
func TestReadingIsInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "router.toml")
	for path, text := range map[string]string{
		file: `
[router]
state_dir = "state"
[connections.hub]
[sources.alarms]
type = "imb"
events = ["alarms"]
[sinks.print]
type = "log"
[routes.alarms]
from = ["alarms"]
to = ["print"]
`,
		filepath.Join(dir, "state", "router.journal.jsonl"):        `{"outcome":"sent","name":"a"}` + "\n",
		filepath.Join(dir, "state", "router.dead", "alarms.jsonl"): `{"id":"0001","route":"alarms","kind":"normal"}` + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"history", file}, exitFailure, "interrupted"},
		{[]string{"history", file, "--last", "1"}, exitFailure, "interrupted"},
		{[]string{"history", file, "--follow"}, 0, ""},
		{[]string{"dead", "list", file}, exitFailure, "interrupted"},
	} {
		var stdout, stderr strings.Builder
		code := execute(stopped, test.args, strings.NewReader(""), &stdout, &stderr)
		if code != test.code || stdout.Len() > 0 || !strings.Contains(stderr.String(), test.says) {
			t.Errorf("%q: code %d, %q, %q", test.args, code, stdout.String(), stderr.String())
		}
	}
}
