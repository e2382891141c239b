// Package failpoint ends the process at a named step, as a crash would, so that
// tests can show what survives. The environment variable IMBROUTER_FAILPOINT
// holds area, dot and step, such as "send.tail"; with ":3" after it the process
// ends when it comes there for the third time. When the variable is not set a
// step costs one comparison.
//
// The areas are "send", whose steps are in sources/dir, and "receive", whose
// steps are in sinks/dir.
package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// Variable is the environment variable that names a step.
const Variable = "IMBROUTER_FAILPOINT"

var (
	armedArea, armedStep, times = parse(os.Getenv(Variable))

	reached atomic.Int64
)

func parse(value string) (area, step string, times int64) {
	name, count, _ := strings.Cut(value, ":")
	area, step, _ = strings.Cut(name, ".")
	times, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		times = 1
	}
	return area, step, times
}

// Reach ends the process if the step of the area is the one to fail at.
// Nothing is flushed, closed or said.
func Reach(area, step string) {
	if armedArea == "" {
		return
	}
	if armedArea == area && armedStep == step && reached.Add(1) == times {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			os.Exit(137)
		}
		select {} // the signal is on its way
	}
}
