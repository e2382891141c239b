package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"

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
		bar := bars.add(transferLabel(test.transfer), test.transfer.Size)
		bar.SetCurrent(test.transfer.Done)
		eventually(t, func() bool { return strings.Contains(s.String(), "2.0 KiB") }, "progress is drawn")
		bar.Abort(true)
		bars.close()
		if drawn := s.String(); !strings.Contains(drawn, test.want) || strings.Contains(drawn, " / ") != test.total {
			t.Errorf("drawn: %q, want %q", drawn, test.want)
		}
	}
}
