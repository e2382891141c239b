package dir

import (
	"context"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imbrouter/router"
)

// latest returns a sink whose streams all land under one name, the last wins.
func latest(t testing.TB) *testSink {
	t.Helper()
	return open(t, func(c *Config) { c.IfExists, c.Filename = "overwrite", `"latest.csv"` })
}

// whole begins a stream of that name and contents and ends it, but for its Commit.
func (s *testSink) whole(t testing.TB, name, contents string) router.StreamWriter {
	t.Helper()
	w := s.begin(t, name)
	if _, err := w.Write([]byte(contents)); err != nil {
		t.Fatal(err)
	}
	if err := w.(router.Ender).End(context.Background()); err != nil {
		t.Fatal(err)
	}
	return w
}

func commit(t testing.TB, w router.StreamWriter) {
	t.Helper()
	if err := w.Commit(context.Background()); err != nil {
		t.Error(err)
	}
}

func (s *testSink) wantLatest(t testing.TB, contents string) {
	t.Helper()
	if diff := cmp.Diff(map[string]string{"latest.csv": contents}, s.files(t)); diff != "" {
		t.Error(diff)
	}
	if left := s.partials(t); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if kept := s.incompletes(t); len(kept) > 0 {
		t.Errorf("incomplete: %v", kept)
	}
	if n := len(s.folder.turns.names); n > 0 {
		t.Errorf("%d names are still remembered", n)
	}
}

func TestOverwriteKeepsTheStreamThatEndedLast(t *testing.T) {
	s := latest(t)
	a, b, c := s.whole(t, "a", "1"), s.whole(t, "b", "2"), s.whole(t, "c", "3")
	commit(t, b)
	commit(t, c)
	commit(t, a)
	s.wantLatest(t, "3")
	if n := s.logged("a later stream has this name"); n != 1 {
		t.Errorf("%d lines tell of dropped files, want 1: %s", n, s.log)
	}
}

// TestOverwriteIsNotAboutTheStart has a stream win that began before others and
// ended after them; its caller knows no End.
func TestOverwriteIsNotAboutTheStart(t *testing.T) {
	s := latest(t)
	slow := s.begin(t, "slow")
	s.mustSend(t, "quick", "1")
	if _, err := slow.Write([]byte("2")); err != nil {
		t.Fatal(err)
	}
	commit(t, slow)
	s.wantLatest(t, "2")
}

func TestOverwriteKeepsTheLastOfManyAtOnce(t *testing.T) {
	s := latest(t)
	var committing sync.WaitGroup
	start := make(chan struct{})
	for _, contents := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		w := s.whole(t, contents, contents)
		committing.Go(func() { <-start; commit(t, w) })
	}
	close(start)
	committing.Wait()
	s.wantLatest(t, "8")
}

// TestOverwriteAfterALaterStreamFailed has the older one stand in for a newer
// one that did not land.
func TestOverwriteAfterALaterStreamFailed(t *testing.T) {
	s := latest(t)
	a, b, c := s.whole(t, "a", "1"), s.whole(t, "b", "2"), s.whole(t, "c", "3")
	s.disk.fail("rename", syscall.ENOSPC)
	if err := b.Commit(context.Background()); err == nil {
		t.Error("Commit did not fail")
	}
	s.disk.fail("rename", nil)
	c.Abort(errCutOff)
	commit(t, a)
	for name := range s.incompletes(t) {
		if name != "latest.csv" && name != "latest.csv"+reasonSuffix {
			t.Errorf("incomplete: %q", name)
		}
	}
	if diff := cmp.Diff(map[string]string{"latest.csv": "1"}, s.files(t)); diff != "" {
		t.Error(diff)
	}
}

// TestTurnsAreOfOneName lands streams of other names whatever their order.
func TestTurnsAreOfOneName(t *testing.T) {
	s := open(t, func(c *Config) { c.IfExists = "overwrite" })
	a, b := s.whole(t, "a", "1"), s.whole(t, "b", "2")
	commit(t, b)
	commit(t, a)
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "2"}, s.files(t)); diff != "" {
		t.Error(diff)
	}
}
