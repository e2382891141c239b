package dir

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/router"
	"imbrouter/router/config"
)

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, func(c *Config) { c.IdleTimeout = config.Duration(time.Minute) })
		w := s.begin(t, "a")
		for range 10 {
			time.Sleep(59 * time.Second)
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := s.incompletes(t)["a"]; got != "xxxxxxxxxx" {
			t.Errorf("kept %q", got)
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, errIdle) || !strings.Contains(err.Error(), "idle_timeout") {
			t.Errorf("Write = %v", err)
		}
		if err := w.Commit(context.Background()); !errors.Is(err, errIdle) {
			t.Errorf("Commit = %v", err)
		}
		if len(s.openStreams()) > 0 || len(s.files(t)) > 0 {
			t.Error("the stream is still open, or landed")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestHeldUpStream has what comes between two calls last: a slow sink beside
// this one, or a full queue, is no silence of the sender.
func TestHeldUpStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		w := s.begin(t, "a")
		for range 2 {
			time.Sleep(time.Hour)
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		commit(t, w)
		if diff := cmp.Diff(map[string]string{"a": "xx"}, s.files(t)); diff != "" {
			t.Error(diff)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestIdleTimeoutIsOverAtTheEnd lets a Commit wait behind that of a slow sink.
func TestIdleTimeoutIsOverAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, func(c *Config) { c.IdleTimeout = config.Duration(time.Minute) })
		w := s.whole(t, "a", "x")
		time.Sleep(time.Hour)
		commit(t, w)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMaxSize(t *testing.T) {
	s := open(t, func(c *Config) { c.MaxSize = 1000 })
	w := s.begin(t, "a")
	if _, err := w.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	_, err := w.Write([]byte("x"))
	if !errors.Is(err, router.ErrPermanent) || !strings.Contains(err.Error(), "max_size") {
		t.Errorf("Write = %v", err)
	}
	w.Abort(err)
	if got := s.incompletes(t)["a"]; len(got) != 1000 {
		t.Errorf("kept %d bytes", len(got))
	}
	info := named("b")
	info.Size = 1001
	if _, err := s.Stream(context.Background(), info); !errors.Is(err, router.ErrPermanent) {
		t.Errorf("Stream of 1001 bytes = %v", err)
	}
}

func TestMaxOpen(t *testing.T) {
	s := open(t, func(c *Config) { c.MaxOpen = 2 })
	a, b := s.begin(t, "a"), s.begin(t, "b")
	_, err := s.Stream(context.Background(), named("c"))
	if !errors.Is(err, router.ErrUnavailable) || !strings.Contains(err.Error(), "max_open") {
		t.Errorf("Stream = %v", err)
	}
	a.Abort(errCutOff)
	s.mustSend(t, "c", "")
	if err := b.Commit(context.Background()); err != nil {
		t.Error(err)
	}
	s.mustSend(t, "d", "")
}

func TestMinFree(t *testing.T) {
	s := open(t, func(c *Config) { c.MinFree = 1 << 20 })
	free := int64(2 << 20)
	s.disk.free = func() int64 { return free }

	info := named("large")
	info.Size = 1<<20 + 1
	_, large := s.Stream(context.Background(), info)
	if !errors.Is(large, router.ErrUnavailable) {
		t.Errorf("Stream of more than fits = %v", large)
	}
	w := s.begin(t, "a")
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	free = 1 << 20
	_, err := w.Write([]byte("x"))
	if !errors.Is(err, router.ErrUnavailable) || !strings.Contains(err.Error(), "min_free") || err.Error() != large.Error() {
		t.Errorf("Write = %v, and before %v", err, large)
	}
	w.Abort(err)
	if got := s.incompletes(t); len(got) > 0 {
		t.Errorf("on a full disk are kept %d files", len(got))
	}
	free = 1<<20 - 1
	if _, err := s.Stream(context.Background(), named("b")); !errors.Is(err, router.ErrUnavailable) {
		t.Errorf("Stream = %v", err)
	}
	free = 2 << 20
	s.mustSend(t, "b", "b")
}

func TestIncompleteFilesGiveWay(t *testing.T) {
	s := open(t, func(c *Config) { c.MinFree = 1 << 20 })
	s.disk.free = func() int64 { // each kept file takes half of what may be written
		return 2<<20 - int64(len(s.incompletes(t))/2)*(512<<10)
	}
	for i := range 2 {
		w := s.begin(t, fmt.Sprint("part", i))
		_, _ = w.Write(make([]byte, 400<<10))
		w.Abort(errCutOff)
	}
	w := s.begin(t, "a")
	if _, err := w.Write(make([]byte, 400<<10)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := s.incompletes(t); len(got) != 2 || got["part1.reason.txt"] == "" {
		t.Errorf("%d incomplete files are left", len(got))
	}
}
