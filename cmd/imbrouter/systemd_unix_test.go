//go:build unix

package main

import (
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// systemd is told when everything runs, of each reload, whether it was good or
// bad, and when it stops.
func TestServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.writeReceiver("")
	p, m := s.watched("daemon", "", "run", "receiver.toml")
	m.await("READY=1", 0)
	text, err := os.ReadFile(s.path("receiver.toml"))
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	for n, text := range []string{
		good + "when = 'kind == \"stream\"'\n",
		"nonsense",
		"more nonsense",
		strings.Replace(good, "127.0.0.1:0", "127.0.0.1:1", 1),
		good + "[sinks.print]\ntype = \"log\"\n[routes.show]\nfrom = [\"incoming\"]\nto = [\"print\"]\n",
	} {
		s.write("receiver.toml", text)
		p.signal(syscall.SIGHUP)
		m.await("READY=1", n+1)
	}
	p.signal(syscall.SIGTERM)
	if code := p.awaitEnd(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	m.await("STATUS=Stopping", 0)
	const first = "STATUS=Running 1 route from 1 source to 1 sink; hub at 127.0.0.1:0"
	const kept = first + "; the changed configuration was not taken, see the log"
	want := []string{"READY=1", first}
	for _, status := range []string{first, kept, kept, kept, strings.NewReplacer("1 route", "2 routes", "1 sink", "2 sinks").Replace(first)} {
		want = append(want, "RELOADING=1")
		if runtime.GOOS == "linux" {
			want = append(want, "MONOTONIC_USEC=…")
		}
		want = append(want, "READY=1", status)
	}
	want = append(want, "STOPPING=1", "STATUS=Stopping: what is in flight has 20s")
	var got []string
	for _, assignment := range m.all() {
		if assignment != "WATCHDOG=1" {
			got = append(got, regexp.MustCompile(`^(MONOTONIC_USEC=)\d+$`).ReplaceAllString(assignment, "$1…"))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the service manager was told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
