// Package failpoint ends the process at a named step, as a crash would, or makes
// it hang there, so that tests can show what survives. The environment variable
// IMBROUTER_FAILPOINT holds area, dot and step, such as "send.tail"; with ":3"
// after it it is about the third time that the process comes there; and with
// ":hang=10s" at the end whoever comes there stays for so long. When the
// variable is not set a step costs one comparison.
//
// The areas are "send", whose steps are in sources/dir; "receive", whose steps
// are in sinks/dir; and "filter", whose steps are the fields that have an
// expression, such as "filter.when" or "filter.set.event".
package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Variable is the environment variable that names a step.
const Variable = "IMBROUTER_FAILPOINT"

var (
	armed   = parse(os.Getenv(Variable))
	reached atomic.Int64
)

// point is a step to fail at; the zero value is none.
type point struct {
	area, step string
	times      int64         // the process fails when it comes there for this time
	hang       time.Duration // 0 ends the process
}

func parse(value string) point {
	value, hang, _ := strings.Cut(value, ":hang=")
	name, count, _ := strings.Cut(value, ":")
	p := point{times: 1}
	p.area, p.step, _ = strings.Cut(name, ".")
	if times, err := strconv.ParseInt(count, 10, 64); err == nil {
		p.times = times
	}
	if hang, err := time.ParseDuration(hang); err == nil {
		p.hang = hang
	}
	return p
}

// Reach fails if the step of the area is the one to fail at. When it ends the
// process nothing is flushed, closed or said.
func Reach(area, step string) {
	if armed.area != "" {
		armed.reach(area, step)
	}
}

func (p *point) reach(area, step string) {
	if p.area != area || p.step != step || reached.Add(1) != p.times {
		return
	}
	if p.hang > 0 {
		time.Sleep(p.hang)
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		os.Exit(137)
	}
	select {} // the signal is on its way
}
