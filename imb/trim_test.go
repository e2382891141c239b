package imb

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTrimmer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var trim trimmer
		const large = 1 << 20
		for i, step := range []struct {
			pause          time.Duration
			used, capacity int
			excess         bool
		}{
			{0, large, large, false},
			{900 * time.Millisecond, 10, large, false},
			{50 * time.Millisecond, large / 4, large, false}, // needed again
			{900 * time.Millisecond, 10, large, false},
			{100 * time.Millisecond, 10, large, true},
			{time.Hour, 0, 64 << 10, false}, // too small to matter
		} {
			<-time.After(step.pause)
			if got := trim.excess(step.used, step.capacity); got != step.excess {
				t.Errorf("step %d: excess(%d, %d) is %v", i, step.used, step.capacity, got)
			}
		}
	})
}
