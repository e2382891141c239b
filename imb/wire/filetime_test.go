package wire_test

import (
	"math"
	"testing"
	"time"

	"imbrouter/imb/wire"
)

func TestFileTime(t *testing.T) {
	for _, tt := range []struct {
		time time.Time
		want int64
	}{
		{time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC), 0},
		{time.Date(1601, 1, 1, 0, 0, 0, 100, time.UTC), 1},
		{time.Unix(0, 0), 116_444_736_000_000_000},
		{time.Date(2026, 3, 1, 12, 0, 0, 123_456_700, time.FixedZone("", 3600)), 134_168_364_001_234_567},
		{time.Date(1600, 12, 31, 23, 59, 59, 999_999_900, time.UTC), -1},
	} {
		if got := wire.FileTime(tt.time); got != tt.want {
			t.Errorf("%v is told as %d, want %d", tt.time, got, tt.want)
		}
		if got := wire.ParseFileTime(tt.want); !got.Equal(tt.time) || got.Location() != time.UTC {
			t.Errorf("%d is %v, want %v", tt.want, got, tt.time)
		}
	}
	if got, want := wire.FileTime(time.Unix(0, 199)), wire.FileTime(time.Unix(0, 100)); got != want {
		t.Errorf("what is less than the unit gives %d, want %d", got, want)
	}
}

// FuzzParseFileTime: every number is a time, and that time has the number.
func FuzzParseFileTime(f *testing.F) {
	for _, v := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v int64) {
		if got := wire.FileTime(wire.ParseFileTime(v)); got != v {
			t.Errorf("%d is %v, which is %d", v, wire.ParseFileTime(v), got)
		}
	})
}
