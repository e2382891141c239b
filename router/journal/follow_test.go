package journal_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"imbrouter/router/journal"
)

func TestFollow(t *testing.T) {
	path := pathIn(t)
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan string)
	var following sync.WaitGroup
	following.Go(func() {
		for r, err := range journal.Follow(ctx, path, journal.Filter{Outcomes: []journal.Outcome{journal.Sent}}) {
			if err != nil {
				t.Error(err)
			}
			got <- r.Name
		}
		close(got)
	})
	j := open(t, path, journal.Options{MaxSize: 700, MaxFiles: 100})
	for round := range 3 {
		var want []string
		for i := range 20 { // several files
			want = append(want, fmt.Sprint(round, ".", i))
		}
		appendNamed(t, j, want...)
		if err := j.Append(t.Context(), journal.Record{Outcome: journal.Failed, Name: "not chosen"}); err != nil {
			t.Fatal(err)
		}
		for _, name := range want {
			if next := <-got; next != name {
				t.Fatalf("followed to %q, want %q", next, name)
			}
		}
	}
	stop()
	if next, ok := <-got; ok {
		t.Errorf("after the end: %q", next)
	}
	following.Wait()
}

func TestFollowWaitsForTheWholeLine(t *testing.T) {
	path := pathIn(t)
	written(t, path, "a")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, path, string(text[:20]))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	n := 0
	for r, err := range journal.Follow(ctx, path, journal.Filter{}) {
		if err != nil || r.Name != "a" {
			t.Errorf("got %q, %v", r.Name, err)
		}
		if n++; n == 2 {
			return
		}
		time.AfterFunc(time.Millisecond, func() { damage(t, path, string(text[20:])) })
	}
}
