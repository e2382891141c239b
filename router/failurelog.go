package router

import (
	"log/slog"
	"sync"
	"time"
)

// repeatInterval is how often a failure that goes on is told of again.
const repeatInterval = time.Minute

// failureLog tells of a failure that may come thousands of times: the first
// one whole, then how many there were, and when it is over.
type failureLog struct {
	log                *slog.Logger
	message, recovered string

	mu    sync.Mutex
	count int       // of the run of failures
	told  time.Time // when a failure was told of last
	last  time.Time // when there was one
}

// failure notes one failure; attrs describe what failed.
func (f *failureLog) failure(err error, attrs ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	f.last = time.Now()
	if f.count > 1 && time.Since(f.told) < repeatInterval {
		return
	}
	f.told = time.Now()
	f.log.Error(f.message, append(attrs, "error", err, "count", f.count)...)
}

// success ends a run of failures when there was none for a while: good and bad
// messages may take turns.
func (f *failureLog) success() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count > 0 && time.Since(f.last) >= repeatInterval {
		f.log.Info(f.recovered, "failed", f.count)
		f.count = 0
	}
}
