package bench

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

// usageIsTold says whether the system tells what a running process uses.
const usageIsTold = true

var (
	peakLine    = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)
	presentLine = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)
)

// peakMemory returns the most bytes that a process has had resident, or 0. What
// the system tells when a process has ended does not do: it counts the parent
// that it was forked from.
func peakMemory(pid int) int64 { return statusBytes(pid, peakLine) }

// presentMemory returns how many bytes a process has resident, or 0.
func presentMemory(pid int) int64 { return statusBytes(pid, presentLine) }

func statusBytes(pid int, line *regexp.Regexp) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	match := line.FindSubmatch(status)
	if match == nil {
		return 0
	}
	kilobytes, _ := strconv.ParseInt(string(match[1]), 10, 64)
	return kilobytes << 10
}

// usedCPU returns how much time a running process has used, or 0.
func usedCPU(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// After the name, in parentheses, utime and stime are the 12th and 13th
	// field, in ticks of which Linux has 100 a second on every machine.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(string(fields[11]))
	system, _ := strconv.Atoi(string(fields[12]))
	return time.Duration(user+system) * 10 * time.Millisecond
}
