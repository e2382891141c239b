package imb_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// TestHandleBatches: what has come together is handled together, in its order.
func TestHandleBatches(t *testing.T) {
	for _, second := range []bool{false, true} {
		t.Run(fmt.Sprint("beside another handler: ", second), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got, others []string
				largest := 0
				release := make(chan struct{})
				_, _, p := connectScripted(t, imb.Options{}, func(c *imb.Client) {
					hold, e := c.Event("hold"), c.Event("e")
					hold.HandleAll(func(imb.Message) { <-release })
					e.HandleBatches(func(messages []imb.Message) {
						largest = max(largest, len(messages))
						for _, m := range messages {
							s, _ := wire.ParseText(m.Data)
							got = append(got, s)
						}
					})
					if second {
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
				case second && (largest != 1 || !slices.Equal(others, want)):
					t.Errorf("%d came at a time; the other one handled %q", largest, others)
				case !second && (largest < 2 || largest > 64):
					t.Errorf("%d came at a time", largest)
				}
			})
		})
	}
}

// TestSlowBatchLosesNothing: a handler of many that tells of its progress is not
// taken for one that hangs.
func TestSlowBatchLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled, largest := 0, 0
		var e *imb.Event
		c, _, p := connectScripted(t, imb.Options{ReceiveQueue: 5000, BlockTimeout: 200 * time.Millisecond}, func(c *imb.Client) {
			e = c.Event("e")
			e.HandleBatches(func(messages []imb.Message) {
				largest = max(largest, len(messages))
				for range messages {
					<-time.After(100 * time.Millisecond)
					handled++
					c.Progress()
				}
			})
			must(t, e.Subscribe())
		})
		for range 100 {
			p.Send(p.event(e.Name(), wire.NormalEvent, make([]byte, 100)))
		}
		letPass(time.Minute)
		if s := c.Stats(); handled != 100 || s.Dropped != 0 || s.ReceiveQueue != 0 {
			t.Errorf("%d of 100 handled, stats %+v", handled, s)
		}
		if largest < 3 {
			t.Errorf("no more than %d came together: that proves nothing", largest)
		}
	})
}

// TestHandlerComesToABatch: a handler that is added while a batch is handled gets
// what comes after it.
func TestHandlerComesToABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got, others []string
		release := make(chan struct{})
		_, _, p := connectScripted(t, imb.Options{}, func(c *imb.Client) {
			hold, e := c.Event("hold"), c.Event("e")
			hold.HandleAll(func(imb.Message) { <-release })
			var remove func()
			remove = e.HandleBatches(func(messages []imb.Message) {
				for _, m := range messages {
					s, _ := wire.ParseText(m.Data)
					got = append(got, s)
				}
				remove()
				e.HandleAll(func(m imb.Message) {
					s, _ := wire.ParseText(m.Data)
					others = append(others, s)
				})
			})
			must(t, hold.Subscribe())
			must(t, e.Subscribe())
		})
		p.Send(p.event("demo.hold", wire.NormalEvent, nil), p.event("demo.e", wire.NormalEvent, text("a")), p.event("demo.e", wire.NormalEvent, text("b")))
		synctest.Wait()
		close(release)
		synctest.Wait()
		p.Send(p.event("demo.e", wire.NormalEvent, text("c")))
		synctest.Wait()
		if !slices.Equal(got, []string{"a", "b"}) || !slices.Equal(others, []string{"c"}) {
			t.Errorf("the one has handled %q and the other %q", got, others)
		}
	})
}

// TestQueueOfSmallSignals: many small signals that wait take not much more memory
// than Options.ReceiveQueue says.
func TestQueueOfSmallSignals(t *testing.T) {
	release := make(chan struct{})
	addr, _ := imbtest.StartHub(t, hub.Options{})
	c := connect(t, imb.Options{Address: addr})
	sender := connect(t, imb.Options{Address: addr})
	in, out := c.Event("e"), sender.Event("e")
	in.HandleAll(func(imb.Message) { <-release })
	must(t, in.Subscribe())
	must(t, c.Flush(t.Context()))
	must(t, out.Publish())
	before := heap()
	tiny := make([]imb.Message, 1000)
	for c.Stats().ReceiveQueue < 7<<20 {
		if _, err := out.SendBatch(t.Context(), tiny); err != nil {
			t.Fatal(err)
		}
		must(t, sender.Flush(t.Context()))
		must(t, c.Flush(t.Context()))
	}
	queued := c.Stats().ReceiveQueue
	if took := heap() - before; took > 5*queued/2 {
		t.Errorf("a queue of %d bytes takes %d", queued, took)
	}
	close(release)
	must(t, c.Drain(t.Context()))
}

// heap returns the bytes that are in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what lies in pools goes with the second one
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
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
