package imbtest_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb/imbtest"
)

// failure is a testing.TB that keeps to itself what fails.
type failure struct {
	testing.TB
	text string
}

func (f *failure) Helper() {}

func (f *failure) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failureOf returns what test fails with; "" when it does not.
func failureOf(t *testing.T, test func(t testing.TB)) string {
	f := &failure{TB: t}
	var running sync.WaitGroup
	running.Go(func() { test(f) })
	running.Wait()
	return f.text
}

func TestEventually(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		imbtest.Eventually(t, func() bool { return time.Since(start) > 29*time.Second }, "29 seconds pass")
		got := failureOf(t, func(t testing.TB) {
			imbtest.Eventually(t, func() bool { return false }, "file %q comes", "a.txt")
		})
		if want := `not within 30s: file "a.txt" comes`; got != want {
			t.Errorf("failed with %q, want %q", got, want)
		}
		if took := time.Since(start); took > 90*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c imbtest.Collector[int]
		if got := c.Wait(t, 0); len(got) != 0 {
			t.Errorf("a new Collector has %v", got)
		}
		go func() {
			for i := range 3 {
				<-time.After(time.Second)
				c.Add(i)
			}
		}()
		if got, want := c.Wait(t, 2), []int{0, 1}; !slices.Equal(got, want) {
			t.Errorf("Wait(2) = %v, want %v", got, want)
		}
		got := failureOf(t, func(t testing.TB) { c.Wait(t, 4) })
		if want := "3 of 4 values within 30s: [0 1 2]"; got != want {
			t.Errorf("failed with %q, want %q", got, want)
		}
		all := c.All()
		all[0] = 100
		if c.All()[0] != 0 {
			t.Error("what All returns is not the caller's own")
		}
	})
}

func TestEventuallyLooksAtOnce(t *testing.T) {
	calls := 0
	imbtest.Eventually(t, func() bool { calls++; return true }, "true is true")
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func contains(t *testing.T, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("failed with %q, want %q in it", text, want)
	}
}
