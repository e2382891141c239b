package dir

import (
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// outage is a destination that is away, and the files that wait for it.
//
// A file does not say where it goes, and one folder may feed several
// destinations. So each file is tried once, whatever became of others, and
// those that fail for the same reason wait together: one of them at a time is
// the probe that finds out whether the destination is back. They take turns,
// so that a file which fails for a reason of its own does not stand in the way.
type outage struct {
	reason   string
	since    time.Time
	failures int // of probes; the file that found the outage counts as one
	pause    *backoff.ExponentialBackOff
	waiting  []*file // longest waiting first; those not in stateParked have left
}

// away makes f, whose destination is away, wait. It returns the outage when f
// was its probe, or the first to notice it.
func (t *table) away(f *file, reason string, now time.Time) (probed *outage) {
	o, other := f.outage, t.outages[reason]
	f.outage = nil
	switch {
	case o == nil && other == nil:
		o = &outage{reason: reason, since: now, pause: newPause()}
		t.outages[reason] = o
	case o == nil:
		t.park(f, other)
		return nil
	case o.reason != reason && other != nil: // two outages turn out to be one
		delete(t.outages, o.reason)
		other.waiting = append(other.waiting, o.waiting...)
		t.park(f, other)
		return nil
	case o.reason != reason:
		delete(t.outages, o.reason)
		o.reason = reason
		t.outages[reason] = o
	}
	o.failures++
	t.park(f, o)
	t.probe(o, now.Add(o.pause.NextBackOff()))
	return o
}

func (t *table) park(f *file, o *outage) {
	t.moveTo(f, stateParked)
	if len(o.waiting) == cap(o.waiting) { // before it grows
		o.waiting = slices.DeleteFunc(o.waiting, func(w *file) bool { return w.state != stateParked })
	}
	o.waiting = append(o.waiting, f)
}

// probe makes the file that has waited longest the outage's next probe. An
// outage that nobody waits for is forgotten.
func (t *table) probe(o *outage, due time.Time) {
	for len(o.waiting) > 0 {
		f := o.waiting[0]
		o.waiting = o.waiting[1:]
		if f.state == stateParked {
			f.outage = o
			t.toLater(f, due)
			return
		}
	}
	delete(t.outages, o.reason)
}

// endProbe is called when f, which may be a probe, will not find out whether
// its destination is back. Another one does.
func (t *table) endProbe(f *file, now time.Time) {
	if o := f.outage; o != nil {
		f.outage = nil
		t.probe(o, now)
	}
}

// reached is called when f has reached its destination. It returns the outage
// that has ended with that, nil for none.
func (t *table) reached(f *file) *outage {
	o := f.outage
	if o == nil {
		return nil
	}
	f.outage = nil
	delete(t.outages, o.reason)
	for _, w := range o.waiting {
		if w.state == stateParked {
			t.toReady(w)
		}
	}
	return o
}
