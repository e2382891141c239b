package dir

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/journal"
)

const (
	// gatherSize is how much of small writes is gathered before it is written.
	gatherSize = 64 << 10
	// directSize is the size from which a write goes to the file at once:
	// copying it would cost more than the system call.
	directSize = 16 << 10
)

var (
	errIdle      = errors.New("the stream was silent for too long")
	errCommitted = errors.New("the stream has been committed")
)

var gatherBuffers = sync.Pool{New: func() any { return new([gatherSize]byte) }}

// stream is one incoming stream: a partial file that becomes a whole one or
// none.
type stream struct {
	sink  *sink
	info  router.StreamInfo
	name  string // by the filename expression
	begun time.Time

	mu       sync.Mutex // against the idle timer and sink.Close
	folder   *folder
	file     file
	partial  string
	gather   []byte // of a buffer of gatherSize; nil when nothing was gathered
	size     int64
	active   time.Time   // of the last write
	idle     *time.Timer // nil without idle_timeout
	turn     *turn       // nil until the body is whole
	ended    error       // nil while the stream is open
	delivery router.Delivery
}

// create makes the partial file and starts the clock, if there is one.
func (w *stream) create() error {
	if err := w.folder.space.room(max(w.info.Size, 0)); err != nil {
		return w.folder.unavailable(err)
	}
	var err error
	if w.file, w.partial, err = w.folder.create(w.name); err != nil {
		return w.folder.unavailable(err)
	}
	step(stepCreated)
	w.active = time.Now()
	if limit := time.Duration(w.sink.config.IdleTimeout); limit > 0 {
		w.sink.timers.Add(1)
		w.idle = time.AfterFunc(limit, w.checkIdle)
	}
	return nil
}

// Write implements router.StreamWriter.
func (w *stream) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil {
		return 0, w.ended
	}
	if err := w.put(p); err != nil {
		return 0, w.broke(err)
	}
	w.active = time.Now()
	return len(p), nil
}

func (w *stream) put(p []byte) error {
	if largest := w.sink.config.MaxSize; w.size+int64(len(p)) > int64(largest) {
		return tooLarge(largest)
	}
	if err := w.folder.space.take(int64(len(p))); err != nil {
		return err
	}
	w.size += int64(len(p))
	if len(p) >= directSize || len(w.gather)+len(p) > gatherSize {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if len(p) >= directSize {
		return w.write(p)
	}
	if w.gather == nil {
		w.gather = gatherBuffers.Get().(*[gatherSize]byte)[:0]
	}
	w.gather = append(w.gather, p...)
	return nil
}

// flush writes what was gathered.
func (w *stream) flush() error {
	if w.gather == nil {
		return nil
	}
	err := w.write(w.gather)
	gatherBuffers.Put((*[gatherSize]byte)(w.gather[:gatherSize]))
	w.gather = nil
	return err
}

func (w *stream) write(p []byte) error {
	if _, err := w.file.Write(p); err != nil {
		return err
	}
	step(stepWritten)
	return nil
}

// End implements router.Ender: the body is whole. Of streams that land under
// one name it tells which one is the last.
func (w *stream) End(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil {
		return w.ended
	}
	w.bodyIsWhole()
	return nil
}

// bodyIsWhole is for the first of End and Commit. w.mu is held.
func (w *stream) bodyIsWhole() {
	if w.turn == nil {
		w.turn = w.folder.turns.take(SafeName(w.name, w.sink.config.Flatten))
		w.stopClock() // what happens from now on is not up to the sender
	}
}

// Commit implements router.StreamWriter: the file is durable under its final
// name when it returns nil, or has given way to another as if_exists says. It
// does not wait for anybody but the disk, so it needs no context.
func (w *stream) Commit(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended != nil {
		return w.ended
	}
	w.bodyIsWhole()
	if err := w.sync(); err != nil {
		return w.broke(err)
	}
	name, err := w.folder.land(w.partial, w.turn, w.sink.config.IfExists)
	message := "file received"
	switch {
	case errors.Is(err, errSkipped):
		message = "file exists already, the received one is dropped"
		w.delivery.Outcome = journal.Skipped
	case errors.Is(err, errOvertaken):
		message = "the file of a later stream has this name already, the received one is dropped"
		w.delivery.Outcome = journal.Skipped
	case err != nil:
		return w.broke(err)
	}
	w.delivery.Path = w.folder.abs(name)
	// A partial name that cannot be removed is swept later.
	_ = w.folder.removePartial(w.partial)
	step(stepLanded)
	w.end(errCommitted)
	w.sink.log.Info(message, append([]any{"path", w.delivery.Path, "size", w.size}, w.attributes()...)...)
	return nil
}

// Delivery implements router.Deliverer.
func (w *stream) Delivery() router.Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.delivery
}

// attributes says in the log which stream this is. A file from a folder has no
// event.
func (w *stream) attributes() (attributes []any) {
	if event := w.info.FullName(); event != "" {
		attributes = append(attributes, "event", shown(event))
	}
	return append(attributes, "stream", shown(w.info.Name))
}

// sync makes the contents durable. After a failed fsync nobody knows what is
// on disk and a second one may falsely succeed, so there is none.
func (w *stream) sync() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	file := w.file
	w.file = nil
	if err := file.Close(); err != nil {
		return err
	}
	step(stepSynced)
	return nil
}

// Abort implements router.StreamWriter.
func (w *stream) Abort(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended == nil {
		w.fail(slog.LevelDebug, cause, false)
	}
}

// checkIdle is what the idle timer calls.
func (w *stream) checkIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended == nil && w.turn == nil {
		limit := time.Duration(w.sink.config.IdleTimeout)
		if rest := limit - time.Since(w.active); rest > 0 {
			w.idle.Reset(rest)
			return
		}
		w.fail(slog.LevelWarn, fmt.Errorf("%w: idle_timeout is %v", errIdle, limit), false)
	}
	w.sink.timers.Done()
}

// broke ends the stream because the sink could not do its part, and returns the
// error for its caller. w.mu is held.
func (w *stream) broke(err error) error {
	err = w.folder.unavailable(err)
	w.fail(slog.LevelDebug, err, isFull(err))
	return err
}

// fail ends the stream without a file, for the given cause, and logs that: at
// level debug when the caller of this sink knows the cause, and tells of it. full
// says that the cause is a disk without room: what is kept would keep it full. Of
// a file that its source still has nothing is kept either. w.mu is held.
func (w *stream) fail(level slog.Level, cause error, full bool) {
	policy := w.sink.config.Incomplete
	flushErr := w.folder.unavailable(w.flush())
	if full || isFull(flushErr) || w.info.Replay != nil {
		policy = incompleteRemove
	}
	if w.file != nil {
		_ = w.file.Close() // it is not whole, whatever this says
	}
	what := notWhole
	if w.turn != nil {
		what = notTaken
	}
	kept, err := w.folder.setAside(w.partial, w.name, w.reasonText(what, cause), policy)
	w.end(cause)
	w.sink.logIncomplete(w.folder, level, what, kept, errors.Join(flushErr, err), append(w.attributes(), "size", w.size, "error", cause)...)
}

// end lets go of all that an open stream holds but its file. w.mu is held.
func (w *stream) end(err error) {
	w.ended = err
	w.stopClock()
	if w.turn != nil {
		w.folder.turns.leave(w.turn)
	}
	w.sink.release(w)
}

func (w *stream) stopClock() {
	if w.idle != nil && w.idle.Stop() {
		w.sink.timers.Done()
	}
}

func tooLarge(limit config.Size) error {
	return router.Permanent(fmt.Errorf("the stream is larger than max_size, %v", limit))
}
