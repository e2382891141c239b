package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"imbrouter/imb"
)

// The program in clock_test.go is built with a time.Now that stands in for a
// machine whose clock is set all the time: with each reading it is that much
// further ahead, or behind.
const (
	clockStep     = 10 * time.Minute
	clockVariable = "IMBROUTER_TEST_CLOCK" // "ahead" or "behind"
	clockJump     = `package time

import (
	"sync/atomic"
	"syscall"
)

var clockReadings atomic.Int64

func clockJump() int64 {
	ahead := clockReadings.Add(1) * %d
	if direction, _ := syscall.Getenv(%q); direction == "behind" {
		return -ahead
	}
	return ahead
}
`
)

// buildWithJumpingClock returns the path of that program.
func buildWithJumpingClock(t *testing.T) (program string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the program and the standard library with another clock, which takes half a minute")
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("building needs the go command:", err)
	}
	root, err := exec.Command(goTool, "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(string(bytes.TrimSpace(root)), "src", "time")
	text, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const reading = "\tsec, nsec, mono := runtimeNow()\n"
	if n := bytes.Count(text, []byte(reading)); n != 1 {
		t.Fatalf("time.go of %s reads the clock in %d places that this test knows, not in one: the test must learn how it does",
			runtime.Version(), n)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for name, contents := range map[string]string{
		"time.go": strings.Replace(string(text), reading, reading+"\tsec += clockJump()\n", 1),
		"jump.go": fmt.Sprintf(clockJump, int(clockStep.Seconds()), clockVariable),
	} {
		path := filepath.Join(dir, name)
		replace[filepath.Join(source, name)] = path
		if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlayPath := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayPath, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "jumping.exe")
	build := exec.Command(goTool, "build", "-overlay", overlayPath, "-o", program, ".")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return program
}

// Fault 16: the clock of the machine jumps all the time, forward or backward. A
// file is not sent before it has settled, and is sent then; a stream that takes
// its time, and the connections, are not taken for dead.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	program := buildWithJumpingClock(t)
	for _, direction := range []string{"ahead", "behind"} {
		t.Run(direction, func(t *testing.T) {
			t.Parallel()
			testClockJumps(t, program, direction)
		})
	}
}

func testClockJumps(t *testing.T, program, direction string) {
	s := newSite(t)
	s.write("jumps.toml", `
[hub]
listen = "127.0.0.1:0"
[connections.hub]
federation = "demo"
[sources.outbox]
type = "dir"
path = "drop"
settle = "2s"
[sinks.broadcast]
type = "imb"
event = "files"
[sources.incoming]
type = "imb"
events = ["files"]
[sinks.inbox]
type = "dir"
path = "received"
[routes.send]
from = ["outbox"]
to = ["broadcast"]
[routes.receive]
from = ["incoming"]
to = ["inbox"]
`)
	cmd := exec.Command(program, "run", "jumps.toml")
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), clockVariable+"="+direction)
	p := s.startCommand("jumping", cmd)
	p.awaitReady()

	sender := connect(t, p.hubAddress())
	event, err := sender.Publish("files")
	if err != nil {
		t.Fatal(err)
	}
	slow, err := event.OpenStream(t.Context(), "slow.bin", imb.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	body := randomBytes("slow.bin", 200_000)
	write := func(p []byte) {
		t.Helper()
		if _, err := slow.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	write(body[:100_000])

	dropped := time.Now()
	s.drop("settling.bin", 1000)
	s.awaitSent()
	if took := time.Since(dropped); took < 2*time.Second {
		t.Errorf("a file was sent after %v, before it had settled", took)
	}
	write(body[100_000:])
	if err := slow.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.awaitReceived([]string{"settling.bin", "slow.bin"})
	if got, err := os.ReadFile(s.path("received/slow.bin")); err != nil || !bytes.Equal(got, body) {
		t.Errorf("slow.bin was received with %d bytes, sent with %d (%v)", len(got), len(body), err)
	}
	if bad := regexp.MustCompile(`.*level=(WARN|ERROR).*`).FindString(p.output()); bad != "" {
		t.Errorf("the log has: %s", bad)
	}
	var clock []time.Time
	for _, stamp := range regexp.MustCompile(`(?m)^time=(\S+)`).FindAllStringSubmatch(p.output(), -1) {
		at, err := time.Parse("2006-01-02T15:04:05.000", stamp[1])
		if err != nil {
			t.Fatal(err)
		}
		clock = append(clock, at)
	}
	jumped := clock[len(clock)-1].Sub(clock[0])
	t.Logf("the clock went by %v while the test ran for %v", jumped, time.Since(dropped))
	if ahead := direction == "ahead"; jumped.Abs() < time.Hour || jumped > 0 != ahead {
		t.Errorf("the clock went by %v, want it to jump %s", jumped, direction)
	}
}
