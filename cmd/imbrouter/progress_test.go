package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"imbrouter/router"
)

// screen is a terminal that keeps what is drawn.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestProgressBars(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		transfer router.Transfer
		want     string // short, because this terminal has 40 columns
		total    bool
	}{
		{router.Transfer{Event: "e", Name: "a", Size: -1, Done: 2048}, `receiving "a" on "e"   2.0 KiB`, false},
		{router.Transfer{Source: "s", Name: "b", Size: 4096, Done: 2048}, `sending "b" from s   2.0 KiB / 4.0 KiB`, true},
	} {
		var s screen
		bars := newProgressBars(&s)
		bar := bars.add(transferLabel(test.transfer), test.transfer.Size, time.Now())
		bar.SetCurrent(test.transfer.Done)
		eventually(t, func() bool { return strings.Contains(s.String(), "2.0 KiB") }, "progress is drawn")
		bar.Abort(true)
		bars.close()
		if drawn := s.String(); !strings.Contains(drawn, test.want) || strings.Contains(drawn, " / ") != test.total {
			t.Errorf("drawn: %q, want %q", drawn, test.want)
		}
	}
}

// The rate is that of the whole transfer, of which a bar shows the end only.
func TestProgressBarsTellTheRate(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{-1, 4 << 20} {
		var s screen
		bars := newProgressBars(&s)
		bar := bars.add("a", size, time.Now().Add(-1024*time.Second))
		bar.SetCurrent(2 << 20)
		eventually(t, func() bool { return strings.Contains(s.String(), "2.0 MiB") }, "progress is drawn")
		bar.Abort(true)
		bars.close()
		if drawn := s.String(); !strings.Contains(drawn, "2.0 KiB/s") {
			t.Errorf("drawn of %d bytes: %q", size, drawn)
		}
	}
}
