package dir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestHostileNamesStayInside(t *testing.T) {
	names := []string{
		"../x", "/etc/x", "a/../../b", "\x00", strings.Repeat("x", 300), "new\nline", "\x1b[31m", "\u202egpj.exe",
		"\xff\xfe", "-rf", ".hidden", "NUL", "C:evil", "", ".", "..", ".imbrouter/lock", ".imbrouter/partial/x",
		strings.Repeat("deep/", 40) + "x", `..\..\x`, "//", strings.Repeat("\u202e", 1<<20),
	}
	s := open(t, nil)
	for _, name := range names {
		s.mustSend(t, name, name)
	}
	landed := map[string]bool{}
	for _, contents := range s.files(t) {
		landed[contents] = true
	}
	for _, name := range names {
		if !landed[name] {
			t.Errorf("%.40q did not land", name)
		}
	}
	outside, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil || len(outside) != 1 {
		t.Errorf("beside the folder there is %v, %v", outside, err)
	}
	for _, line := range strings.Split(strings.TrimSpace(s.log.String()), "\n") {
		if !strings.HasPrefix(line, "time=") || len(line) > 4096 || strings.ContainsAny(line, "\x1b\u202e") ||
			!utf8.ValidString(line) {
			t.Errorf("logged %q", line)
		}
	}
}

// TestSwappedSymlink swaps a folder for a link that leads out, in the moment
// before the disk is asked to do something in it.
func TestSwappedSymlink(t *testing.T) {
	tests := []struct{ operation, folder, policy string }{
		{"create", ".imbrouter/partial", "rename"},
		{"publish", ".imbrouter/partial", "rename"},
		{"publish", "sub", "rename"},
		{"publish", "sub/below", "rename"},
		{"rename", "sub", "overwrite"},
		{"syncdir", "sub", "rename"},
	}
	for _, test := range tests {
		t.Run(test.operation+" in "+test.folder, func(t *testing.T) {
			s, outside := open(t, func(c *Config) { c.IfExists = test.policy }), t.TempDir()
			s.mustSend(t, "sub/below/a", "a")
			if err := os.Mkdir(filepath.Join(outside, "below"), 0o755); err != nil {
				t.Fatal(err)
			}
			swapped := filepath.Join(s.path, test.folder)
			s.disk.before = func(operation string) {
				if operation == test.operation {
					s.disk.before = nil
					if err := errors.Join(os.Rename(swapped, swapped+".real"), os.Symlink(outside, swapped)); err != nil {
						t.Error("swap:", err)
					}
				}
			}
			if err := s.send("sub/below/b", "b"); err == nil {
				t.Error("the stream landed")
			}
			if s.disk.before != nil {
				t.Error("the swap did not happen")
			}
			if got := tree(t, outside); len(got) > 0 {
				t.Errorf("outside there is %v", got)
			}
			if err := errors.Join(os.Remove(swapped), os.Rename(swapped+".real", swapped)); err != nil {
				t.Fatal(err)
			}
			s.mustSend(t, "sub/below/c", "c")
		})
	}
}

// TestLinksOut has links that lead out of the folder lie where files and
// folders are to go.
func TestLinksOut(t *testing.T) {
	s, outside := open(t, nil), t.TempDir()
	victim := filepath.Join(outside, "victim")
	if err := errors.Join(os.WriteFile(victim, []byte("mine"), 0o644), os.Symlink(outside, filepath.Join(s.path, "sub")),
		os.Symlink(victim, filepath.Join(s.path, "a"))); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	s.mustSend(t, "sub/victim", "1")
	s.mustSend(t, "a", "2")
	if diff := cmp.Diff(map[string]string{"sub.2/victim": "1", "a.2": "2"}, s.files(t)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"victim": "mine"}, tree(t, outside)); diff != "" {
		t.Error(diff)
	}
}
