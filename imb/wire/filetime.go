package wire

import "time"

// FileTimeUnit is what the times of timers count in.
const FileTimeUnit = 100 * time.Nanosecond

const (
	fileTimesPerSecond = int64(time.Second / FileTimeUnit)
	// fileTimeEpoch is the beginning of 1601, from which they count, in seconds
	// before that of 1970.
	fileTimeEpoch = 11_644_473_600
)

// FileTime returns t as the times of timers are told: in units of 100 ns since
// the beginning of 1601, UTC. It can be told from 1601 on for 29,000 years.
func FileTime(t time.Time) int64 {
	return (t.Unix()+fileTimeEpoch)*fileTimesPerSecond + int64(t.Nanosecond())/int64(FileTimeUnit)
}

// ParseFileTime is the reverse of FileTime.
func ParseFileTime(v int64) time.Time {
	return time.Unix(v/fileTimesPerSecond-fileTimeEpoch, v%fileTimesPerSecond*int64(FileTimeUnit)).UTC()
}
