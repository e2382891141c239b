package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// TestOvertakenStream: when two senders choose one id, the newer stream is the
// one that arrives. A receiver that cannot tell them apart, which is all of
// them, gets nothing of the older after the header of the newer.
func TestOvertakenStream(t *testing.T) {
	var log logBook
	h := start(t, hub.Options{Log: log.logger()})
	a, b, c := dialHub(t, h), dialHub(t, h), dialHub(t, h)
	c.subscribe(0, "fed.x")
	c.done()
	for _, sender := range []*client{a, b} {
		sender.publish(0, "fed.x")
		sender.done()
	}
	c.done()
	a.stream(head, 0, 77, "a")
	a.stream(body, 0, 77, "of a")
	a.done()
	b.stream(head, 0, 77, "b")
	b.done()
	a.stream(body, 0, 77, "lost")
	a.stream(tail, 0, 77, "lost")
	a.stream(tail, 0, 77, "headless")
	a.done()
	b.stream(body, 0, 77, "of b")
	b.stream(tail, 0, 77, "end of b")
	b.done()
	a.stream(head, 0, 77, "another of a") // the id is free again
	a.stream(tail, 0, 77, "end of a")
	a.done()
	c.expect(header(0, 77, "a"), `event 0 stream_body 77 "of a"`,
		header(0, 77, "b"), `event 0 stream_body 77 "of b"`, `event 0 stream_tail 77 "end of b"`,
		header(0, 77, "another of a"), `event 0 stream_tail 77 "end of a"`)
	if n := h.Stats().Dropped; n != 3 {
		t.Errorf("%d dropped", n)
	}
	b.close(h)
	other := fmt.Sprintf("other=%X", a.ID)
	if lines := log.lines("level=WARN", "event=fed.x", "stream=77", fmt.Sprintf("client=%X", b.ID), other); len(lines) != 1 {
		t.Errorf("logged %q", log.lines("level=WARN"))
	}
	if lines := log.lines("client disconnected", "overtaken_streams=1"); len(lines) != 1 {
		t.Errorf("logged %q", log.lines("disconnected"))
	}
}

// TestOvertakenInTurns: two senders whose streams all have one id, as two
// TypeScript clients have that send the same file, overtake each other.
func TestOvertakenInTurns(t *testing.T) {
	h := start(t, hub.Options{})
	a, b, c := dialHub(t, h), dialHub(t, h), dialHub(t, h)
	c.subscribe(0, "fed.x")
	a.publish(0, "fed.x")
	b.publish(0, "fed.x")
	for _, all := range []*client{a, b, c} {
		all.done()
	}
	c.done()
	a.stream(head, 0, 77, "1")
	a.done()
	b.stream(head, 0, 77, "2")
	b.done()
	a.stream(head, 0, 77, "3")
	a.done()
	b.stream(body, 0, 77, "lost")
	b.done()
	a.stream(body, 0, 77, "of 3")
	a.done()
	b.stream(tail, 0, 77, "lost")
	b.done()
	a.stream(tail, 0, 77, "end of 3")
	a.done()
	c.expect(header(0, 77, "1"), header(0, 77, "2"), header(0, 77, "3"), `event 0 stream_body 77 "of 3"`, `event 0 stream_tail 77 "end of 3"`)
}

// TestSenderOfStreamIsGone: what a sender left unfinished when it left overtakes
// nothing and is not overtaken.
func TestSenderOfStreamIsGone(t *testing.T) {
	for name, leave := range map[string]func(h *hub.Hub, a *client){
		"disconnected": func(h *hub.Hub, a *client) { a.close(h) },
		"unpublished":  func(h *hub.Hub, a *client) { a.unpublish("fed.x"); a.done() },
	} {
		t.Run(name, func(t *testing.T) {
			var log logBook
			h := start(t, hub.Options{Log: log.logger()})
			a, b, c := dialHub(t, h), dialHub(t, h), dialHub(t, h)
			c.subscribe(0, "fed.x")
			b.publish(0, "fed.x")
			a.publish(0, "fed.x")
			for _, all := range []*client{a, b, c} {
				all.done()
			}
			c.done()
			a.stream(head, 0, 77, "a")
			a.done()
			leave(h, a)
			b.stream(head, 0, 77, "b")
			b.stream(tail, 0, 77, "end of b")
			b.done()
			c.expect(header(0, 77, "a"), header(0, 77, "b"), `event 0 stream_tail 77 "end of b"`)
			if lines := log.lines("level=WARN"); len(lines) != 0 {
				t.Errorf("logged %q", lines)
			}
		})
	}
}

// TestOvertakenWhileItsSenderWaits: the older stream's sender is held up half-way
// through the subscribers when it is overtaken, in the body or in the tail. Which
// of the two senders goes on first is open, hence the rounds.
func TestOvertakenWhileItsSenderWaits(t *testing.T) {
	for round := range 20 {
		last := []wire.Kind{body, tail}[round%2]
		t.Run(last.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, hub.Options{QueueBytes: queueBytes, SlowConsumerTimeout: time.Hour})
				a, b, free, stuck, filler := dialHub(t, h), dialHub(t, h), dialHub(t, h), dialHub(t, h), dialHub(t, h)
				stuck.subscribe(1, "fed.filler")
				stuck.done()
				for _, c := range []*client{free, stuck} { // in this order
					c.subscribe(0, "fed.x")
					c.done()
				}
				for _, c := range []*client{a, b} {
					c.publish(0, "fed.x")
					c.done()
				}
				told := make(map[*client]chan string)
				read := func(c *client) {
					told[c] = make(chan string, 1000)
					go func() {
						for f, err := c.r.Next(); err == nil; f, err = c.r.Next() {
							told[c] <- describe(f)
						}
						close(told[c])
					}()
				}
				read(free)
				a.stream(head, 0, 77, "a")
				a.done()
				filler.publish(0, "fed.filler")
				filler.done()
				go filler.conn.Write(slices.Concat(slices.Repeat([][]byte{signal(0, strings.Repeat("x", 1000))}, 200)...))
				synctest.Wait()
				a.stream(last, 0, 77, "of a")
				synctest.Wait() // a waits for the one that is stuck
				go b.conn.Write(slices.Concat(streamPart(head, 0, 77, "b"), streamPart(body, 0, 77, "of b"), streamPart(tail, 0, 77, "end of b")))
				synctest.Wait() // so does b
				read(stuck)
				synctest.Wait()
				h.Close()
				for _, c := range []*client{free, stuck} {
					var parts []string
					for line := range told[c] {
						if strings.Contains(line, "stream") {
							parts = append(parts, line)
						}
					}
					i := slices.Index(parts, header(1, 77, "b"))
					if i < 0 || strings.Contains(strings.Join(parts[i:], " "), "of a") || len(parts) != i+3 {
						t.Errorf("got %q", parts)
					}
				}
			})
		})
	}
}

// TestOvertakenUnderTraffic: several senders send all their streams under one
// id, at once and as fast as they can. Every receiver gets each stream from its
// header on without a gap, up to its tail or the header of the next.
func TestOvertakenUnderTraffic(t *testing.T) {
	const senders, receivers, streams, bodies = 3, 3, 300, 5
	h := start(t, hub.Options{QueueBytes: 64 << 10})
	l := serve(t, h)
	var all sync.WaitGroup
	for range receivers {
		c := dialTCP(t, l)
		c.subscribe(0, "fed.x")
		c.done()
		all.Go(func() {
			running, next, whole := "", 0, 0
			for ended := 0; ended < senders; {
				f, err := c.r.Next()
				if err != nil {
					t.Error(err)
					return
				}
				if f.Command != wire.CmdEvent {
					continue
				}
				e, err := wire.ParseEvent(f.Payload)
				if err != nil {
					t.Error(err)
					return
				}
				switch e.Kind {
				case head:
					begin, err := wire.ParseStreamStart(e.Data)
					if err != nil {
						t.Error(err)
						return
					}
					running, next = begin.Name, 0
					continue
				case wire.NormalEvent:
					ended++
					continue
				}
				part, err := wire.ParseStreamChunk(e.Data)
				if err != nil {
					t.Error(err)
					return
				}
				text := strings.TrimRight(string(part.Bytes), ".")
				if want := fmt.Sprint(running, " part ", next); running == "" || text != want {
					t.Errorf("%q after the header of %q, want part %d", text, running, next)
					return
				}
				next++
				if e.Kind == tail {
					running = ""
					whole++
				}
			}
			if whole == 0 {
				t.Error("no stream came whole")
			}
		})
	}
	for sender := range senders {
		c := dialTCP(t, l)
		c.publish(0, "fed.x")
		all.Go(func() {
			for n := range streams {
				name := fmt.Sprintf("sender %d stream %d", sender, n)
				b := streamPart(head, 0, 7, name)
				for i := range bodies + 1 {
					kind := body
					if i == bodies {
						kind = tail
					}
					b = append(b, streamPart(kind, 0, 7, fmt.Sprint(name, " part ", i, strings.Repeat(".", 500)))...)
				}
				if _, err := c.conn.Write(b); err != nil {
					t.Error(err)
					return
				}
			}
			if _, err := c.conn.Write(signal(0, "end")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
