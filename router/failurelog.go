package router

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// repeatInterval is how often a failure that goes on is told of again.
	repeatInterval = time.Minute
	// maxTold is how many different failures are told of in that time; the
	// count in the next line after it includes the others.
	maxTold = 100
)

// FailureLog tells of failures that may come thousands of times: of equal ones
// the first and then one every minute, with the count of all failures, and when
// they are over. Its owner closes it. It is safe for concurrent use.
type FailureLog struct {
	log                *slog.Logger
	message, recovered string

	failing atomic.Bool // count is above 0

	mu     sync.Mutex
	count  int                  // of the run of failures
	untold int                  // of them, since the last line
	err    error                // of the last
	last   time.Time            // when it was
	told   map[string]time.Time // when each different one was told of last
}

// NewFailureLog returns a FailureLog that logs message, at level error, for
// failures, and recovered, at level info, when they are over.
func NewFailureLog(log *slog.Logger, message, recovered string) *FailureLog {
	return &FailureLog{log: log, message: message, recovered: recovered, told: map[string]time.Time{}}
}

// Failure notes one failure of what, "" when no difference is to be made.
// Failures of the same thing with the same text of err are equal; attrs are for
// the log.
func (f *FailureLog) Failure(what string, err error, attrs ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	f.failing.Store(true)
	f.untold++
	f.err, f.last = err, time.Now()
	key := what + "\x00" + err.Error()
	if told, ok := f.told[key]; ok && f.last.Sub(told) < repeatInterval {
		return
	}
	if len(f.told) >= maxTold {
		f.forget()
	}
	if len(f.told) >= maxTold {
		return
	}
	f.told[key] = f.last
	if len(f.told) == maxTold {
		attrs = append(attrs, "next", "told only with its number, for up to a minute")
	}
	f.untold = 0
	f.log.Error(f.message, append(attrs, "error", err, "count", f.count)...)
}

// Close tells how many failures there were if not all were told of one by one,
// with the reason of the last.
func (f *FailureLog) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.untold > 0 {
		f.log.Error(f.message, "error", f.err, "count", f.count, "untold", f.untold)
		f.untold = 0
	}
}

// forget makes room for others.
func (f *FailureLog) forget() {
	for key, told := range f.told {
		if f.last.Sub(told) >= repeatInterval {
			delete(f.told, key)
		}
	}
}

// Success ends a run of failures when there was none for a minute: good and bad
// messages may take turns.
func (f *FailureLog) Success() {
	if !f.failing.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count > 0 && time.Since(f.last) >= repeatInterval {
		f.log.Info(f.recovered, "failed", f.count)
		f.count, f.untold = 0, 0
		f.failing.Store(false)
		clear(f.told)
	}
}
