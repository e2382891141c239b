package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// startJournal stands in for systemd's journal: it takes what comes on its socket,
// in the given folder, and returns a function that tells what has come.
func startJournal(t *testing.T, folder string) (entries func() []map[string]string) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "socket"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []map[string]string
	ended := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			entry := map[string]string{}
			for field := range strings.Lines(string(buf[:n])) {
				name, value, _ := strings.Cut(strings.TrimSuffix(field, "\n"), "=")
				entry[name] = value
			}
			mu.Lock()
			all = append(all, entry)
			mu.Unlock()
		}
	}()
	return func() []map[string]string {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// With --log-format journal a line is readable as it is, and can be found by its
// fields.
func TestLogFormatJournal(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a journal of the test's own, in /run, needs root")
	}
	if output, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("no mount namespace can be had here: %v %s", err, output)
	}
	folder, err := os.MkdirTemp("", "journal") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	entries := startJournal(t, folder)
	s := newSite(t)
	s.writeQuickstart()
	s.write("quickstart.toml", read(t, s.path("quickstart.toml"))+`
[sinks.print]
type = "log"
level = "debug"
[routes.show]
from = ["incoming"]
to = ["print"]
log_level = "debug"
`)
	program, err := exec.LookPath("imbrouter")
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(s.path("stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stderr.Close() })
	info, err := stderr.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	// A file system of its own in the place of /run, which nobody else sees.
	script := fmt.Sprintf("mount -t tmpfs none /run && mkdir /run/systemd && ln -s %q /run/systemd/journal && exec %q run --log-format journal quickstart.toml",
		folder, program)
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script)
	cmd.Dir = s.dir
	cmd.Stderr = stderr
	cmd.Env = append(os.Environ(), fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino))
	p := s.startCommand("daemon", cmd)

	// find waits for an entry whose message matches.
	find := func(expression string) (found map[string]string) {
		t.Helper()
		re := regexp.MustCompile(expression)
		eventually(t, func() bool {
			if text := read(t, stderr.Name()); p.hasEnded() {
				t.Fatalf("it ended with %v: %s", p.cmd.ProcessState, text)
			}
			for _, entry := range entries() {
				if re.MatchString(entry["MESSAGE"]) {
					found = entry
				}
			}
			return found != nil
		}, "the journal has %s", expression)
		return found
	}
	find(`^hub is listening address=`)
	s.drop("a b.bin", 1000)
	for expression, want := range map[string]map[string]string{
		`^sent source=outbox path="a b.bin" size=1000 took=`: {"PRIORITY": "6", "SOURCE": "outbox", "PATH": "a b.bin", "SIZE": "1000", "ROUTE": "send"},
		`^file received sink=inbox path=.* event=demo.files stream="a b.bin"`: {
			"PRIORITY": "6", "SINK": "inbox", "PATH": s.path("received/a b.bin"), "EVENT": "demo.files", "ROUTE": "receive",
		},
		`^stream sink=print event=demo.files`: {"PRIORITY": "7", "SINK": "print", "ROUTE": "show"}, // below --log-level
	} {
		entry := find(expression)
		for name, value := range want {
			if entry[name] != value {
				t.Errorf("%s=%s in the entry %q, want %s", name, entry[name], entry["MESSAGE"], value)
			}
		}
	}
	if text := read(t, stderr.Name()); text != "" {
		t.Errorf("standard error has %q", text)
	}
}

// Where standard error is not the journal the log is text, and says why.
func TestLogFormatJournalElsewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.start("hub", "hub", "--listen", "127.0.0.1:0", "--log-format", "journal")
	p.await(`level=WARN msg="the log is text: it cannot be written to the journal" error="standard error is not the journal"\n`)
	p.hubAddress()
}
