package hub_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// In these tests time is that of the bubble: it moves on when all wait.

const (
	slowTimeout = 10 * time.Second
	queueBytes  = 64 << 10
)

// drain reads what comes to a client, until it ends, and counts the events.
// pause is how long it waits before each frame.
func drain(c *client, pause func()) (events func() (int, error)) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	c.conn.SetDeadline(time.Time{})
	go func() {
		n := 0
		for {
			pause()
			f, err := c.r.Next()
			if err != nil {
				done <- result{n, err}
				return
			}
			if f.Command == wire.CmdEvent {
				n++
			}
		}
	}()
	return func() (int, error) {
		r := <-done
		return r.n, r.err
	}
}

func noPause() {}

// TestSlowConsumer: who does not read holds its senders up at most for the
// time-out, is then disconnected, and nobody else. Nothing is lost to others.
func TestSlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBook
		h := start(t, hub.Options{QueueBytes: queueBytes, SlowConsumerTimeout: slowTimeout, Log: log.logger()})
		sender, good, stuck := dialHub(t, h), dialHub(t, h), dialHub(t, h)
		stuck.send(wire.AppendSetClientInfo(nil, wire.SetClientInfo{OwnerName: "sleeper"}))
		for _, c := range []*client{good, stuck} {
			c.subscribe(0, "fed.x")
			c.done()
			c.conn.SetDeadline(time.Time{})
		}
		sender.publish(0, "fed.x")
		sender.done()
		sender.conn.SetDeadline(time.Time{})
		received := drain(good, noPause)

		const signals = 1000
		data := strings.Repeat("x", 1000)
		began := time.Now()
		for range signals {
			sender.signal(0, data)
		}
		sender.done()
		if held := time.Since(began); held < slowTimeout-time.Second || held > slowTimeout+2*time.Second {
			t.Errorf("the sender was held up for %v", held)
		}
		if s := h.Stats(); s.Connections != 2 || s.SlowConsumers != 1 {
			t.Errorf("%d connections, %d slow consumers", s.Connections, s.SlowConsumers)
		}
		lines := log.lines("level=WARN", "half full")
		if len(lines) != 1 || !strings.Contains(lines[0], "owner=sleeper") || !strings.Contains(lines[0], "size=") || !strings.Contains(lines[0], "peer=in-process") {
			t.Errorf("logged %q", lines)
		}
		if _, err := io.Copy(io.Discard, stuck.conn); err != nil {
			t.Errorf("the slow one's connection: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if n, err := received(); n != signals || err != io.EOF {
			t.Errorf("the other received %d, %v", n, err)
		}
	})
}

// TestConsumersOfDifferentSpeed: what counts is whether half a queue is taken
// within the time-out. Reading a little now and then does not help; being
// slower than the sender, for however long, does no harm.
func TestConsumersOfDifferentSpeed(t *testing.T) {
	const queue, frame, signals = 2 << 20, 10_000, 3000
	tests := map[string]struct {
		bytesPerSecond int
		tooSlow        bool
	}{
		"a third of what is needed": {queue / 60, true},
		"three halves of it":        {queue * 3 / 40, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, hub.Options{QueueBytes: queue, SlowConsumerTimeout: slowTimeout})
				sender, c := dialHub(t, h), dialHub(t, h)
				c.subscribe(0, "fed.x")
				c.done()
				sender.publish(0, "fed.x")
				sender.done()
				sender.conn.SetDeadline(time.Time{})
				received := drain(c, func() { time.Sleep(frame * time.Second / time.Duration(tt.bytesPerSecond)) })
				began := time.Now()
				for range signals {
					sender.signal(0, strings.Repeat("x", frame))
				}
				sender.done()
				if tt.tooSlow {
					if s := h.Stats(); s.SlowConsumers != 1 || s.Connections != 1 {
						t.Errorf("%d slow consumers, %d connections", s.SlowConsumers, s.Connections)
					}
					received()
					return
				}
				if took := time.Since(began); took < 10*slowTimeout {
					t.Errorf("only took %v: nothing was held up", took)
				}
				time.Sleep(time.Minute) // for the rest in the queue
				if s := h.Stats(); s.SlowConsumers != 0 || s.Connections != 2 {
					t.Errorf("%d slow consumers, %d connections", s.SlowConsumers, s.Connections)
				}
				h.Close()
				if n, err := received(); n != signals || err != io.EOF {
					t.Errorf("received %d, %v", n, err)
				}
			})
		})
	}
}

// TestConnectionThatWaitsForItself: a client that hears itself and does not
// read is a slow consumer as well.
func TestConnectionThatWaitsForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{QueueBytes: queueBytes, SlowConsumerTimeout: slowTimeout})
		c := dialHub(t, h)
		c.subscribe(0, "fed.x")
		c.done()
		c.conn.SetDeadline(time.Time{})
		began := time.Now()
		var err error
		for err == nil {
			_, err = c.conn.Write(signal(0, strings.Repeat("x", 1000)))
		}
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		if took := time.Since(began); took > slowTimeout+2*time.Second {
			t.Errorf("took %v", took)
		}
		synctest.Wait()
		if s := h.Stats(); s.SlowConsumers != 1 || s.Connections != 0 || s.Events != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestNoticesToSlowConsumer: also who is only told of others, and does not
// read, holds up those who cause it, and then goes.
func TestNoticesToSlowConsumer(t *testing.T) {
	tests := map[string]struct {
		listen func(stuck *client)
		cause  func(c *client)
	}{
		"publications": {
			listen: func(stuck *client) { stuck.subscribe(0, "fed.x") },
			cause:  func(c *client) { c.publish(0, "fed.x"); c.unpublish("fed.x") },
		},
		"filtered events": {
			listen: func(stuck *client) { stuck.subscribe(0, "*") },
			cause:  func(c *client) { c.publish(0, "fed.y"); c.unpublish("fed.y") },
		},
		"variables": {
			listen: func(stuck *client) { stuck.send(wire.AppendFrame(nil, wire.CmdAllVariables, nil)) },
			cause:  func(c *client) { c.setVariable("v", strings.Repeat("x", 100)) },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, hub.Options{QueueBytes: queueBytes, SlowConsumerTimeout: slowTimeout})
				c, stuck := dialHub(t, h), dialHub(t, h)
				tt.listen(stuck)
				stuck.done()
				stuck.conn.SetDeadline(time.Time{})
				drain(c, noPause)
				began := time.Now()
				for h.Stats().SlowConsumers == 0 {
					tt.cause(c)
					if time.Since(began) > time.Minute {
						t.Fatal("goes on for ever")
					}
				}
				synctest.Wait()
				if s := h.Stats(); s.SlowConsumers != 1 || s.Connections != 1 {
					t.Errorf("%d slow consumers, %d connections", s.SlowConsumers, s.Connections)
				}
				if held := time.Since(began); held < slowTimeout-time.Second || held > slowTimeout+2*time.Second {
					t.Errorf("the cause was held up for %v", held)
				}
			})
		})
	}
}

// TestUnsubscribedWhileSenderWaits: a client that has unsubscribed gets nothing
// more, not even from a sender that was held up on its way to it.
func TestUnsubscribedWhileSenderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{QueueBytes: queueBytes})
		sender, stuck, c := dialHub(t, h), dialHub(t, h), dialHub(t, h)
		for _, s := range []*client{stuck, c} {
			s.subscribe(0, "fed.x")
			s.done()
		}
		sender.publish(0, "fed.x")
		sender.done()
		for _, s := range []*client{stuck, c} {
			s.expect(`publish 0 0 "fed.x"`)
		}
		told := make(chan []string, 1)
		go func() {
			var lines []string
			for f, err := c.r.Next(); err == nil; f, err = c.r.Next() {
				lines = append(lines, describe(f))
			}
			told <- lines
		}()
		const signals = 200
		go func() {
			for range signals {
				sender.conn.Write(signal(0, strings.Repeat("x", 1000)))
			}
		}()
		synctest.Wait() // the sender waits for the one that is stuck
		c.unsubscribe("fed.x")
		synctest.Wait()
		received := drain(stuck, noPause)
		synctest.Wait()
		h.Close()
		if n, err := received(); n != signals || err != io.EOF {
			t.Errorf("the one that was stuck got %d, %v", n, err)
		}
		lines := <-told
		i := slices.Index(lines, "hub 0 = client -1")
		if i <= 0 || i >= signals {
			t.Fatalf("the translation was taken back after %d of %d frames", i, len(lines))
		}
		if rest := lines[i+1:]; !slices.Equal(rest, []string{`endSession ""`}) {
			t.Errorf("%d frames follow on that", len(rest))
		}
	})
}

// TestAnswersToSlowConsumer: who asks for more and more and does not read is
// not given more than its queue holds.
func TestAnswersToSlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{QueueBytes: queueBytes, SlowConsumerTimeout: slowTimeout})
		c := dialHub(t, h)
		c.setVariable("v", strings.Repeat("x", 10_000))
		c.done()
		c.conn.SetDeadline(time.Time{})
		var err error
		asked := 0
		for ; err == nil; asked++ {
			_, err = c.conn.Write(wire.AppendFrame(nil, wire.CmdAllVariables, nil))
		}
		if asked < 7 || asked > 10 { // one is being written, 7 fill the queue, one waits
			t.Errorf("asked %d times, then %v", asked, err)
		}
		h.Close()
	})
}

// TestIdleConnections may stay for days.
func TestIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{})
		c := dialHub(t, h)
		c.conn.SetDeadline(time.Time{})
		time.Sleep(72 * time.Hour) // of the bubble
		c.subscribe(0, "fed.x")
		c.expect("hub 0 = client 0")
	})
}

// TestSenderThatStalls holds up nobody, not even in the middle of a frame.
func TestSenderThatStalls(t *testing.T) {
	h := start(t, hub.Options{})
	stalled, c := dialHub(t, h), dialHub(t, h)
	stalled.subscribe(0, "fed.x")
	stalled.done()
	frame := signal(0, "cut off")
	stalled.send(frame[:len(frame)-1])
	c.subscribe(0, "fed.x")
	c.signal(0, "x")
	c.expect("hub 0 = client 0", `event 0 normal "x"`)
	if got := describe(stalled.next()); got != `event 0 normal "x"` {
		t.Errorf("got %s", got)
	}
}
