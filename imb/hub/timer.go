package hub

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"imbrouter/imb/wire"
)

const (
	// maxAcknowledgers bounds the acknowledge list of a timer.
	maxAcknowledgers = 1000
	// longestTick bounds the time between two ticks of a timer that runs slowly.
	longestTick = 10 * 365 * 24 * time.Hour
)

// timers is the lock of everything in a hub's timers that changes. It is taken
// after Hub.mu, and nothing is locked under it.
type timers struct {
	least time.Duration // between two ticks

	mu    sync.Mutex
	count int
}

// timer is a timer with its goroutine, which gives the ticks.
type timer struct {
	wire.CreateTimer // as it was asked for
	link             *link
	ctx              context.Context // done when the timer has ended
	end              context.CancelFunc
	wake             chan struct{} // has room for one: there may be a tick to give

	// Guarded by timers.mu.
	running bool
	fresh   bool      // there was no tick since it was prepared
	start   int64     // what its clock showed at tick 0
	tick    int64     // number of the last tick
	left    int32     // ticks to give
	last    time.Time // when the last tick was due, or when it was started
	speed   float64
	list    map[string]*acknowledger
	owing   int   // of list
	step    int32 // the least that was proposed since the last tick; 0 for none
}

// acknowledger is a name on the acknowledge list of a timer.
type acknowledger struct {
	by   *link // who put it there
	owes bool  // an acknowledgement of the last tick
}

// createTimer answers a createTimer command. It is called under Hub.mu.
func (h *Hub) createTimer(c *conn, asked wire.CreateTimer) {
	l := c.table.get(asked.EventID)
	if fault := h.timerFault(l, asked); fault != "" {
		c.note(refusedTimer, 1, "timer", asked.Name[:min(len(asked.Name), wire.MaxNameLength)], "error", fault)
		return
	}
	t := &timer{CreateTimer: asked, link: l, wake: make(chan struct{}, 1), speed: asked.SpeedFactor}
	t.ctx, t.end = context.WithCancel(context.Background())
	t.prepare()
	h.timers.add(t)
	c.log.Debug("timer created", "event", l.event.name, "timer", t.Name)
	h.running.Go(func() { h.runTimer(t) })
}

// timerFault says why a timer cannot be had, or "".
func (h *Hub) timerFault(l *link, asked wire.CreateTimer) string {
	if l == nil || l.event.private {
		return "its event is neither published nor subscribed"
	}
	other := h.timers.find(l.event, asked.Name)
	switch {
	case len(asked.Name) > wire.MaxNameLength:
		return "a name that is too long"
	case asked.ResolutionMS < 1:
		return fmt.Sprintf("a resolution of %d ms", asked.ResolutionMS)
	case asked.RepeatCount < 1:
		return fmt.Sprintf("%d ticks", asked.RepeatCount)
	case !wire.IsTimerSpeed(asked.SpeedFactor):
		return fmt.Sprintf("a speed of %v", asked.SpeedFactor)
	case other != nil && other.link != l:
		return "the event has one of that name, which another client created"
	case other == nil && h.timers.number() >= h.o.MaxTimers:
		return fmt.Sprintf("there are %d already; raise the limit if they are all wanted", h.o.MaxTimers)
	}
	return ""
}

// runTimer gives the ticks of a timer until that ends.
func (h *Hub) runTimer(t *timer) {
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		frame, wait := h.timers.next(t, time.Now())
		if frame != nil {
			if h.deliver(t.ctx, &run{raw: frame, frames: 1}, *t.link.event.subscribers.Load()) != nil {
				return
			}
			continue
		}
		alarm.Reset(wait)
		select {
		case <-t.ctx.Done():
			return
		case <-t.wake:
		case <-alarm.C:
		}
	}
}

// timerEvent takes in an event that is about a timer. It is passed on like
// others, and then obeyed, so that it is ahead of the ticks that it brings about.
func (c *conn) timerEvent(l *link, kind wire.Kind, f *wire.Frame) error {
	if err := c.extend(l, nil, f); err != nil {
		return err
	}
	if err := c.forward(); err != nil {
		return err
	}
	asked, err := parseTimerCommand(kind, f.Payload[wire.EventHeaderSize:])
	if err != nil {
		c.note(malformedPayload, 1, "event", l.event.name, "kind", kind, "error", err)
	} else if err = c.hub.timers.obey(l, asked); err != nil {
		c.note(refusedTimer, 1, "event", l.event.name, "timer", asked.timer, "error", err)
	}
	return nil
}

// timerCommand is what an event asks of a timer; each kind has some of the fields.
type timerCommand struct {
	kind   wire.Kind
	timer  string
	client string
	speed  float64
	step   int32
}

func parseTimerCommand(kind wire.Kind, data []byte) (e timerCommand, err error) {
	e.kind = kind
	switch kind {
	case wire.TimerCancel, wire.TimerPrepare, wire.TimerReInit, wire.TimerStart, wire.TimerStop:
		e.timer, err = wire.ParseText(data)
	case wire.TimerAcknowledgedListAdd, wire.TimerAcknowledgedListRemove:
		var a wire.TimerAcknowledger
		a, err = wire.ParseTimerAcknowledger(data)
		e.timer, e.client = a.Timer, a.Client
	case wire.TimerAcknowledge:
		var a wire.TimerAcknowledgement
		a, err = wire.ParseTimerAcknowledgement(data)
		e.timer, e.client, e.step = a.Timer, a.Client, a.ProposedTimeStep
	case wire.TimerSetSpeed:
		var s wire.TimerSpeed
		s, err = wire.ParseTimerSpeed(data)
		e.timer, e.speed = s.Timer, s.Factor
	}
	return e, err
}

// obey does what an event asks for that came over a link, if the event has that
// timer. The error is why it is refused.
func (ts *timers) obey(l *link, e timerCommand) error {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := l.event.timers[e.timer]
	if t == nil {
		return nil // it may be another program's
	}
	defer t.look()
	switch e.kind {
	case wire.TimerCancel:
		ts.remove(t)
	case wire.TimerPrepare, wire.TimerReInit:
		t.prepare()
	case wire.TimerStart:
		t.resume(time.Now())
	case wire.TimerStop:
		t.running = false
	case wire.TimerSetSpeed:
		if !wire.IsTimerSpeed(e.speed) {
			return fmt.Errorf("a speed of %v", e.speed)
		}
		t.speed = e.speed
	case wire.TimerAcknowledgedListAdd:
		return t.addAcknowledger(e.client, l)
	case wire.TimerAcknowledgedListRemove:
		t.removeAcknowledger(e.client)
	case wire.TimerAcknowledge:
		t.acknowledge(e.client, e.step)
	}
	return nil
}

// add adds a timer, in place of one of its name.
func (ts *timers) add(t *timer) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	e := t.link.event
	if old := e.timers[t.Name]; old != nil {
		ts.remove(old)
	}
	if e.timers == nil {
		e.timers = make(map[string]*timer)
	}
	e.timers[t.Name] = t
	ts.count++
}

// remove ends a timer. It is called under the lock.
func (ts *timers) remove(t *timer) {
	delete(t.link.event.timers, t.Name)
	ts.count--
	t.end()
}

// leave ends what a connection has to do with the timers of an event.
func (ts *timers) leave(l *link) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range l.event.timers {
		if t.link == l {
			ts.remove(t)
			continue
		}
		for name, a := range t.list {
			if a.by == l {
				t.removeAcknowledger(name)
			}
		}
		t.look()
	}
}

// find returns the timer of a name on an event, or nil.
func (ts *timers) find(e *event, name string) *timer {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return e.timers[name]
}

// of returns how many timers an event has.
func (ts *timers) of(e *event) int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return len(e.timers)
}

// number returns how many timers there are.
func (ts *timers) number() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.count
}

// next returns the frame of a tick that is due, or else when to ask again,
// unless the timer is woken before.
func (ts *timers) next(t *timer, now time.Time) (frame []byte, wait time.Duration) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if !t.running || t.owing > 0 {
		return nil, longestTick
	}
	period := t.period(ts.least)
	due := t.last
	if !t.fresh {
		due = due.Add(period)
	}
	late := now.Sub(due)
	if late < 0 {
		return nil, -late
	}
	if late > period {
		due = now
	}
	if !t.advance(due) {
		return nil, longestTick
	}
	return wire.AppendEvent(nil, wire.Event{
		ID: t.link.event.id, Tick: int32(t.tick), Kind: wire.TimerTick,
		Data: wire.AppendTimerTick(nil, wire.TimerTickData{
			Timer: t.Name, Tick: int32(t.tick), TickTime: t.clock(), StartTime: t.start,
		}),
	}), 0
}

// The methods of timer are called under timers.mu.

// prepare puts the timer back to its beginning.
func (t *timer) prepare() {
	t.running, t.fresh, t.tick, t.left = false, true, 0, t.RepeatCount
	t.settleUp()
}

// resume starts the timer, or lets it go on.
func (t *timer) resume(now time.Time) {
	if t.running || t.left == 0 {
		return
	}
	if t.fresh {
		t.start = t.StartTime
		if t.StartTime <= 0 {
			t.start = wire.FileTime(now) - t.StartTime
		}
	}
	t.running, t.last = true, now
}

// period returns the time from one tick to the next.
func (t *timer) period(least time.Duration) time.Duration {
	if t.speed == 0 {
		return least
	}
	period := float64(t.ResolutionMS) * float64(time.Millisecond) / t.speed
	return max(time.Duration(min(period, float64(longestTick))), least)
}

// advance makes the next tick the last one, which everybody owes an
// acknowledgement for. It returns false when there is no number left for it.
func (t *timer) advance(due time.Time) bool {
	if !t.fresh {
		step := int32(1)
		if t.speed == 0 {
			step = max(step, t.step)
		}
		t.tick += int64(step)
	}
	if t.RepeatCount != wire.RepeatForever {
		t.left--
	}
	if t.tick > math.MaxInt32 {
		t.left = 0
	}
	t.fresh, t.last, t.running = false, due, t.left > 0
	t.settleUp()
	for _, a := range t.list {
		a.owes = true
	}
	t.owing = len(t.list)
	return t.tick <= math.MaxInt32
}

// clock returns the time that the last tick shows.
func (t *timer) clock() int64 {
	const perMillisecond = int64(time.Millisecond / wire.FileTimeUnit)
	return t.start + t.tick*int64(t.ResolutionMS)*perMillisecond
}

// settleUp forgets what was owed and proposed.
func (t *timer) settleUp() {
	for _, a := range t.list {
		a.owes = false
	}
	t.owing, t.step = 0, 0
}

func (t *timer) addAcknowledger(name string, by *link) error {
	switch {
	case t.list[name] != nil:
		return nil
	case len(name) > wire.MaxNameLength:
		return fmt.Errorf("a name of %d bytes on the acknowledge list; the limit is %d", len(name), wire.MaxNameLength)
	case len(t.list) >= maxAcknowledgers:
		return fmt.Errorf("more than %d names on the acknowledge list", maxAcknowledgers)
	}
	if t.list == nil {
		t.list = make(map[string]*acknowledger)
	}
	t.list[name] = &acknowledger{by: by}
	return nil
}

func (t *timer) removeAcknowledger(name string) {
	t.acknowledge(name, 0)
	delete(t.list, name)
}

func (t *timer) acknowledge(name string, step int32) {
	a := t.list[name]
	if a == nil || !a.owes {
		return
	}
	a.owes = false
	t.owing--
	if step > 0 && (t.step == 0 || step < t.step) {
		t.step = step
	}
}

// look makes the goroutine see what is to be done.
func (t *timer) look() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}
