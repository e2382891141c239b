package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Duration is a time.Duration that a file gives as text with a unit, such as
// "500ms", "5s" or "1h30m".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || !durationText.Match(text) {
		return fmt.Errorf(`%q is no duration; write a number and a unit, such as "500ms", "5s" or "1h30m"`, text)
	}
	*d = Duration(parsed)
	return nil
}

// Patterns of durations, of those that are not negative, and of those longer than
// 0. A few texts that match are none, such as one that is too long.
const (
	durationPattern         = `^[-+]?` + durationPart + `+$`
	unsignedDurationPattern = `^\+?` + durationPart + `+$`
	positiveDurationPattern = `^\+?` + durationPart + `*[0-9.]*[1-9][0-9.]*` + durationUnit + durationPart + `*$`

	durationPart = `(([0-9]+\.?[0-9]*|\.[0-9]+)` + durationUnit + `)`
	durationUnit = `(ns|us|µs|μs|ms|s|m|h)`
)

var durationText = regexp.MustCompile(durationPattern)

// String returns the duration without units that are 0.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes that a file gives as text with a unit, such as
// "64KiB" (1024 bytes each) or "10GB" (1000³ bytes each).
type Size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	parsed, err := humanize.ParseBytes(string(text))
	if err == nil && parsed > math.MaxInt64 {
		err = errors.New("too large")
	}
	if err != nil || !sizeText.Match(text) {
		return fmt.Errorf(`%q is no size; write a number and a unit, such as "100B", "64KiB" or "10GB"`, text)
	}
	*s = Size(parsed)
	return nil
}

// Patterns of sizes, and of those larger than 0, likewise. Without its "B", a unit
// would leave open which one is meant.
const (
	sizePattern         = `^[0-9.,]*[0-9][0-9.,]*` + sizeUnit
	positiveSizePattern = `^[0-9.,]*[1-9][0-9.,]*` + sizeUnit

	sizeUnit = ` *([kKmMgGtTpPeE][iI]?)?[bB]$`
)

var sizeText = regexp.MustCompile(sizePattern)

// String returns the size in the largest unit of which it is a whole number.
func (s Size) String() string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if bytes := Size(1) << (40 - 10*i); s != 0 && s%bytes == 0 {
			return fmt.Sprintf("%d%s", s/bytes, unit)
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}
