package imb

import (
	"log/slog"
	"sync"
	"time"
)

// faultPause is how long a kind of fault that repeats stays out of the log.
const faultPause = time.Minute

// faultLog logs a kind of fault when it first happens, and then at most once a
// minute with a count, so that a peer cannot fill the log.
type faultLog struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[string]*fault // by message, which the code chooses
}

type fault struct {
	logged time.Time
	since  int // not logged since then
}

// note logs or counts a fault.
func (l *faultLog) note(message string, attrs ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.kinds[message]
	if f == nil {
		if l.kinds == nil {
			l.kinds = make(map[string]*fault)
		}
		f = new(fault)
		l.kinds[message] = f
	}
	f.since++
	if now := time.Now(); f.logged.IsZero() || now.Sub(f.logged) >= faultPause {
		l.log.Warn(message, append(attrs, "count", f.since)...)
		f.logged, f.since = now, 0
	}
}

// flush logs what was counted only.
func (l *faultLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for message, f := range l.kinds {
		if f.since > 0 {
			l.log.Warn(message, "count", f.since)
			f.since = 0
		}
	}
}
