package hub_test

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// In most of these tests time is that of the bubble: it moves on when all wait.

// timerTest is a hub with the creator of a timer, which does not listen, another
// one that sends on the event, and a subscriber.
type timerTest struct {
	*testing.T
	hub      *hub.Hub
	log      logBook
	creator  *client
	other    *client
	listener *client
	began    time.Time
}

// inBubble runs a test of timers with options in addition to the log.
func inBubble(t *testing.T, o hub.Options, test func(*timerTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tt := &timerTest{T: t, began: time.Now()}
		o.Log = tt.log.logger()
		tt.hub = start(t, o)
		tt.creator, tt.other, tt.listener = dialHub(t, tt.hub), dialHub(t, tt.hub), dialHub(t, tt.hub)
		for _, c := range []*client{tt.creator, tt.other, tt.listener} {
			c.conn.SetDeadline(time.Time{}) // time flies
		}
		tt.creator.publish(7, "fed.clock")
		tt.creator.done()
		tt.other.publish(5, "fed.clock")
		tt.other.done()
		tt.listener.subscribe(3, "fed.clock")
		tt.listener.done()
		test(tt)
	})
}

// create creates a timer "t" that ticks ten times a second, after changes.
func (tt *timerTest) create(change func(*wire.CreateTimer)) {
	tt.Helper()
	asked := wire.CreateTimer{EventID: 7, Name: "t", ResolutionMS: 100, SpeedFactor: 1, RepeatCount: wire.RepeatForever}
	if change != nil {
		change(&asked)
	}
	tt.creator.send(wire.AppendCreateTimer(nil, asked))
	tt.creator.done()
}

// ask sends an event about the timer and waits until it is obeyed.
func (c *client) ask(id int32, kind wire.Kind, data []byte) {
	c.t.Helper()
	c.send(wire.AppendEvent(nil, wire.Event{ID: id, Kind: kind, Data: data}))
	c.done()
}

func name(timer string) []byte { return wire.AppendString(nil, timer) }

func acknowledger(client string) []byte {
	return wire.AppendTimerAcknowledger(nil, wire.TimerAcknowledger{Timer: "t", Client: client})
}

func acknowledgement(client string, step int32) []byte {
	return wire.AppendTimerAcknowledgement(nil, wire.TimerAcknowledgement{Timer: "t", Client: client, ProposedTimeStep: step})
}

func speed(factor float64) []byte {
	return wire.AppendTimerSpeed(nil, wire.TimerSpeed{Timer: "t", Factor: factor})
}

// nextTick returns the next tick that the listener gets: its number, when it
// came since the test began, and how far its clock is from the start time.
func (tt *timerTest) nextTick() string {
	tt.Helper()
	for {
		f := tt.listener.next()
		if f.Command != wire.CmdEvent {
			continue
		}
		e, err := wire.ParseEvent(f.Payload)
		if err != nil || e.Kind != wire.TimerTick {
			continue
		}
		tick, err := wire.ParseTimerTick(e.Data)
		if err != nil || tick.Timer != "t" || tick.Tick != e.Tick || e.ID != 0 {
			tt.Fatalf("got %+v, %v in event %d with tick %d", tick, err, e.ID, e.Tick)
		}
		return fmt.Sprintf("%d at %v, clock %v", tick.Tick, time.Since(tt.began),
			time.Duration(tick.TickTime-tick.StartTime)*wire.FileTimeUnit)
	}
}

func (tt *timerTest) expectTicks(want ...string) {
	tt.Helper()
	var got []string
	for range want {
		got = append(got, tt.nextTick())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		tt.Errorf("ticks (-want +got):\n%s", diff)
	}
}

// expectSilence fails the test if there is a tick within a time, at the end of
// which it returns.
func (tt *timerTest) expectSilence(d time.Duration) {
	tt.Helper()
	time.Sleep(d) // of the bubble
	if told := tt.listener.told(); countTicks(told) > 0 {
		tt.Errorf("unexpectedly: %q", told)
	}
}

func countTicks(told []string) (n int) {
	for _, line := range told {
		if strings.Contains(line, " timer_tick ") {
			n++
		}
	}
	return n
}

// A timer ticks from its start on, in real time or in proportion, until it is
// stopped, and goes on from there.
func TestTimer(t *testing.T) {
	inBubble(t, hub.Options{}, func(tt *timerTest) {
		tt.create(nil)
		if n := tt.hub.Stats().Timers; n != 1 {
			tt.Errorf("%d timers", n)
		}
		tt.expectSilence(time.Second)
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 1s, clock 0s", "1 at 1.1s, clock 100ms", "2 at 1.2s, clock 200ms")
		tt.creator.ask(7, wire.TimerStart, name("t")) // it runs already
		tt.creator.ask(7, wire.TimerSetSpeed, speed(4))
		tt.expectTicks("3 at 1.225s, clock 300ms", "4 at 1.25s, clock 400ms")
		tt.creator.ask(7, wire.TimerSetSpeed, speed(0.5))
		tt.expectTicks("5 at 1.45s, clock 500ms")
		tt.creator.ask(7, wire.TimerStop, name("t"))
		tt.expectSilence(time.Second)
		tt.creator.ask(7, wire.TimerSetSpeed, speed(1))
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("6 at 2.55s, clock 600ms", "7 at 2.65s, clock 700ms")
		tt.creator.ask(7, wire.TimerPrepare, name("t"))
		tt.expectSilence(time.Second)
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 3.65s, clock 0s", "1 at 3.75s, clock 100ms")
		tt.creator.ask(7, wire.TimerReInit, name("t"))
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 3.75s, clock 0s")
		tt.creator.ask(7, wire.TimerCancel, name("t"))
		if n := tt.hub.Stats().Timers; n != 0 {
			tt.Errorf("%d timers after the end of the only one", n)
		}
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectSilence(time.Second)
	})
}

// What is asked of a timer is told to the subscribers before the tick that it
// brings about.
func TestTimerEventsArePassedOn(t *testing.T) {
	inBubble(t, hub.Options{}, func(tt *timerTest) {
		tt.create(func(asked *wire.CreateTimer) { asked.RepeatCount = 1 })
		tt.listener.done()
		tt.creator.ask(7, wire.TimerStart, name("t"))
		synctest.Wait()
		told := tt.listener.told()
		if len(told) != 2 || told[0] != fmt.Sprintf("event 0 timer_start %q", name("t")) {
			tt.Errorf("told %q", told)
		}
	})
}

// Anybody who sends on the event can use a timer, not only its creator.
func TestTimerOfAnother(t *testing.T) {
	inBubble(t, hub.Options{}, func(tt *timerTest) {
		tt.create(nil)
		tt.other.ask(5, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 0s, clock 0s", "1 at 100ms, clock 100ms")
	})
}

func TestTimerStartTime(t *testing.T) {
	for what, at := range map[string]func(now time.Time) (asked int64, shown time.Time){
		"present": func(now time.Time) (int64, time.Time) { return 0, now.Add(time.Hour) }, // when it is started
		"relative": func(now time.Time) (int64, time.Time) {
			return -int64(time.Minute / wire.FileTimeUnit), now.Add(time.Hour + time.Minute)
		},
		"past": func(now time.Time) (int64, time.Time) {
			past := time.Date(1953, 2, 1, 3, 0, 0, 500, time.UTC)
			return wire.FileTime(past), past
		},
		"future": func(now time.Time) (int64, time.Time) {
			return wire.FileTime(now.AddDate(50, 0, 0)), now.AddDate(50, 0, 0)
		},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, hub.Options{}, func(tt *timerTest) {
				asked, shown := at(time.Now())
				tt.create(func(t *wire.CreateTimer) { t.StartTime = asked })
				time.Sleep(time.Hour)
				tt.creator.ask(7, wire.TimerStart, name("t"))
				tt.listener.next() // that it is started
				e, err := wire.ParseEvent(tt.listener.next().Payload)
				if err != nil {
					tt.Fatal(err)
				}
				tick, err := wire.ParseTimerTick(e.Data)
				if got := wire.ParseFileTime(tick.TickTime); err != nil || !got.Equal(shown) || tick.StartTime != tick.TickTime {
					tt.Errorf("the first tick shows %v, %+v, %v; want %v", got, tick, err, shown)
				}
			})
		})
	}
}

// A timer that is asked for three ticks gives three, whether it is stopped in
// between or not, and again when it is prepared.
func TestTimerRepeatCount(t *testing.T) {
	inBubble(t, hub.Options{}, func(tt *timerTest) {
		tt.create(func(asked *wire.CreateTimer) { asked.RepeatCount = 3 })
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 0s, clock 0s", "1 at 100ms, clock 100ms")
		tt.creator.ask(7, wire.TimerStop, name("t"))
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("2 at 200ms, clock 200ms")
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectSilence(time.Second)
		tt.creator.ask(7, wire.TimerPrepare, name("t"))
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 1.2s, clock 0s", "1 at 1.3s, clock 100ms", "2 at 1.4s, clock 200ms")
		tt.expectSilence(time.Second)
	})
}

// A tick waits until all on the list have acknowledged the one before. It is not
// made up for.
func TestTimerAcknowledgeList(t *testing.T) {
	inBubble(t, hub.Options{}, func(tt *timerTest) {
		tt.create(nil)
		for _, client := range []string{"a", "b", "b"} {
			tt.creator.ask(7, wire.TimerAcknowledgedListAdd, acknowledger(client))
		}
		tt.creator.ask(7, wire.TimerAcknowledge, acknowledgement("a", 0)) // of nothing
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 0s, clock 0s")
		tt.other.ask(5, wire.TimerAcknowledge, acknowledgement("a", 50))
		tt.other.ask(5, wire.TimerAcknowledge, acknowledgement("a", 50))
		tt.other.ask(5, wire.TimerAcknowledge, acknowledgement("stranger", 50))
		tt.expectSilence(time.Second)
		tt.other.ask(5, wire.TimerAcknowledge, acknowledgement("b", 50))
		tt.expectTicks("1 at 1s, clock 100ms")
		tt.creator.ask(7, wire.TimerAcknowledgedListAdd, acknowledger("c")) // has not to know of the last one
		tt.creator.ask(7, wire.TimerAcknowledge, acknowledgement("a", 0))
		tt.creator.ask(7, wire.TimerAcknowledge, acknowledgement("b", 0))
		tt.expectTicks("2 at 1.1s, clock 200ms")
		tt.creator.ask(7, wire.TimerAcknowledge, acknowledgement("a", 0))
		tt.creator.ask(7, wire.TimerAcknowledge, acknowledgement("b", 0))
		tt.expectSilence(time.Second)
		tt.creator.ask(7, wire.TimerAcknowledgedListRemove, acknowledger("c"))
		tt.expectTicks("3 at 2.1s, clock 300ms")
		tt.creator.ask(7, wire.TimerPrepare, name("t")) // nobody owes anything any more
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 2.1s, clock 0s")
	})
}

// In simulation time a timer waits for nothing but the acknowledgements, and the
// least step that was proposed is taken.
func TestTimerInSimulationTime(t *testing.T) {
	inBubble(t, hub.Options{}, func(tt *timerTest) {
		tt.create(func(asked *wire.CreateTimer) { asked.SpeedFactor = 0 })
		tt.creator.ask(7, wire.TimerAcknowledgedListAdd, acknowledger("a"))
		tt.creator.ask(7, wire.TimerAcknowledgedListAdd, acknowledger("b"))
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 0s, clock 0s")
		steps := func(a, b int32) {
			tt.creator.ask(7, wire.TimerAcknowledge, acknowledgement("a", a))
			tt.creator.ask(7, wire.TimerAcknowledge, acknowledgement("b", b))
		}
		steps(50, 20)
		tt.expectTicks("20 at 1ms, clock 2s") // at the limit of the rate
		time.Sleep(time.Second)
		steps(0, 600)
		tt.expectTicks("620 at 1.001s, clock 1m2s")
		steps(-5, 0)
		tt.expectTicks("621 at 1.002s, clock 1m2.1s")
		tt.creator.ask(7, wire.TimerSetSpeed, speed(1)) // steps do not count in real time
		steps(50, 20)
		tt.expectTicks("622 at 1.102s, clock 1m2.2s")
		tt.creator.ask(7, wire.TimerSetSpeed, speed(0))
		steps(math.MaxInt32, 0) // beyond what a tick can count
		tt.expectSilence(time.Minute)
	})
}

// However fast a timer is to run, there is a least time between two ticks; and
// it may run very slowly.
func TestTimerRateIsBounded(t *testing.T) {
	for _, factor := range []float64{0, 1e6, math.MaxFloat64} {
		inBubble(t, hub.Options{MinTickInterval: 20 * time.Millisecond}, func(tt *timerTest) {
			tt.create(func(asked *wire.CreateTimer) { asked.SpeedFactor = factor })
			tt.creator.ask(7, wire.TimerStart, name("t"))
			tt.expectTicks("0 at 0s, clock 0s", "1 at 20ms, clock 100ms", "2 at 40ms, clock 200ms")
		})
	}
	inBubble(t, hub.Options{}, func(tt *timerTest) {
		tt.create(func(asked *wire.CreateTimer) {
			asked.ResolutionMS, asked.SpeedFactor = math.MaxInt32, math.SmallestNonzeroFloat64
		})
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 0s, clock 0s")
		tt.expectSilence(24 * time.Hour)
	})
}

// A timer goes with its creator's connection, or with its interest in the event.
func TestTimerGoesWithItsCreator(t *testing.T) {
	for what, leave := range map[string]func(tt *timerTest){
		"disconnects":                  func(tt *timerTest) { tt.creator.close(tt.hub) },
		"unpublishes":                  func(tt *timerTest) { tt.creator.unpublish("fed.clock"); tt.creator.done() },
		"gives the id to another name": func(tt *timerTest) { tt.creator.publish(7, "fed.other"); tt.creator.done() },
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, hub.Options{}, func(tt *timerTest) {
				tt.create(nil)
				tt.creator.ask(7, wire.TimerStart, name("t"))
				tt.expectTicks("0 at 0s, clock 0s")
				leave(tt)
				if n := tt.hub.Stats().Timers; n != 0 {
					tt.Errorf("%d timers", n)
				}
				tt.expectSilence(time.Second)
			})
		})
	}
}

// Who leaves is waited for no longer.
func TestAcknowledgerGoes(t *testing.T) {
	inBubble(t, hub.Options{}, func(tt *timerTest) {
		model := dialHub(tt, tt.hub)
		model.publish(0, "fed.clock")
		tt.create(nil)
		tt.other.ask(5, wire.TimerAcknowledgedListAdd, acknowledger("other"))
		model.ask(0, wire.TimerAcknowledgedListAdd, acknowledger("model"))
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 0s, clock 0s")
		tt.other.ask(5, wire.TimerAcknowledge, acknowledgement("other", 0))
		tt.expectSilence(time.Second)
		model.conn.Close()
		tt.expectTicks("1 at 1s, clock 100ms")
	})
}

// A subscriber whose queue is full makes the timer wait, and only that timer.
func TestTimerWaitsForSlowSubscriber(t *testing.T) {
	inBubble(t, hub.Options{QueueBytes: queueBytes, SlowConsumerTimeout: time.Hour}, func(tt *timerTest) {
		stuck := dialHub(tt, tt.hub)
		stuck.subscribe(0, "fed.other")
		stuck.done()
		tt.creator.publish(8, "fed.other")
		long := string(make([]byte, 1000)) // so that few ticks fill the queue
		tt.create(func(asked *wire.CreateTimer) { asked.EventID, asked.Name = 8, long })
		tt.create(nil)
		tt.creator.ask(8, wire.TimerStart, name(long))
		tt.creator.ask(7, wire.TimerStart, name("t"))
		time.Sleep(15*time.Second + time.Millisecond)
		tt.creator.ask(7, wire.TimerStop, name("t"))
		synctest.Wait()
		if n := countTicks(tt.listener.told()); n != 151 {
			tt.Errorf("%d ticks of the timer that nobody holds up, want 151", n)
		}
		if n := countTicks(stuck.told()); n == 0 || n > queueBytes/1000+2 {
			tt.Errorf("%d ticks waited for one who does not read", n)
		}
	})
}

// What no timer can be is refused, and logged once.
func TestTimerRefused(t *testing.T) {
	create := func(change func(*wire.CreateTimer)) func(*timerTest) {
		return func(tt *timerTest) { tt.create(change) }
	}
	for what, ask := range map[string]func(*timerTest){
		"an unknown event":        create(func(asked *wire.CreateTimer) { asked.EventID = 99 }),
		"a resolution of 0 ms":    create(func(asked *wire.CreateTimer) { asked.ResolutionMS = 0 }),
		"0 ticks":                 create(func(asked *wire.CreateTimer) { asked.RepeatCount = 0 }),
		"a speed of -1":           create(func(asked *wire.CreateTimer) { asked.SpeedFactor = -1 }),
		"a speed of NaN":          create(func(asked *wire.CreateTimer) { asked.SpeedFactor = math.NaN() }),
		"a speed of +Inf":         create(func(asked *wire.CreateTimer) { asked.SpeedFactor = math.Inf(1) }),
		"a name that is too long": create(func(asked *wire.CreateTimer) { asked.Name = string(make([]byte, wire.MaxNameLength+1)) }),
		"another's name": func(tt *timerTest) {
			tt.other.send(wire.AppendCreateTimer(nil, wire.CreateTimer{EventID: 5, Name: "first", ResolutionMS: 1, RepeatCount: 1}))
			tt.other.done()
		},
		"one too many": func(tt *timerTest) {
			tt.create(func(asked *wire.CreateTimer) { asked.Name = "second" })
			tt.create(func(asked *wire.CreateTimer) { asked.Name = "third" })
		},
		"an event that only flushes": func(tt *timerTest) {
			tt.creator.publish(8, wire.FlushPrefix+"1")
			tt.create(func(asked *wire.CreateTimer) { asked.EventID = 8 })
		},
		"to run backwards": func(tt *timerTest) {
			tt.create(nil)
			tt.creator.ask(7, wire.TimerSetSpeed, speed(-2))
		},
		"too many acknowledgers": func(tt *timerTest) {
			tt.create(nil)
			for i := range 1001 {
				tt.creator.send(wire.AppendEvent(nil, wire.Event{ID: 7, Kind: wire.TimerAcknowledgedListAdd, Data: acknowledger(fmt.Sprint(i))}))
			}
			tt.creator.done()
		},
		"a long acknowledger": func(tt *timerTest) {
			tt.create(nil)
			tt.creator.ask(7, wire.TimerAcknowledgedListAdd, acknowledger(string(make([]byte, wire.MaxNameLength+1))))
		},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, hub.Options{MaxTimers: 2}, func(tt *timerTest) {
				go io.Copy(io.Discard, tt.listener.conn)
				tt.create(func(asked *wire.CreateTimer) { asked.Name = "first" })
				ask(tt)
				tt.creator.done()
				if lines := tt.log.lines("level=WARN", "of a timer"); len(lines) != 1 {
					tt.Errorf("logged %q", lines)
				}
			})
		})
	}
}

// A timer that its creator creates once more is another one.
func TestTimerCreatedAnew(t *testing.T) {
	inBubble(t, hub.Options{MaxTimers: 1}, func(tt *timerTest) {
		tt.create(nil)
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 0s, clock 0s", "1 at 100ms, clock 100ms")
		tt.create(func(asked *wire.CreateTimer) { asked.ResolutionMS = 500 })
		tt.expectSilence(time.Second)
		tt.creator.ask(7, wire.TimerStart, name("t"))
		tt.expectTicks("0 at 1.1s, clock 0s", "1 at 1.6s, clock 500ms")
	})
}

// Timer events that are broken, and those of timers that the hub does not have,
// are passed on.
func TestTimerEventsOfOthers(t *testing.T) {
	inBubble(t, hub.Options{}, func(tt *timerTest) {
		tt.create(nil)
		tt.listener.done()
		var want []string
		for kind := wire.TimerCancel; kind <= wire.TimerStatusRequest; kind++ {
			tt.creator.ask(7, kind, []byte("broken"))
			want = append(want, fmt.Sprintf("event 0 %v %q", kind, "broken"))
		}
		tt.creator.ask(7, wire.TimerStart, name("not there"))
		want = append(want, fmt.Sprintf("event 0 timer_start %q", name("not there")))
		tt.listener.expect(want...)
		if n := tt.hub.Stats().Malformed; n != 9 { // no tick and no request of the status
			tt.Errorf("%d malformed", n)
		}
	})
}

// The number of timers is told with the names of events.
func TestTimersInEventNames(t *testing.T) {
	inBubble(t, hub.Options{}, func(tt *timerTest) {
		tt.create(nil)
		tt.create(func(asked *wire.CreateTimer) { asked.Name = "other" })
		for bits, want := range map[int32]int32{wire.EventNamesTimers: 2, wire.EventNamesPublishers: 0} {
			tt.creator.send(wire.AppendRequestEventNames(nil, wire.EventNamesRequest{Filter: "*", Bits: bits}))
			names, err := wire.ParseEventNames(tt.creator.next().Payload)
			if err != nil || len(names) != 1 || names[0].Timers != want {
				tt.Errorf("bits %d: %+v, %v", bits, names, err)
			}
		}
	})
}

// A filter's subscribers are told the name of the event before its first tick.
func TestTimerAndFilter(t *testing.T) {
	inBubble(t, hub.Options{}, func(tt *timerTest) {
		filter := dialHub(tt, tt.hub)
		filter.subscribe(1, "fed.*")
		filter.done()
		tt.create(func(asked *wire.CreateTimer) { asked.RepeatCount = 1 })
		tt.creator.ask(7, wire.TimerStart, name("t"))
		synctest.Wait()
		if told := filter.told(); len(told) != 2 || !slices.Contains(told, fmt.Sprintf("event 0 timer_start %q", name("t"))) {
			tt.Errorf("told %q", told)
		}
	})
}
