package router

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"time"

	"imbrouter/router/journal"
)

// ledger writes in the journal what became of streams.
type ledger struct {
	journal  *journal.Journal
	hashes   bool
	failures *FailureLog
}

func newLedger(o Options) *ledger {
	return &ledger{o.Journal, o.Hash, NewFailureLog(o.Log, "the journal cannot be written; what happens goes on without it",
		"the journal is written again")}
}

// record makes records durable. A journal that cannot be written holds nobody
// up: what it should tell has happened already.
func (l *ledger) record(ctx context.Context, records ...journal.Record) {
	err := l.journal.Append(ctx, records...)
	if ctx.Err() == nil { // or else it is written, and nobody waits any more
		l.tell(err)
	}
}

// note writes a record that nobody acts on.
func (l *ledger) note(r journal.Record) { l.tell(l.journal.Note(r)) }

func (l *ledger) tell(err error) {
	if err != nil {
		l.failures.Failure("", err)
	} else {
		l.failures.Success()
	}
}

// account gathers on the way of a stream's body what the journal is to tell of
// it.
type account struct {
	begun time.Time
	size  int64
	sum   hash.Hash // nil when none is wanted
}

type accountKey struct{}

// withAccount returns the context of a stream of which an account is kept.
func (l *ledger) withAccount(ctx context.Context) (context.Context, *account) {
	a := &account{begun: time.Now()}
	if l.hashes {
		a.sum = sha256.New()
	}
	return context.WithValue(ctx, accountKey{}, a), a
}

// accountOf returns the account that withAccount has put in a context.
func accountOf(ctx context.Context) *account { return ctx.Value(accountKey{}).(*account) }

func (a *account) add(p []byte) {
	a.size += int64(len(p))
	if a.sum != nil {
		a.sum.Write(p)
	}
}

// accountReader counts what is read.
type accountReader struct {
	r       io.Reader
	account *account
}

func (r accountReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.account.add(p[:n])
	return n, err
}

// recorder is a sink of one route that records what becomes of its streams. It
// is a value, so that two can be compared.
type recorder struct {
	Sink
	route, name string
	ledger      *ledger
}

func (r recorder) Stream(ctx context.Context, info StreamInfo) (StreamWriter, error) {
	begin := newRecord(info)
	begin.Route, begin.Sink = r.route, r.name
	again := info.Replay != nil
	w, err := r.Sink.Stream(ctx, info)
	if err != nil {
		if !again {
			r.ledger.recordLoss(begin, accountOf(ctx), journal.Failed, err)
		}
		return nil, err
	}
	return &recordedStream{StreamWriter: w, ledger: r.ledger, account: accountOf(ctx), begin: begin, again: again}, nil
}

// newRecord returns a record of a stream that begins.
func newRecord(info StreamInfo) journal.Record {
	return journal.Record{
		ID: info.ID, Source: info.Source, Event: info.FullName(), Name: info.Name, Path: info.Path,
		Size: info.Size, Attempts: info.Attempt,
	}
}

// failures returns a record for each route, and each sink of it, that failed
// with an error of a router's Sink.
func failures(record journal.Record, err error) (records []journal.Record) {
	switch e := err.(type) {
	case branchErrors:
		for _, err := range e {
			records = append(records, failures(record, err)...)
		}
		return records
	case *partError:
		if e.kind == "route" {
			record.Route = e.name
		} else {
			record.Sink = e.name
		}
		return failures(record, e.err)
	}
	record.Outcome, record.Reason = journal.Failed, err.Error()
	return []journal.Record{record}
}

// recordLoss records the bad end of a stream that cannot be had again. One that can
// is its source's to give up, see GiverUp.
func (l *ledger) recordLoss(record journal.Record, a *account, outcome journal.Outcome, cause error) {
	if errors.Is(cause, ErrNotTaken) {
		return
	}
	record.Outcome, record.Reason, record.Duration = outcome, cause.Error(), time.Since(a.begun)
	l.note(record)
}

// recordedStream is a stream into one sink of a route.
type recordedStream struct {
	StreamWriter
	ledger  *ledger
	account *account
	begin   journal.Record // as it stood when the stream began
	again   bool           // the stream can be had again
	failed  bool           // by the sink, not by what comes before it
	ended   bool
}

func (w *recordedStream) Write(p []byte) (int, error) {
	n, err := w.StreamWriter.Write(p)
	return n, w.sinkFailed(err)
}

func (w *recordedStream) ReadFrom(r io.Reader) (int64, error) {
	src := &noteReadError{r: r}
	n, err := copyBody(w.StreamWriter, src)
	if src.err != nil {
		return n, err
	}
	return n, w.sinkFailed(err)
}

// End implements Ender. What it sends may arrive although nobody is told.
func (w *recordedStream) End(ctx context.Context) error {
	w.ended = true
	if record := w.success(); record.Outcome == journal.Sent {
		record.Outcome = journal.Unconfirmed
		w.ledger.note(record)
	}
	return w.sinkFailed(end(ctx, w.StreamWriter))
}

// Commit records a success before the source of a file acts on it.
func (w *recordedStream) Commit(ctx context.Context) error {
	if !w.ended {
		if err := w.End(ctx); err != nil {
			w.Abort(err)
			return err
		}
	}
	if err := w.sinkFailed(w.StreamWriter.Commit(ctx)); err != nil {
		w.recordLoss(err)
		return err
	}
	record := w.success()
	if w.account.sum != nil {
		record.SHA256 = hex.EncodeToString(w.account.sum.Sum(nil))
	}
	if w.again {
		w.ledger.record(ctx, record)
	} else { // its source does nothing more about it
		w.ledger.note(record)
	}
	return nil
}

func (w *recordedStream) Abort(cause error) {
	w.StreamWriter.Abort(cause)
	w.recordLoss(cause)
}

// sinkFailed notes whether an error, which it returns, is one.
func (w *recordedStream) sinkFailed(err error) error {
	w.failed = w.failed || err != nil
	return err
}

// recordLoss records the bad end of a stream that cannot be had again.
func (w *recordedStream) recordLoss(cause error) {
	if w.again {
		return
	}
	outcome := journal.Incomplete // what comes before the sink has ended it
	if w.failed {
		outcome = journal.Failed
	}
	w.ledger.recordLoss(w.success(), w.account, outcome, cause)
}

// success returns a record of the stream with the outcome of a success.
func (w *recordedStream) success() journal.Record {
	record := w.begin
	record.Size, record.Duration = w.account.size, time.Since(w.account.begun)
	d := Delivery{Outcome: journal.Sent}
	if known, ok := w.StreamWriter.(Deliverer); ok {
		d = known.Delivery()
	}
	record.Outcome = d.Outcome
	record.Event, record.Path = cmp.Or(d.Event, record.Event), cmp.Or(d.Path, record.Path)
	return record
}
