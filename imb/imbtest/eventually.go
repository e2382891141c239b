package imbtest

import (
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	// timeout is how long a test waits for what it expects.
	timeout = 30 * time.Second
	// pollInterval is how often Eventually looks.
	pollInterval = 2 * time.Millisecond
)

// Eventually waits until cond holds, and fails the test when it does not within
// half a minute. The message, with the arguments that it formats, says what
// should have happened, such as "the client reconnects". It is called on the
// goroutine of the test, and calls cond there.
func Eventually(t testing.TB, cond func() bool, format string, args ...any) {
	t.Helper()
	if !poll(cond) {
		t.Fatalf("not within %v: "+format, append([]any{timeout}, args...)...)
	}
}

func poll(cond func() bool) bool {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for !cond() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			return false
		}
	}
	return true
}

// Collector gathers what a handler is called with, for the test to wait for
// and to look at. Its zero value is ready, and it is safe for concurrent use.
type Collector[T any] struct {
	mu     sync.Mutex
	values []T
}

// Add adds a value. It keeps no copy: a handler clones bytes that do not
// outlive its call.
func (c *Collector[T]) Add(v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values = append(c.values, v)
}

// All returns the values so far, in the order in which they were added.
func (c *Collector[T]) All() []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.values)
}

// Wait waits until there are at least n values and returns all. It fails the
// test when there are fewer after half a minute.
func (c *Collector[T]) Wait(t testing.TB, n int) []T {
	t.Helper()
	if !poll(func() bool { return len(c.All()) >= n }) {
		all := c.All()
		t.Fatalf("%d of %d values within %v: %v", len(all), n, timeout, all)
	}
	return c.All()
}
