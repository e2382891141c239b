package dir

import (
	"container/heap"
	"io/fs"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// The pauses before something that failed is tried again: from the first to
// the second, and at random a quarter shorter or longer.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 8 * time.Second
)

func newPause() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: firstRetry, MaxInterval: lastRetry, Multiplier: 2, RandomizationFactor: 0.25,
	}
}

// edition is one version of a file and what has been done about it. A new
// version begins anew.
type edition struct {
	version  version
	since    time.Time // when this version was first seen
	id       uint64    // of its stream, equal on every try; 0 before the first
	failures int       // tries that the destination failed
	givenUp  error     // why it is not sent any more, only set aside; nil while it is
}

// state is where a file stands. It says which queue holds it.
type state int

const (
	stateReady   state = iota // to be looked at as soon as there is a worker
	stateLater                // to be looked at when it is due
	stateWorking              // a worker has it
	stateParked               // waits for a destination, see outage
	stateIdle                 // nothing to do until it changes, or the routes do
	stateRemoved
)

// file is what is known of a path in the folder, from when it is seen until it
// has been dealt with. It takes some 300 bytes and the path, so that a million
// files that wait take a third of a gigabyte.
type file struct {
	path  string
	state state
	edition
	seenInScan uint32                      // number of the scan that saw it last
	special    fs.FileMode                 // type of what is no regular file
	newest     version                     // seen while a worker had it; zero for none
	due        time.Time                   // in stateLater
	looks      int                         // in a row that found it incomplete
	incomplete time.Time                   // when the first of these was
	toldOpen   bool                        // that it has been incomplete for long
	untaken    bool                        // no route has taken it; in stateIdle
	pause      *backoff.ExponentialBackOff // between tries that fail; nil when none did
	trouble    string                      // why the last try failed
	troubles   int                         // tries in a row that failed so
	heldUp     time.Time                   // since when this machine cannot read or move it
	outage     *outage                     // of which this file is the probe
	index      int                         // in the queue
}

// table holds every file that there is something to do about, or to remember.
// It is for one goroutine, and knows the time only from its caller.
type table struct {
	files   map[string]*file
	ready   queue
	later   queue
	outages map[string]*outage // by destination
	scan    uint32             // number of the scan under way
	waiting int                // files in a state that waits
}

func newTable() *table {
	return &table{
		files:   map[string]*file{},
		ready:   queue{before: olderFirst},
		later:   queue{before: func(a, b *file) bool { return a.due.Before(b.due) }},
		outages: map[string]*outage{},
	}
}

// olderFirst orders files by their own time and then by path.
func olderFirst(a, b *file) bool {
	if a.version.mtime != b.version.mtime {
		return a.version.mtime < b.version.mtime
	}
	return strings.Compare(a.path, b.path) < 0
}

// see takes in a sighting. It returns the file when this is the news that it
// is no regular one.
func (t *table) see(s sighting, now time.Time) (newSpecial *file) {
	f := t.files[s.path]
	switch {
	case s.gone:
		if f != nil && f.state != stateWorking {
			t.remove(f, now)
		}
		return nil
	case f == nil:
		f = &file{path: s.path, state: stateIdle, edition: edition{version: s.version, since: now}}
		t.files[s.path] = f
	case f.state == stateWorking:
		f.seenInScan = t.scan
		f.newest = s.version
		return nil
	case s.version == f.version && s.mode.Type() == f.special:
		f.seenInScan = t.scan
		if f.state == stateLater && f.looks > 0 && f.outage == nil {
			t.toReady(f) // its writer may have closed it
		}
		return nil
	default:
		f.renew(s.version, now)
	}
	f.seenInScan = t.scan
	f.special = s.mode.Type()
	if f.special != 0 {
		t.idle(f, now)
		return f
	}
	switch f.state {
	case stateIdle, stateReady:
		t.toReady(f)
	case stateLater:
		if f.looks == 0 && f.outage == nil { // what failed was another version
			t.toReady(f)
		}
	}
	return nil
}

// endScan forgets what the scan that ends did not see.
func (t *table) endScan(now time.Time) {
	for _, f := range t.files {
		if f.seenInScan != t.scan && f.state != stateWorking {
			t.remove(f, now)
		}
	}
	t.scan++
}

// rerouted makes ready what no route has taken.
func (t *table) rerouted() {
	for _, f := range t.files {
		if f.state == stateIdle && f.untaken {
			t.toReady(f)
		}
	}
}

// renew makes f about another version.
func (f *file) renew(v version, now time.Time) {
	f.edition = edition{version: v, since: now}
	f.pause, f.trouble, f.troubles, f.untaken = nil, "", 0, false
}

// wake makes ready what is due.
func (t *table) wake(now time.Time) {
	for f := t.later.first(); f != nil && !f.due.After(now); f = t.later.first() {
		t.toReady(f)
	}
}

// next hands the first file that is ready to a worker; nil when there is none.
func (t *table) next() *file {
	f := t.ready.first()
	if f != nil {
		t.moveTo(f, stateWorking)
		f.newest = version{}
	}
	return f
}

// nextDue returns when there is something to wake.
func (t *table) nextDue() (time.Time, bool) {
	if f := t.later.first(); f != nil {
		return f.due, true
	}
	return time.Time{}, false
}

func (t *table) toReady(f *file) { t.moveTo(f, stateReady) }

func (t *table) toLater(f *file, due time.Time) {
	t.moveTo(f, stateIdle)
	f.due = due
	t.moveTo(f, stateLater)
}

// idle leaves f alone until it changes.
func (t *table) idle(f *file, now time.Time) {
	t.moveTo(f, stateIdle)
	t.endProbe(f, now)
}

// remove forgets f.
func (t *table) remove(f *file, now time.Time) {
	t.moveTo(f, stateRemoved)
	delete(t.files, f.path)
	t.endProbe(f, now)
}

// waits tells whether a file in that state is still to be sent.
func (s state) waits() bool { return s != stateIdle && s != stateRemoved }

// moveTo changes a file's state, and with it the queue that holds it.
func (t *table) moveTo(f *file, s state) {
	if f.state.waits() {
		t.waiting--
	}
	if s.waits() {
		t.waiting++
	}
	switch f.state {
	case stateReady:
		heap.Remove(&t.ready, f.index)
	case stateLater:
		heap.Remove(&t.later, f.index)
	}
	f.state = s
	switch s {
	case stateReady:
		heap.Push(&t.ready, f)
	case stateLater:
		heap.Push(&t.later, f)
	}
}

// queue is a heap of files, for container/heap.
type queue struct {
	before func(a, b *file) bool
	files  []*file
}

func (q *queue) first() *file {
	if len(q.files) == 0 {
		return nil
	}
	return q.files[0]
}

func (q *queue) Len() int           { return len(q.files) }
func (q *queue) Less(i, j int) bool { return q.before(q.files[i], q.files[j]) }

func (q *queue) Swap(i, j int) {
	q.files[i], q.files[j] = q.files[j], q.files[i]
	q.files[i].index, q.files[j].index = i, j
}

func (q *queue) Push(x any) {
	f := x.(*file)
	f.index = len(q.files)
	q.files = append(q.files, f)
}

func (q *queue) Pop() any {
	last := len(q.files) - 1
	f := q.files[last]
	q.files[last] = nil
	q.files = q.files[:last]
	return f
}
