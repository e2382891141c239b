package imb

import (
	"context"
	"fmt"
	"math"
	"time"

	"imbrouter/imb/wire"
)

// Timer names a timer of the hub, whoever created it. Its ticks go to all who
// subscribe the event; see [imbrouter/imb/hub] for what a timer does.
//
// Its methods return, like Event.Send, when the hub will be told; a hub does not
// answer. All but Create send a signal on the event, which must be published or
// subscribed.
type Timer struct {
	event *Event
	name  string
}

// TimerOptions says what a timer shall be like. The zero value of a field means
// its default.
type TimerOptions struct {
	// Start is the time that the first tick shows. Default: the time of the hub
	// when the timer is started.
	Start time.Time
	// Ahead, without Start, is by how much the clock of the timer is ahead of
	// that of the hub.
	Ahead time.Duration
	// Resolution is the time from one tick to the next, in whole milliseconds up
	// to 24 days. Default 1 s.
	Resolution time.Duration
	// Speed is how much faster than real time the timer runs, default 1.
	Speed float64
	// Simulated makes the timer run in simulation time, as speed 0 is told: each
	// tick comes as soon as all have acknowledged the one before.
	Simulated bool
	// Repeat is the number of ticks. Default: without end.
	Repeat int32
}

// Tick is one tick of a timer.
type Tick struct {
	Timer string
	Event string // full name of the event that it came on
	// Number grows by 1, or in simulation time by the step that was agreed on.
	Number int32
	// Time is what the timer's clock shows, and Start what it showed at tick 0.
	Time, Start time.Time
}

// Timer returns the timer with a name on the event. There need be none.
func (e *Event) Timer(name string) Timer { return Timer{e, name} }

// Name returns the name of the timer, which it has on its event alone.
func (t Timer) Name() string { return t.name }

// Create makes the hub create the timer, in place of one of this name that this
// client created. It does nothing before Start. A timer ends with the connection
// on which it was created, and is not created again by itself: Options.OnState
// tells when to do it.
//
// Create fails with ErrTimer, ErrNotConnected at once when there is no
// connection, or like Event.Send. A hub that refuses the timer, because another
// client has one of the name or because there are too many, does not tell.
func (t Timer) Create(ctx context.Context, o TimerOptions) error {
	if err := t.create(ctx, o); err != nil {
		return fmt.Errorf("create timer %q on %q: %w", t.name, t.event.name, err)
	}
	return nil
}

func (t Timer) create(ctx context.Context, o TimerOptions) error {
	asked, err := o.request(t.name)
	if err != nil {
		return err
	}
	c := t.event.client
	n, err := c.connected()
	if err != nil {
		return err
	}
	ctx, release := n.bind(ctx)
	defer release()
	buf, err := n.lock(ctx)
	if err != nil {
		return err
	}
	if err := t.event.sendable(); err != nil {
		c.out.Unlock(buf)
		return err
	}
	asked.EventID = t.event.id
	c.out.Unlock(wire.AppendCreateTimer(buf, asked))
	return nil
}

// request returns what the hub is asked for, without the event.
func (o TimerOptions) request(name string) (wire.CreateTimer, error) {
	if o.Resolution == 0 {
		o.Resolution = time.Second
	}
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.Repeat == 0 {
		o.Repeat = wire.RepeatForever
	}
	asked := wire.CreateTimer{
		Name: name, StartTime: -int64(o.Ahead / wire.FileTimeUnit),
		ResolutionMS: int32(o.Resolution / time.Millisecond), SpeedFactor: o.Speed, RepeatCount: o.Repeat,
	}
	if !o.Start.IsZero() {
		asked.StartTime = wire.FileTime(o.Start)
	}
	if o.Simulated {
		asked.SpeedFactor = 0
	}
	switch {
	case len(name) > wire.MaxNameLength:
		return asked, fmt.Errorf("%w: a name of %d bytes; the limit is %d", ErrTimer, len(name), wire.MaxNameLength)
	case o.Resolution%time.Millisecond != 0 || o.Resolution < 0 || o.Resolution/time.Millisecond > math.MaxInt32:
		return asked, fmt.Errorf("%w: a resolution of %v; it is in whole milliseconds, up to 24 days", ErrTimer, o.Resolution)
	case !wire.IsTimerSpeed(o.Speed):
		return asked, fmt.Errorf("%w: a speed of %v", ErrTimer, o.Speed)
	case o.Repeat < 0:
		return asked, fmt.Errorf("%w: %d ticks", ErrTimer, o.Repeat)
	case o.Ahead < 0:
		return asked, fmt.Errorf("%w: a clock that is %v ahead", ErrTimer, o.Ahead)
	case !o.Start.IsZero() && asked.StartTime <= 0:
		return asked, fmt.Errorf("%w: a start in %d; the first year is 1601", ErrTimer, o.Start.Year())
	}
	return asked, nil
}

// Start lets the timer begin, or go on after a Stop.
func (t Timer) Start(ctx context.Context) error { return t.command(ctx, wire.TimerStart) }

// Stop makes the timer pause.
func (t Timer) Stop(ctx context.Context) error { return t.command(ctx, wire.TimerStop) }

// Prepare stops the timer and puts it back to tick 0.
func (t Timer) Prepare(ctx context.Context) error { return t.command(ctx, wire.TimerPrepare) }

// Cancel ends the timer.
func (t Timer) Cancel(ctx context.Context) error { return t.command(ctx, wire.TimerCancel) }

func (t Timer) command(ctx context.Context, kind wire.Kind) error {
	return t.event.Signal(ctx, kind, wire.AppendString(nil, t.name))
}

// SetSpeed changes how much faster than real time the timer runs; 0 is
// simulation time, see TimerOptions.Simulated. It fails with ErrTimer for what
// is no speed.
func (t Timer) SetSpeed(ctx context.Context, factor float64) error {
	if !wire.IsTimerSpeed(factor) {
		return fmt.Errorf("set the speed of timer %q on %q: %w: a speed of %v", t.name, t.event.name, ErrTimer, factor)
	}
	return t.event.Signal(ctx, wire.TimerSetSpeed, wire.AppendTimerSpeed(nil, wire.TimerSpeed{Timer: t.name, Factor: factor}))
}

// AddAcknowledger makes the timer wait, after each tick, until Acknowledge is
// called under that name by whoever goes by it.
func (t Timer) AddAcknowledger(ctx context.Context, name string) error {
	return t.acknowledger(ctx, wire.TimerAcknowledgedListAdd, name)
}

// RemoveAcknowledger is the reverse of AddAcknowledger.
func (t Timer) RemoveAcknowledger(ctx context.Context, name string) error {
	return t.acknowledger(ctx, wire.TimerAcknowledgedListRemove, name)
}

func (t Timer) acknowledger(ctx context.Context, kind wire.Kind, name string) error {
	return t.event.Signal(ctx, kind, wire.AppendTimerAcknowledger(nil, wire.TimerAcknowledger{Timer: t.name, Client: name}))
}

// Acknowledge tells that who goes by a name on the acknowledge list is done with
// the last tick. step is after how many ticks the next one is wished for, which
// counts in simulation time; 0 wishes nothing.
func (t Timer) Acknowledge(ctx context.Context, name string, step int32) error {
	return t.event.Signal(ctx, wire.TimerAcknowledge, wire.AppendTimerAcknowledgement(nil,
		wire.TimerAcknowledgement{Client: name, Timer: t.name, ProposedTimeStep: step}))
}

// HandleTicks calls h with each tick of every timer on the event, until remove
// is called. It is like Handle, and the event must be subscribed.
func (e *Event) HandleTicks(h func(Tick)) (remove func()) {
	return handleParsed(e, wire.TimerTick, wire.ParseTimerTick, func(m Message, t wire.TimerTickData) {
		h(Tick{
			Timer: t.Timer, Event: m.Name, Number: t.Tick,
			Time: wire.ParseFileTime(t.TickTime), Start: wire.ParseFileTime(t.StartTime),
		})
	})
}
