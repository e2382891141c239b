package dir

import (
	"context"
	"log/slog"
	"time"
)

// maxTroubles is how many lines a minute tell of files that are tried again. What
// is wrong with a disk is wrong with each of the thousand files on it.
const maxTroubles = 10

// troubleLog tells of files that are tried again, and of those that maxTroubles
// leaves out with their number, in the next line.
type troubleLog struct {
	log    *slog.Logger
	minute time.Time // when it began
	told   int       // lines in it
	untold int       // lines left out since the last one
}

func (t *troubleLog) tell(now time.Time, level slog.Level, message string, attrs ...any) {
	if now.Sub(t.minute) >= retellInterval {
		t.minute, t.told = now, 0
	}
	if t.told == maxTroubles {
		t.untold++
		return
	}
	t.told++
	if t.told == maxTroubles {
		attrs = append(attrs, "next", "told only with their number, for up to a minute")
	}
	if t.untold > 0 {
		attrs = append(attrs, "untold", t.untold)
		t.untold = 0
	}
	t.log.Log(context.Background(), level, message, attrs...)
}

// close tells of what is untold yet.
func (t *troubleLog) close() {
	if t.untold > 0 {
		t.log.Error("more files are held up or were not sent", "untold", t.untold)
	}
}

// worthTelling thins out lines about what happens again and again: of the
// first, 10th, 100th … time.
func worthTelling(count int) bool {
	for count%10 == 0 {
		count /= 10
	}
	return count == 1
}
