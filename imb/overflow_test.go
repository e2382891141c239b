package imb_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// A handler hangs. After BlockTimeout what is queued is dropped, but not what
// a handler has already, and the client goes on.
func TestOverflowDropsWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logRecorder
		var dropped imbtest.Collector[string]
		release := make(chan struct{})
		var handled imbtest.Collector[string]
		var streams *streamRecorder
		var e *imb.Event
		c, _, p := connectScripted(t, imb.Options{
			ReceiveQueue: 2000, BlockTimeout: 5 * time.Second, Log: log.logger(),
			OnDrop: func(m imb.Message) {
				s, _ := wire.ParseText(m.Data)
				dropped.Add(m.Name + " " + s)
			},
		}, func(c *imb.Client) {
			e = c.Event("e")
			streams = recordStreams(e)
			e.HandleAll(func(m imb.Message) {
				s, _ := wire.ParseText(m.Data)
				handled.Add(s)
				if s == "hang" {
					<-release
				}
			})
			must(t, e.Subscribe())
		})
		signal := func(s string) []byte { return p.event(e.Name(), wire.NormalEvent, text(s)) }
		p.Send(p.header(e.Name(), 1, "safe"), p.header(e.Name(), 2, "cut"), signal("before"), signal("hang"))
		synctest.Wait()
		p.Send(p.body(e.Name(), 2, "lost"), p.header(e.Name(), 3, "never begun"))
		var want []string
		for before := -1; before < c.Stats().ReceiveQueue; synctest.Wait() { // until one does not fit
			before = c.Stats().ReceiveQueue
			s := fmt.Sprint(len(want))
			p.Send(signal(s))
			want = append(want, "demo.e "+s)
		}
		letPass(4 * time.Second)
		if n := len(dropped.All()); n != 0 {
			t.Errorf("%d are dropped before the time", n)
		}
		letPass(2 * time.Second)
		if diff := cmp.Diff(want, dropped.All()); diff != "" {
			t.Errorf("dropped (-want +got):\n%s", diff)
		}
		if n := c.Stats().Dropped; n != uint64(len(want)) {
			t.Errorf("%d signals are counted as dropped, want %d", n, len(want))
		}
		if n := log.count("receive queue overflowed"); n != 1 {
			t.Errorf("the log tells of it %d times", n)
		}

		close(release)
		p.Send(
			p.tail(e.Name(), 1, "whole"), p.body(e.Name(), 2, "more"), p.tail(e.Name(), 2, "end"),
			p.tail(e.Name(), 3, "end"), p.header(e.Name(), 4, "later"), p.tail(e.Name(), 4, "x"), signal("after"),
		)
		synctest.Wait()
		if diff := cmp.Diff([]string{"before", "hang", "after"}, handled.All()); diff != "" {
			t.Errorf("handled (-want +got):\n%s", diff)
		}
		all := streams.all()
		if len(all) != 3 {
			t.Fatalf("%d streams began: %+v", len(all), all)
		}
		if s := all[0]; s.StreamName != "safe" || s.Err != nil || string(s.Data) != "whole" {
			t.Errorf("stream that lost nothing: %+v", s)
		}
		if s := all[1]; s.StreamName != "cut" || !errors.Is(s.Err, imb.ErrOverflow) || len(s.Data) != 0 {
			t.Errorf("stream that lost a body: %+v", s)
		}
		if s := all[2]; s.StreamName != "later" || s.Err != nil || string(s.Data) != "x" {
			t.Errorf("later stream: %+v", s)
		}
	})
}

// A handler that hangs for long lets the queue overflow again and again: that is
// told at once, then once a minute with the sums, and when it is over.
func TestOverflowsAreToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logRecorder
		release := make(chan struct{})
		var e *imb.Event
		c, _, p := connectScripted(t, imb.Options{
			ReceiveQueue: 2000, BlockTimeout: 5 * time.Second, Log: log.logger(),
		}, func(c *imb.Client) {
			e = c.Event("e")
			e.HandleAll(func(imb.Message) { <-release })
			must(t, e.Subscribe())
		})
		overflow := func() {
			for before := c.Stats().Dropped; c.Stats().Dropped == before; letPass(100 * time.Millisecond) {
				p.Send(p.event(e.Name(), wire.NormalEvent, make([]byte, 500)))
			}
		}
		const told = "receive queue overflowed"
		begun := time.Now()
		overflow()
		if n := log.count(told); n != 1 || log.count("level=ERROR") != 1 {
			t.Errorf("told %d times of the first", n)
		}
		overflows := 1
		for ; time.Since(begun) < 3*time.Minute; overflows++ {
			overflow()
		}
		if n := log.count(told); n < 3 || n > 4 || overflows < 20 {
			t.Errorf("told %d times of %d overflows", n, overflows)
		}
		close(release)
		letPass(50 * time.Second)
		if n := log.count("does not overflow any more"); n != 0 {
			t.Error("told too early that it is over")
		}
		letPass(15 * time.Second) // nothing comes
		if n := log.count("does not overflow any more"); n != 1 {
			t.Errorf("told %d times that it is over", n)
		}
		if log.count(fmt.Sprintf("count=%d signals=%d streams=0", overflows, c.Stats().Dropped)) == 0 {
			t.Errorf("the end does not tell of %d overflows and %d signals", overflows, c.Stats().Dropped)
		}
	})
}

// A handler that is slow but returns holds the hub up for as long as it takes.
func TestSlowHandlerLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		var e *imb.Event
		c, _, p := connectScripted(t, imb.Options{ReceiveQueue: 1500, BlockTimeout: 2 * time.Second}, func(c *imb.Client) {
			e = c.Event("e")
			e.HandleAll(func(imb.Message) {
				<-time.After(time.Second)
				n++
			})
			must(t, e.Subscribe())
		})
		for range 50 {
			p.Send(p.event(e.Name(), wire.NormalEvent, make([]byte, 100)))
		}
		p.Send(p.event(e.Name(), wire.NormalEvent, make([]byte, 1000))) // has to wait for several
		letPass(time.Minute)
		if s := c.Stats(); n != 51 || s.Dropped != 0 || s.ReceiveQueue != 0 {
			t.Errorf("%d of 51 handled, stats %+v", n, s)
		}
	})
}

// A message that is larger than the queue is taken when that is empty.
func TestMessageLargerThanTheReceiveQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes imbtest.Collector[int]
		var e *imb.Event
		_, _, p := connectScripted(t, imb.Options{ReceiveQueue: 1000}, func(c *imb.Client) {
			e = c.Event("e")
			e.HandleAll(func(m imb.Message) { sizes.Add(len(m.Data)) })
			must(t, e.Subscribe())
		})
		for _, size := range []int{10, 100_000, 10} {
			p.Send(p.event(e.Name(), wire.NormalEvent, make([]byte, size)))
		}
		synctest.Wait()
		if diff := cmp.Diff([]int{10, 100_000, 10}, sizes.All()); diff != "" {
			t.Errorf("sizes (-want +got):\n%s", diff)
		}
	})
}

// The handler returns while what was queued is being dropped.
func TestHandlerReturnsDuringAnOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var dropped imbtest.Collector[string]
		var e *imb.Event
		_, _, p := connectScripted(t, imb.Options{
			ReceiveQueue: 100_000, BlockTimeout: time.Second,
			OnDrop: func(m imb.Message) {
				s, _ := wire.ParseText(m.Data)
				if dropped.Add(s); s == "first" {
					close(release)
					synctest.Wait() // the dispatcher has gone on
				}
			},
		}, func(c *imb.Client) {
			e = c.Event("e")
			e.HandleAll(func(m imb.Message) {
				if s, _ := wire.ParseText(m.Data); s == "short" {
					<-time.After(time.Millisecond)
				} else {
					<-release
				}
			})
			must(t, e.Subscribe())
		})
		signal := func(s string) []byte { return p.event(e.Name(), wire.NormalEvent, text(s)) }
		p.Send(signal("short"))
		synctest.Wait()
		frames := [][]byte{signal("long"), signal("first")} // taken together when short is over
		want := []string{"first"}
		for id := range int32(20) {
			frames = append(frames, p.body(e.Name(), id, ""))
		}
		for i := range 20 {
			s := fmt.Sprintf("signal %d with more text", i)
			frames, want = append(frames, signal(s)), append(want, s)
		}
		p.Send(frames...)
		letPass(2 * time.Millisecond)
		big := string(make([]byte, 99_000))
		p.Send(signal(big))
		<-time.After(2 * time.Second)
		want = append(want, big)
		if diff := cmp.Diff(want, dropped.All()); diff != "" {
			t.Errorf("dropped (-want +got):\n%s", diff)
		}
	})
}
