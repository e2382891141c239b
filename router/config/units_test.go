package config_test

import (
	"math"
	"testing"
	"time"

	"imbrouter/router/config"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"5s": 5 * time.Second, "1h30m": 90 * time.Minute, "1.5ms": 1500 * time.Microsecond, "0s": 0, "-1s": -time.Second,
	} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
	for text, want := range map[string]string{"60m": "1h", "90s": "1m30s", "1h1s": "1h0m1s", "100m": "1h40m", "20s": "20s", "0s": "0s", "600s": "10m"} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "5", "0", "5 s", "s", "5d", "1e3s", "five"} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, d)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]config.Size{
		"0B": 0, "1B": 1, "64KiB": 64 << 10, "64kib": 64 << 10, "10 GiB": 10 << 30, "10GB": 10e9, "1.5MiB": 3 << 19,
		"500kB": 500_000, "2TB": 2e12, "2TiB": 2 << 40,
	} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "5", "0", "B", "5Gi", "5G", "-5B", "NaNB", "5 sheep", "16EiB", "1e3B"} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, s)
		}
	}
	for size, want := range map[config.Size]string{
		0: "0B", 1: "1B", 1000: "1000B", 1024: "1KiB", 3 << 19: "1536KiB", 10 << 30: "10GiB", 1 << 50: "1024TiB",
		math.MaxInt64: "9223372036854775807B",
	} {
		if size.String() != want {
			t.Errorf("%d: %q", int64(size), size)
		}
	}
}
