package admin

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// An address has a few tries at once and then one with each pause, whatever others
// do; and there is an end to the number of addresses that are told apart.
func TestTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all tries
		const a, b = "192.0.2.1", "192.0.2.2"
		tells := 0
		for n := range maxWrong {
			if wait := all.wait(a); wait != 0 {
				t.Fatalf("after %d wrong tokens there is a wait of %v", n, wait)
			}
			if all.wrong(a) {
				tells++
			}
		}
		if wait := all.wait(a); wait != wrongPause || tells != 1 {
			t.Errorf("after %d wrong tokens there is a wait of %v, and %d lines in the log", maxWrong, wait, tells)
		}
		if wait := all.wait(b); wait != 0 {
			t.Errorf("another address must wait for %v", wait)
		}
		time.Sleep(wrongPause)
		if wait := all.wait(a); wait != 0 {
			t.Errorf("after the pause there is a wait of %v", wait)
		}
		if all.wrong(a) {
			t.Error("the log tells of it more than once a minute")
		}
		if wait := all.wait(a); wait != wrongPause {
			t.Errorf("after one more there is a wait of %v", wait)
		}
		time.Sleep(maxWrong * wrongPause)
		all.wrong(b)
		if n := len(all.forgotten); n != 1 {
			t.Errorf("%d addresses are known, of which one was not forgotten", n)
		}

		for n := range 2 * maxTriers {
			all.wrong(fmt.Sprint("2001:db8::", n))
		}
		if n := len(all.forgotten); n > maxTriers+1 {
			t.Errorf("%d addresses are told apart, want %d", n, maxTriers)
		}
		if all.wait("2001:db8::ffff") == 0 {
			t.Error("those that are not told apart do not wait")
		}
		if wait := all.wait(b); wait != 0 {
			t.Errorf("because of others one that is known waits for %v", wait)
		}
	})
}
