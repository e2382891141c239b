package daemon

import (
	"context"
	"time"

	"imbrouter/router"
)

// probeTimeout bounds how long the end of a Daemon waits for a lock that may be
// held for ever.
const probeTimeout = time.Second

// probe is a goroutine that goes through locks when it is asked to: when it does
// not come back, whoever holds one does not either.
type probe struct {
	asked       chan struct{} // has room for one
	router, hub router.Passage
}

// startProbe starts the probe's goroutine, which lasts until stop.
func (d *Daemon) startProbe() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.probe.run(ctx, d)
	}()
	return func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(probeTimeout):
		}
	}
}

func (p *probe) run(ctx context.Context, d *Daemon) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.asked:
		}
		turn := p.router.Enter()
		d.router.Probe()
		p.router.Leave(turn)
		if d.hub != nil {
			turn := p.hub.Enter()
			d.hub.Stats()
			p.hub.Leave(turn)
		}
	}
}

// Stuck tells what did not return from the last call of Stuck to this one
// though it should take no time: the expressions of a route ("route", its name)
// or a sink ("sink", its name), or whoever holds a lock ("lock", "router" or
// "hub"). Both are "" when there is nothing.
//
// Waiting for a hub, a disk, a client or a full queue is not being stuck. An
// expression may take long where max_work allows it to, and a hub stands still
// while nobody takes what it logs of a fault: so let some seconds pass between
// two calls. One goroutine at a time may call it.
func (d *Daemon) Stuck() (kind, name string) {
	kind, name = d.router.Stuck()
	// All are asked, because asking begins their next turn.
	inRouter, inHub := d.probe.router.Stuck(), d.probe.hub.Stuck()
	select {
	case d.probe.asked <- struct{}{}:
	default: // it is still on its way
	}
	switch {
	case kind != "":
		return kind, name
	case inRouter:
		return "lock", "router"
	case inHub:
		return "lock", "hub"
	}
	return "", ""
}
