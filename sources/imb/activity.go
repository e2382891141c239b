package imb

import (
	"context"
	"sync/atomic"
	"time"
)

// stopQuiet is how long nothing may have gone on for the end of the router to
// wait for more. Most senders of streams that are still open are gone by then.
const stopQuiet = 2 * time.Second

// activity tells whether anything goes on: whether something comes, or calls of
// sinks are under way, which may take their time.
type activity struct {
	noted atomic.Uint64 // how often something came, or a call ended
	calls atomic.Int32  // that are under way
}

func (a *activity) note() { a.noted.Add(1) }

func (a *activity) begin() { a.calls.Add(1) }

func (a *activity) end() {
	a.note()
	a.calls.Add(-1)
}

// await waits until done is closed. It returns false when ctx ends before or
// nothing has gone on for stopQuiet.
func (a *activity) await(ctx context.Context, done <-chan struct{}) bool {
	noted, quiet := a.noted.Load(), time.Now()
	look := time.NewTicker(stopQuiet / 10)
	defer look.Stop()
	for time.Since(quiet) < stopQuiet {
		select {
		case <-done:
			return ctx.Err() == nil // or else done may be closed because of it
		case <-ctx.Done():
			return false
		case <-look.C:
		}
		if now := a.noted.Load(); now != noted || a.calls.Load() > 0 {
			noted, quiet = now, time.Now()
		}
	}
	return false
}
