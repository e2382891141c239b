package imb_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"imbrouter/imb"
	"imbrouter/imb/wire"
)

// TestHandleBatches: what has come together is handled together, in its order, and
// what the handler leaves comes again.
func TestHandleBatches(t *testing.T) {
	for _, test := range []struct {
		name   string
		take   int // at most, at a time
		second bool
	}{
		{"all of them", 100, false},
		{"some of them", 7, false},
		{"beside another handler", 100, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got, others []string
				largest := 0
				release := make(chan struct{})
				_, _, p := connectScripted(t, imb.Options{}, func(c *imb.Client) {
					hold, e := c.Event("hold"), c.Event("e")
					hold.HandleAll(func(imb.Message) { <-release })
					e.HandleBatches(func(messages []imb.Message) int {
						largest = max(largest, len(messages))
						n := min(len(messages), test.take)
						for _, m := range messages[:n] {
							s, _ := wire.ParseText(m.Data)
							got = append(got, s)
						}
						return n
					})
					if test.second {
						e.HandleAll(func(m imb.Message) {
							s, _ := wire.ParseText(m.Data)
							others = append(others, s)
						})
					}
					must(t, hold.Subscribe())
					must(t, e.Subscribe())
				})
				frames := [][]byte{p.event("demo.hold", wire.NormalEvent, nil)}
				var want []string
				for i := range 100 {
					want = append(want, fmt.Sprint(i))
					frames = append(frames, p.event("demo.e", wire.NormalEvent, text(want[i])))
				}
				p.Send(frames...)
				synctest.Wait()
				close(release)
				synctest.Wait()
				if !slices.Equal(got, want) {
					t.Errorf("handled %q", got)
				}
				switch {
				case test.second && (largest != 1 || !slices.Equal(others, want)):
					t.Errorf("%d came at a time; the other one handled %q", largest, others)
				case !test.second && (largest < 2 || largest > 64):
					t.Errorf("%d came at a time", largest)
				}
			})
		})
	}
}

// TestSendBatch sends messages up to one that cannot be sent.
func TestSendBatch(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e := c.Event("e")
	got := collectTexts(t, e)
	ready(t, c, e)
	batch := make([]imb.Message, 500)
	var texts []string
	for i := range batch {
		texts = append(texts, fmt.Sprintf("%d%0500d", i, 0)) // more than a block of the queue
		batch[i] = imb.Message{Kind: wire.NormalEvent, Data: text(texts[i])}
	}
	want := slices.Clone(texts)
	n, err := e.SendBatch(t.Context(), batch)
	if n != len(batch) || err != nil {
		t.Errorf("%d sent, %v", n, err)
	}
	for _, test := range []struct {
		bad  imb.Message
		want error
	}{
		{imb.Message{Kind: wire.StreamBody}, imb.ErrStreamKind},
		{imb.Message{Data: make([]byte, wire.MaxEventData+1)}, wire.ErrTooLarge},
	} {
		batch[300] = test.bad
		if n, err := e.SendBatch(t.Context(), batch); n != 300 || !errors.Is(err, test.want) {
			t.Errorf("%d sent, %v", n, err)
		}
		want = append(want, texts[:300]...)
	}
	if n, err := c.Event("other").SendBatch(t.Context(), batch); n != 0 || !errors.Is(err, imb.ErrNotPublished) {
		t.Errorf("%d sent of what is not published, %v", n, err)
	}
	if !slices.Equal(got.Wait(t, len(want)), want) {
		t.Error("they did not arrive in their order")
	}
}
