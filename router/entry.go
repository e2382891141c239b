package router

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// entry is what a source pushes into: it leads to the source's routes, under
// the router's context.
type entry struct {
	source    string
	hard      context.Context
	transfers *Transfers
	ledger    *ledger // nil without a journal
	counter   *counter
	table     atomic.Pointer[table]
}

// table is the routes of one source under one plan.
type table struct {
	next *interests

	users   atomic.Int64 // calls and streams that are on the routes
	retired atomic.Bool  // nobody new comes
	drained chan struct{}
	once    sync.Once
}

// newTable returns a table that takes the place of another; nil for none.
func newTable(routes []branch, before *table) *table {
	var did *fanout
	if before != nil {
		did = before.next.all
	}
	return &table{next: newInterests(routes, did), drained: make(chan struct{})}
}

// enter returns the table of the present plan, which stays in use until leave.
func (e *entry) enter() *table {
	for {
		t := e.table.Load()
		t.users.Add(1)
		if t == e.table.Load() {
			return t
		}
		t.leave()
	}
}

func (t *table) leave() {
	if t.users.Add(-1) == 0 && t.retired.Load() {
		t.once.Do(func() { close(t.drained) })
	}
}

// retire is called when another table is in the entry. What it returns is
// closed when the last who are on this one have left.
func (t *table) retire() <-chan struct{} {
	t.users.Add(1)
	t.retired.Store(true)
	t.leave()
	return t.drained
}

func (e *entry) Signal(_ context.Context, s Signal) error {
	t := e.enter()
	defer t.leave()
	return e.signal(t, s)
}

func (e *entry) signal(t *table, s Signal) error {
	s.Source = e.source
	began := e.counter.beginSignals(1, len(s.Data))
	err := t.next.Signal(e.hard, s)
	e.counter.endSignal(began, err)
	return err
}

func (e *entry) Stream(_ context.Context, info StreamInfo) (StreamWriter, error) {
	t := e.enter()
	info.Source = e.source
	ctx, account := e.hard, (*account)(nil)
	if e.ledger != nil {
		ctx, account = e.ledger.withAccount(ctx)
	}
	w, err := e.counter.stream(t.next.all.Stream(ctx, info))
	if err != nil {
		t.leave()
		return nil, err
	}
	return e.transfers.begin(info, &entryWriter{w, e.hard, t, account}), nil
}

// Drop implements Dropper.
func (e *entry) Drop(s Signal, cause error) {
	t := e.enter()
	defer t.leave()
	s.Source = e.source
	e.counter.drop(len(s.Data), cause)
	for _, b := range t.next.all.branches {
		b.sink.(*route).drop(s, cause)
	}
}

// GiveUp implements GiverUp.
func (e *entry) GiveUp(info StreamInfo, cause error) {
	if e.ledger == nil {
		return
	}
	info.Source = e.source
	e.ledger.record(e.hard, failures(newRecord(info), cause)...)
}

// entryWriter commits under the router's context, and leaves the table at its
// end.
type entryWriter struct {
	StreamWriter
	hard    context.Context
	table   *table
	account *account // nil without a journal
}

func (w *entryWriter) Write(p []byte) (int, error) {
	if w.account != nil {
		w.account.add(p)
	}
	return w.StreamWriter.Write(p)
}

func (w *entryWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.account != nil {
		r = accountReader{r, w.account}
	}
	return copyBody(w.StreamWriter, r)
}

func (w *entryWriter) End(context.Context) error { return end(w.hard, w.StreamWriter) }

func (w *entryWriter) Commit(context.Context) error {
	defer w.table.leave()
	return w.StreamWriter.Commit(w.hard)
}

func (w *entryWriter) Abort(cause error) {
	defer w.table.leave()
	w.StreamWriter.Abort(cause)
}
