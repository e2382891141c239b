package router

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
)

const (
	// slowTransfer is how long a transfer takes before anyone is told of its progress.
	slowTransfer = 2 * time.Second
	// progressInterval is the time between two lines about the same transfer.
	progressInterval = 5 * time.Second
	// copyBuffer is the size of the pieces in which a body is copied.
	copyBuffer = 256 << 10
)

// Transfer is the state of one stream in transit.
type Transfer struct {
	ID          uint64
	Source      string
	Event, Name string // full event name, and the stream's name
	Size        int64  // bytes, −1 when unknown
	Done        int64  // bytes
	Started     time.Time
}

// Transfers knows the streams in transit. The zero value is ready for use.
type Transfers struct {
	mu     sync.Mutex
	active map[*transferWriter]struct{}
}

// List returns the streams in transit, oldest first.
func (t *Transfers) List() []Transfer {
	t.mu.Lock()
	list := make([]Transfer, 0, len(t.active))
	for w := range t.active {
		transfer := w.transfer
		transfer.Done = w.done.Load()
		list = append(list, transfer)
	}
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b Transfer) int { return a.Started.Compare(b.Started) })
	return list
}

// Slow tells whether the transfer has been under way for so long that a
// person wants to see its progress.
func (t Transfer) Slow() bool { return time.Since(t.Started) > slowTransfer }

// begin notes a stream that goes into w until it is committed or aborted.
func (t *Transfers) begin(info StreamInfo, w StreamWriter) StreamWriter {
	tw := &transferWriter{list: t, next: w, transfer: Transfer{
		ID: info.ID, Source: info.Source, Event: info.FullName(), Name: info.Name,
		Size: info.Size, Started: time.Now(),
	}}
	t.mu.Lock()
	if t.active == nil {
		t.active = map[*transferWriter]struct{}{}
	}
	t.active[tw] = struct{}{}
	t.mu.Unlock()
	return tw
}

type transferWriter struct {
	list     *Transfers
	next     StreamWriter
	transfer Transfer
	done     atomic.Int64
}

func (w *transferWriter) Write(p []byte) (int, error) {
	n, err := w.next.Write(p)
	w.done.Add(int64(n))
	return n, err
}

// ReadFrom lets a sink that can read straight into its own buffers do so.
func (w *transferWriter) ReadFrom(r io.Reader) (int64, error) {
	return copyBody(w.next, countingReader{r, &w.done})
}

func (w *transferWriter) End(ctx context.Context) error { return end(ctx, w.next) }

// end ends a stream that has an end of its own.
func end(ctx context.Context, w StreamWriter) error {
	if e, ok := w.(Ender); ok {
		return e.End(ctx)
	}
	return nil
}

func (w *transferWriter) Commit(ctx context.Context) error {
	defer w.end()
	return w.next.Commit(ctx)
}

func (w *transferWriter) Abort(cause error) {
	defer w.end()
	w.next.Abort(cause)
}

func (w *transferWriter) end() {
	w.list.mu.Lock()
	delete(w.list.active, w)
	w.list.mu.Unlock()
}

// copyBody copies r into w, through w's own buffers where it has them.
func copyBody(w io.Writer, r io.Reader) (int64, error) {
	if rf, ok := w.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(w, r, buf[:])
}

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

type countingReader struct {
	r    io.Reader
	done *atomic.Int64
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done.Add(int64(n))
	return n, err
}

// logProgress logs a line about each slow transfer that goes on, and one about
// each that does not, until stop is called.
func (t *Transfers) logProgress(log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		var before map[uint64]look
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				now := map[uint64]look{}
				for _, transfer := range t.List() {
					if transfer.Slow() {
						now[transfer.ID] = transfer.log(log, before[transfer.ID])
					}
				}
				before = now
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

// look is what was seen of a transfer when it was looked at; zero before.
type look struct {
	at    time.Time
	done  int64
	still bool // nothing had come since the look before
}

// log tells how a transfer has gone on since the look before.
func (t Transfer) log(log *slog.Logger, before look) look {
	now := look{at: time.Now(), done: t.Done}
	if before.at.Before(t.Started) { // none, or of an earlier try
		before = look{at: t.Started}
	}
	now.still = t.Done == before.done
	if now.still && before.still {
		return now
	}
	done := humanize.IBytes(uint64(t.Done))
	if t.Size > 0 {
		done += " of " + humanize.IBytes(uint64(t.Size))
	}
	attrs := []any{"source", t.Source}
	if t.Event != "" { // a file has none yet
		attrs = append(attrs, "event", t.Event)
	}
	attrs = append(attrs, "stream", t.Name, "done", done)
	if now.still {
		log.Info("transfer stands still", attrs...)
		return now
	}
	rate := float64(t.Done-before.done) / now.at.Sub(before.at).Seconds()
	log.Info("transfer under way", append(attrs, "rate", humanize.IBytes(uint64(rate))+"/s")...)
	return now
}
