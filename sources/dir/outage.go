package dir

import (
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// retellInterval is how often it is told again that a destination is away.
const retellInterval = time.Minute

// outage is a destination that is away, and the files that wait for it.
//
// A file does not say where it goes, and one folder may feed several
// destinations. So each file is tried once, whatever became of others, and
// those that turn out to have the same destination wait together: one of them
// at a time is the probe that finds out whether it is back. They take turns,
// so that a file which fails for a reason of its own does not stand in the way.
type outage struct {
	destination string
	since       time.Time
	told        time.Time // when it was last told
	failures    int       // of probes; the file that found the outage counts as one
	pause       *backoff.ExponentialBackOff
	waiting     []*file // longest waiting first; those not in stateParked have left
}

// away makes f, whose destination is away, wait. It returns the outage when f
// was its probe, or the first to notice it.
func (t *table) away(f *file, destination string, now time.Time) (probed *outage) {
	o := f.outage
	f.outage = nil
	if o == nil {
		if known := t.outages[destination]; known != nil {
			t.park(f, known)
			return nil
		}
		o = &outage{destination: destination, since: now, pause: newPause()}
		t.outages[destination] = o
	}
	o.failures++
	t.park(f, o)
	t.probe(o, now.Add(o.pause.NextBackOff()))
	return o
}

// tell tells whether it is time to tell of the outage, and takes it as told.
func (o *outage) tell(now time.Time) bool {
	if now.Sub(o.told) < retellInterval {
		return false
	}
	o.told = now
	return true
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
	delete(t.outages, o.destination)
}

// endProbe is called when f, which may be a probe, will not find out whether
// its destination is back. Another one does.
func (t *table) endProbe(f *file, now time.Time) {
	if o := f.outage; o != nil {
		f.outage = nil
		t.probe(o, now)
	}
}

// reached is called when f, a probe, has reached the destination of its outage,
// which ends. It returns how many files waited.
func (t *table) reached(f *file) (files int) {
	o := f.outage
	f.outage = nil
	delete(t.outages, o.destination)
	files = 1
	for _, w := range o.waiting {
		if w.state == stateParked {
			t.toReady(w)
			files++
		}
	}
	return files
}
