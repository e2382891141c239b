package router_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router"
)

func TestFailureLog(t *testing.T) {
	full, away := errors.New("disk is full"), errors.New("hub is away")
	for name, c := range map[string]struct {
		do    func(*router.FailureLog)
		lines []string // what each holds
	}{
		"equal failures": {func(f *router.FailureLog) {
			for range 50 {
				f.Failure("a", full)
			}
			<-time.After(time.Minute)
			f.Failure("a", full)
		}, []string{"error=\"disk is full\" count=1", "error=\"disk is full\" count=51"}},
		"another reason": {func(f *router.FailureLog) {
			for range 2 {
				f.Failure("a", full)
				f.Failure("a", away)
			}
		}, []string{"disk is full", "hub is away"}},
		"another thing": {func(f *router.FailureLog) {
			f.Failure("a", full, "stream", "a")
			f.Failure("b", full, "stream", "b")
		}, []string{"stream=a", "stream=b"}},
		"recovery": {func(f *router.FailureLog) {
			f.Success()
			f.Failure("a", full)
			f.Success() // too early to say
			<-time.After(time.Minute)
			f.Success()
			f.Success()
			f.Failure("a", full)
		}, []string{"count=1", "fine again\" failed=1", "count=1"}},
		"the end": {func(f *router.FailureLog) {
			f.Failure("a", full)
			for range 50 {
				f.Failure("a", full)
			}
			f.Close()
			f.Close()
		}, []string{"count=1", "error=\"disk is full\" count=51 untold=50"}},
		"the end of what was told": {func(f *router.FailureLog) {
			f.Failure("a", full)
			f.Close()
		}, []string{"count=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				c.do(router.NewFailureLog(slog.New(slog.NewTextHandler(&log, nil)), "lost", "fine again"))
				lines := strings.Split(strings.TrimSpace(log.String()), "\n")
				if len(lines) != len(c.lines) {
					t.Fatalf("log:\n%s\nwant %q", &log, c.lines)
				}
				for i, line := range lines {
					if !strings.Contains(line, c.lines[i]) {
						t.Errorf("line %d: %s\nwant %q", i, line, c.lines[i])
					}
				}
			})
		})
	}
}

func TestFailureLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		f := router.NewFailureLog(slog.New(slog.NewTextHandler(&log, nil)), "lost", "fine again")
		for i := range 10_000 {
			f.Failure(fmt.Sprint(i), errors.New("refused"))
		}
		if n := strings.Count(log.String(), "\n"); n != 100 {
			t.Errorf("%d lines", n)
		}
		<-time.After(time.Minute)
		f.Failure("more", errors.New("refused"))
		if !strings.Contains(log.String(), "count=10001") {
			t.Error("what was not told of is not counted")
		}
	})
}
