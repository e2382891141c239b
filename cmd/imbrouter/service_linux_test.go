package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"imbrouter/router/config"
)

const systemdFiles = "../../systemd/"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tool runs a program of systemd's, which must succeed, and returns what it
// prints.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip("needs a program of systemd's:", err)
	}
	output, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, output)
	}
	return string(output)
}

// The unit is in good order, alone and with each drop-in, and lets the service do
// little that it does not need.
func TestServiceUnit(t *testing.T) {
	program, err := exec.LookPath("imbrouter")
	if err != nil {
		t.Fatal(err)
	}
	for _, dropIn := range []string{"", "lease.conf", "credential.conf"} {
		t.Run(dropIn, func(t *testing.T) {
			dir := t.TempDir()
			unit := filepath.Join(dir, "imbrouter.service")
			install := func(name string) { // what a unit starts must be there
				t.Helper()
				text := strings.ReplaceAll(read(t, systemdFiles+name), "/usr/bin/imbrouter", program)
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			install("imbrouter.service")
			if dropIn != "" {
				install("imbrouter.service.d/" + dropIn)
			}
			if complaints := tool(t, "systemd-analyze", "verify", unit); complaints != "" {
				t.Errorf("systemd-analyze verify:\n%s", complaints)
			}
			report := tool(t, "systemd-analyze", "security", "--offline=true", "--threshold=15", unit)
			t.Log(regexp.MustCompile(`Overall exposure.*`).FindString(report))
		})
	}
}

// unitCommands returns the commands of the unit that a key names, to be run in the
// folder with quickstart.toml and in the environment that systemd gives them.
func (s *site) unitCommands(key string, pid int, env ...string) (all []*exec.Cmd) {
	s.t.Helper()
	program, err := exec.LookPath("imbrouter")
	if err != nil {
		s.t.Fatal(err)
	}
	replace := strings.NewReplacer("/usr/bin/imbrouter", program, "/etc/imbrouter/imbrouter.toml", "quickstart.toml", "$MAINPID", strconv.Itoa(pid))
	for _, line := range regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(read(s.t, systemdFiles+"imbrouter.service"), -1) {
		words := strings.Fields(replace.Replace(line[1]))
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir, cmd.Env = s.dir, append(os.Environ(), env...)
		all = append(all, cmd)
	}
	return all
}

// The unit's commands start the service and reload it, also where it has no admin
// address or may not be asked there. A configuration that is wrong makes the reload
// fail, and the service goes on with the one before it.
func TestServiceReload(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, admin string
		asked       bool // at the admin address
	}{
		{"default", "", true},
		{"off", "[admin]\nlisten = \"off\"\n", false},
		{"read only", "[admin]\nread_only = true\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.writeQuickstart()
			good := read(t, s.path("quickstart.toml")) + test.admin
			s.write("quickstart.toml", good)
			m := newManager(t)
			env := []string{"NOTIFY_SOCKET=" + m.address, "RUNTIME_DIRECTORY=" + filepath.Dir(m.address)}
			p := s.startCommand("service", s.unitCommands("ExecStart", 0, env...)[0])
			m.await("READY=1", 0)
			// reload is what systemd does: up to the first command that fails.
			reload := func(text string) (code int, output string) {
				t.Helper()
				s.write("quickstart.toml", text)
				for _, cmd := range s.unitCommands("ExecReload", p.cmd.Process.Pid, env...) {
					text, err := cmd.CombinedOutput()
					if output += string(text); err != nil {
						return cmd.ProcessState.ExitCode(), output
					}
				}
				return 0, output
			}
			code, output := reload(good)
			m.await("READY=1", 1)
			if m.count("RELOADING=1") != 1 || code != 0 || test.asked != strings.Contains(output, "reloaded: nothing has changed") {
				t.Errorf("a reload ends with %d, %q; systemd was told %q", code, output, m.all())
			}
			if signalled := strings.Contains(output, "has SIGHUP; its log says what came of it"); signalled == test.asked {
				t.Errorf("the reload says %q", output)
			}
			code, output = reload(strings.Replace(good, "from = ", "fro = ", 1))
			if code != exitConfig || !strings.Contains(output, `unknown key "fro"`) {
				t.Errorf("the reload of a wrong configuration ends with %d, %q; want %d", code, output, exitConfig)
			}
			code, _ = reload(strings.Replace(good, "127.0.0.1:0", "127.0.0.1:1", 1)) // needs a restart
			if failed := code == exitFailure; failed != test.asked {
				t.Errorf("the reload of a change that needs a restart ends with %d", code)
			}
			p.await(`a change of \[hub\] takes effect at a restart only`)
			m.await("STATUS=Running 2 routes from 2 sources to 2 sinks; hub at 127.0.0.1:0; the changed configuration was not taken", 0)
			s.drop("after.bin", 1000)
			p.await(`sent source=outbox path=after.bin`)
			p.signal(syscall.SIGTERM)
			if code := p.awaitEnd(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// The packaged configuration works from any folder, and names the folders that are
// made for it and that the unit lets it write.
func TestServiceConfiguration(t *testing.T) {
	cfg, err := config.Load(systemdFiles+"imbrouter.toml", kinds)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("warnings: %v", cfg.Warnings)
	}
	var folders []string
	for _, source := range cfg.Sources {
		folders = append(folders, source.Traffic().Folder)
	}
	for _, sink := range cfg.Sinks {
		folders = append(folders, sink.Traffic().Folder)
	}
	made, unit := read(t, systemdFiles+"imbrouter.tmpfiles"), read(t, systemdFiles+"imbrouter.service")
	writable := regexp.MustCompile(`(?m)^ReadWritePaths=-(.*)$`).FindStringSubmatch(unit)[1]
	for _, folder := range folders {
		if folder == "" {
			continue
		}
		if !strings.HasPrefix(folder, writable+"/") {
			t.Errorf("%s is not in %s, where the service may write", folder, writable)
		}
		if !regexp.MustCompile(`(?m)^d +` + regexp.QuoteMeta(folder) + ` `).MatchString(made) {
			t.Errorf("%s is not made by imbrouter.tmpfiles", folder)
		}
	}
}

// The user and the folders of the service are made, in a root of their own. Folders
// that others make in the drop folder are writable for the service.
func TestServiceFolders(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving folders to another user needs root")
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	absolute := func(name string) string {
		path, err := filepath.Abs(systemdFiles + name)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	tool(t, "systemd-sysusers", "--root="+root, absolute("imbrouter.sysusers"))
	user := regexp.MustCompile(`(?m)^imbrouter:x:(\d+):(\d+):`).FindStringSubmatch(read(t, filepath.Join(root, "etc/passwd")))
	if user == nil {
		t.Fatal("there is no user imbrouter")
	}
	tool(t, "systemd-tmpfiles", "--root="+root, "--create", absolute("imbrouter.tmpfiles"))
	const setgid = fs.ModeDir | fs.ModeSetgid
	if err := os.Mkdir(filepath.Join(root, "srv/imbrouter/drop/made"), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		mode fs.FileMode
		user string
	}{
		"":          {fs.ModeDir | 0o755, "0"},
		"drop":      {setgid | 0o770, user[1]},
		"drop/made": {setgid | 0o770, "0"},
		"received":  {setgid | 0o750, user[1]},
	} {
		info, err := os.Stat(filepath.Join(root, "srv/imbrouter", name))
		if err != nil {
			t.Fatal(err)
		}
		if owner := ownerOf(info); info.Mode() != want.mode || owner != want.user {
			t.Errorf("/srv/imbrouter/%s is %v of %s, want %v of %s", name, info.Mode(), owner, want.mode, want.user)
		}
	}
}

func ownerOf(info fs.FileInfo) (uid string) {
	return strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid))
}
