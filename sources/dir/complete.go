package dir

import (
	"os"
	"time"
)

// writers is what is known of the programs that have a file open for writing.
type writers int

const (
	unknownWriters writers = iota
	noWriter
	someWriter
)

// firstLook is the pause before a file that was not complete is looked at
// again. It doubles each time, up to the settle time: most files are seen when
// they are made, and closed a moment later.
const firstLook = 250 * time.Microsecond

// incomplete returns how long to wait before the next look at a file that may
// not be whole yet, and 0 when it is. It goes by the best evidence there is:
//
//  1. the kernel knows whether a writer has it open (a read lease);
//  2. else, it has not changed for the settle time.
//
// A settle time that is set counts in any case: some programs write a file in
// several steps and close it after each.
//
// A close that inotify saw is a hint to look again, and no evidence: another
// writer may have the file open. A file that was renamed in is whole at once by
// the first.
//
// Time is that of the monotonic clock since a change was last noticed. What the
// file's own time says, and jumps of the system's, make no difference.
func (d *delivery) incomplete(f *os.File, e edition, looks int) time.Duration {
	writers := d.writers(f)
	switch {
	case writers == someWriter:
		return lookAgain(looks, d.settle)
	case writers == noWriter && !d.settleAlways:
		if e.version.size == 0 { // its creator may be about to have it open
			return max(min(emptySettle, d.settle)-time.Since(e.since), 0)
		}
		return 0
	default:
		return max(d.settle-time.Since(e.since), 0)
	}
}

// emptySettle is how long an empty file must not have changed although nobody has
// it open: a new file can be seen before the system counts its creator as a writer.
const emptySettle = 50 * time.Millisecond

// lookAgain returns the pause before the next look at a file that has been
// found incomplete so many times.
func lookAgain(looks int, settle time.Duration) time.Duration {
	return min(firstLook<<min(looks, 20), max(settle, firstLook))
}
