package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// peaks is the most that a process has used.
type peaks struct {
	pid         int
	descriptors int
	memory      int // bytes resident
}

func newPeaks(p *process) *peaks { return &peaks{pid: p.cmd.Process.Pid} }

var peakMemory = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// look is called often: the system remembers the peak of memory, but not that
// of descriptors.
func (p *peaks) look(t *testing.T) {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	p.descriptors = max(p.descriptors, len(open))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	match := peakMemory.FindSubmatch(status)
	if match == nil {
		t.Fatalf("no peak of memory in %s", status)
	}
	kilobytes, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	p.memory = kilobytes << 10
}
