package share_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"imbrouter/router/share"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Those who come while a run is under way share the next one, and its error.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g share.Group
		runs := 0
		do := func() error {
			runs++
			n := runs
			<-time.After(time.Second)
			return fmt.Errorf("run %d", n)
		}
		var callers sync.WaitGroup
		call := func(key, want string) {
			callers.Go(func() {
				if err := g.Do(key, do); err == nil || err.Error() != want {
					t.Errorf("got %v, want %s", err, want)
				}
			})
			synctest.Wait()
		}
		call("a", "run 1")
		for range 5 {
			call("a", "run 2")
		}
		<-time.After(1500 * time.Millisecond)
		for range 5 {
			call("a", "run 3")
		}
		callers.Wait()
		call("a", "run 4") // nothing is left of the others
		callers.Wait()
	})
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g share.Group
		begun := time.Now()
		var callers sync.WaitGroup
		for i := range 10 {
			callers.Go(func() {
				_ = g.Do(fmt.Sprint(i), func() error { <-time.After(time.Second); return nil })
			})
		}
		callers.Wait()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("ten keys took %v", took)
		}
	})
}

// Every caller gets a run that began after it had called.
func TestRunBeginsAfterTheCall(t *testing.T) {
	var g share.Group
	var written, synced atomic.Int64 // synced is changed in runs only
	fail := errors.New("a failure")
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 2000 {
				mine := written.Add(1)
				err := g.Do("", func() error {
					synced.Store(written.Load())
					return fail
				})
				if synced.Load() < mine || err != fail {
					t.Errorf("%d is not done: %d are; %v", mine, synced.Load(), err)
				}
			}
		})
	}
	callers.Wait()
}
