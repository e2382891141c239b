package dir

import (
	"testing"
	"time"
)

// Whatever happens to a file that was not complete may be its writer's close;
// what is tried again because it failed keeps its pause.
func TestFileIsLookedAtWhenSomethingHappensToIt(t *testing.T) {
	for looks, again := range map[int]bool{5: true, 0: false} {
		table, now := newTable(), time.Now()
		seen := sighting{path: "f", version: version{size: 1}}
		table.see(seen, now)
		f := table.next()
		f.looks = looks
		table.toLater(f, now.Add(time.Hour))
		table.see(seen, now)
		if got := table.next() == f; got != again {
			t.Errorf("after %d looks that found it incomplete it is looked at again: %v, want %v", looks, got, again)
		}
	}
}
