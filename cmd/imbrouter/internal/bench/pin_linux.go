package bench

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pin keeps this process, and those that it starts, on one processor until undo is
// called. Where a system wakes what waits, on which processor and how long that one
// takes to come to, differs by more than what is measured, and from one process to
// the next. It does nothing where that is not allowed.
func pin() (undo func()) {
	var before, one unix.CPUSet
	if unix.SchedGetaffinity(0, &before) != nil {
		return func() {}
	}
	for cpu := range len(before) * 64 {
		if before.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	keepOn(&one)
	return func() { keepOn(&before) }
}

// keepOn keeps all threads of this process on processors. New threads, and processes,
// take after the one that starts them.
func keepOn(cpus *unix.CPUSet) {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = unix.SchedSetaffinity(id, cpus)
		}
	}
}
