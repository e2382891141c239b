package imb_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// Close writes everything out first, also when the client has unread data.
func TestCloseSendsWhatIsQueued(t *testing.T) {
	addr, h := imbtest.StartHub(t, hub.Options{})
	receiver := connect(t, imb.Options{Address: addr})
	got := collectTexts(t, receiver.Event("e"))
	ready(t, receiver, receiver.Event("e"))

	const n = 1000
	c := connect(t, imb.Options{Address: addr})
	e := c.Event("e")
	ready(t, c, e) // so that the hub sends it all back
	var want []string
	for i := range n {
		s := fmt.Sprintf("%1000d", i)
		want = append(want, s)
		must(t, e.SignalString(t.Context(), s))
	}
	must(t, c.Close(t.Context()))
	if c.State() != imb.Closed {
		t.Errorf("the state is %v", c.State())
	}
	if diff := cmp.Diff(want, got.Wait(t, n)); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	imbtest.Eventually(t, func() bool { return h.Stats().Connections == 1 }, "the hub ends the session")
	must(t, c.Close(t.Context()))
	for what, err := range map[string]error{
		"Send": e.SignalString(t.Context(), ""), "Publish": c.Event("new").Publish(), "Unpublish": e.Unpublish(),
	} {
		if !errors.Is(err, imb.ErrClosed) {
			t.Errorf("%s of a closed client returned %v", what, err)
		}
	}
	if _, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{}); !errors.Is(err, imb.ErrClosed) {
		t.Errorf("OpenStream of a closed client returned %v", err)
	}
	if _, err := c.WatchVariables(func(string, []byte) {}); !errors.Is(err, imb.ErrClosed) {
		t.Errorf("WatchVariables of a closed client returned %v", err)
	}
}

func TestCloseEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, p := connectScripted(t, imb.Options{}, nil)
		e := c.Event("e")
		must(t, e.Publish())
		must(t, e.SignalString(t.Context(), "last words"))
		closed := make(chan error)
		begin := time.Now()
		go func() { closed <- c.Close(t.Context()) }()
		p.serveUntil(wire.CmdEvent)
		p.ExpectCommand(wire.CmdEndSession)
		must(t, <-closed) // although the peer leaves the connection open
		if waited := time.Since(begin); waited > 2*time.Second {
			t.Errorf("Close took %v", waited)
		}
	})
}

func TestCloseTellsWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newScriptedHub(t)
		c := connect(t, imb.Options{Dial: h.Dial, Retry: true})
		e := c.Event("e")
		must(t, e.Publish())
		must(t, e.SignalString(t.Context(), "never sent"))
		if err := c.Close(t.Context()); !errors.Is(err, imb.ErrNotConnected) {
			t.Errorf("Close without a connection returned %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, _, p := connectScripted(t, imb.Options{}, nil)
		e := c.Event("e")
		must(t, e.Publish())
		p.serveUntil(wire.CmdPublish)
		must(t, e.SignalString(t.Context(), "the hub does not take it"))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close against a hub that takes nothing returned %v", err)
		}
	})
}

// Handlers still get what was received, unless Close has to hurry.
func TestCloseAndTheReceiveQueue(t *testing.T) {
	for _, hurry := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var handled, dropped imbtest.Collector[string]
			add := func(to *imbtest.Collector[string], m imb.Message) {
				s, _ := wire.ParseText(m.Data)
				to.Add(s)
			}
			var e *imb.Event
			c, _, p := connectScripted(t, imb.Options{OnDrop: func(m imb.Message) { add(&dropped, m) }}, func(c *imb.Client) {
				e = c.Event("e")
				e.HandleAll(func(m imb.Message) {
					<-time.After(time.Second)
					add(&handled, m)
				})
				must(t, e.Subscribe())
			})
			for i := range 5 {
				p.Send(p.event(e.Name(), wire.NormalEvent, text(fmt.Sprint(i))))
			}
			synctest.Wait()
			p.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
			defer cancel()
			if !hurry {
				ctx = t.Context()
			}
			must(t, c.Close(ctx))
			want, wantDropped := []string{"0", "1", "2", "3", "4"}, []string(nil)
			if hurry {
				want, wantDropped = want[:3], want[3:]
			}
			if diff := cmp.Diff(want, handled.All()); diff != "" {
				t.Errorf("hurry %v: handled (-want +got):\n%s", hurry, diff)
			}
			if diff := cmp.Diff(wantDropped, dropped.All()); diff != "" {
				t.Errorf("hurry %v: dropped (-want +got):\n%s", hurry, diff)
			}
		})
	}
}

// OnDrop is told of what has no room when the connection is closed, or lost.
func TestWhatHasNoRoomIsDropped(t *testing.T) {
	for _, end := range []string{"close", "loss"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var handled, dropped imbtest.Collector[string]
				add := func(to *imbtest.Collector[string], m imb.Message) {
					s, _ := wire.ParseText(m.Data)
					to.Add(s)
				}
				var e *imb.Event
				c, _, p := connectScripted(t, imb.Options{
					ReceiveQueue: 1000, OnDrop: func(m imb.Message) { add(&dropped, m) },
				}, func(c *imb.Client) {
					e = c.Event("e")
					e.HandleAll(func(m imb.Message) {
						<-release
						add(&handled, m)
					})
					must(t, e.Subscribe())
				})
				var sent []string
				var frames [][]byte
				for i := range 20 { // more than has room, read at once
					sent = append(sent, fmt.Sprint(i))
					frames = append(frames, p.event(e.Name(), wire.NormalEvent, text(sent[i])))
				}
				p.Send(frames...)
				synctest.Wait()
				closed := make(chan error, 1)
				if end == "close" {
					go func() { closed <- c.Close(t.Context()) }()
				} else {
					p.Close() // which the next write tells
					must(t, c.Event("x").Publish())
					closed <- nil
				}
				synctest.Wait()
				close(release)
				must(t, <-closed)
				synctest.Wait()
				if len(dropped.All()) == 0 {
					t.Error("all has room; the test shows nothing")
				}
				if diff := cmp.Diff(sent, append(handled.All(), dropped.All()...)); diff != "" {
					t.Errorf("handled and dropped (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A stream of which a part came too late for a full queue is not whole, though
// there is room again for what follows.
func TestStreamThatIsCutByCloseIsNotWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var streams *streamRecorder
		var e *imb.Event
		c, _, p := connectScripted(t, imb.Options{ReceiveQueue: 1500}, func(c *imb.Client) {
			e = c.Event("e")
			e.HandleAll(func(imb.Message) { <-release })
			streams = recordStreams(e)
			must(t, e.Subscribe())
		})
		p.Send(
			p.header(e.Name(), 1, "a"), p.event(e.Name(), wire.NormalEvent, make([]byte, 900)),
			p.body(e.Name(), 1, string(make([]byte, 1000))), // waits for room
			p.body(e.Name(), 1, "b"), p.tail(e.Name(), 1, "c"),
		)
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- c.Close(t.Context()) }()
		synctest.Wait()
		close(release)
		must(t, <-closed)
		if all := streams.all(); len(all) != 1 || !errors.Is(all[0].Err, imb.ErrDisconnected) {
			t.Errorf("received %+v", all)
		}
	})
}

func TestCloseTellsTheState(t *testing.T) {
	var states stateRecorder
	c, _, _ := connectScripted(t, imb.Options{OnState: states.record}, nil)
	closeNow(t, c)
	want := []stateChange{{imb.Connected, nil}, {imb.Closed, nil}}
	if diff := cmp.Diff(want, states.All()); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	for s, want := range map[imb.State]string{imb.Connecting: "connecting", imb.Connected: "connected", imb.Closed: "closed"} {
		if s.String() != want {
			t.Errorf("state %d is %q", s, s)
		}
	}
}

// A hurried Close gives up thousands of streams without going through all of them
// for each.
func TestHurriedCloseGivesUpManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var e *imb.Event
		c, _, p := connectScripted(t, imb.Options{}, func(c *imb.Client) {
			e = c.Event("e")
			e.HandleAll(func(imb.Message) { <-release })
			must(t, e.Subscribe())
		})
		p.Send(p.event(e.Name(), wire.NormalEvent, nil))
		for id := range int32(3000) {
			p.Send(p.header(e.Name(), id, "stream"))
		}
		synctest.Wait()
		p.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.AfterFunc(time.Second, func() { close(release) })
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		must(t, c.Close(ctx))
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 50<<20 {
			t.Errorf("it took %d bytes", n)
		}
	})
}
