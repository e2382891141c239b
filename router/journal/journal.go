// Package journal keeps the record of what became of every file and stream: an
// append-only file of JSON lines, one object a line with its keys in a fixed
// order, and times in UTC.
//
//	j, err := journal.Open(journal.Path(stateDir, "router.toml"), journal.Options{Log: log})
//	if err != nil { … }
//	defer j.Close()
//	err = j.Append(ctx, journal.Record{Outcome: journal.Sent, Name: "report.csv", …})
//
// A file that has reached its size is renamed, router.journal.jsonl to
// router.journal.1.jsonl, the next to router.journal.2.jsonl: a higher number is
// newer, and a file keeps its name until it is the oldest of too many and
// removed. So a reader is not disturbed by what is written meanwhile.
//
// A crash leaves at most the last line unfinished. Open cuts it off, and sets a
// file aside that is damaged in another way.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"imbrouter/router/durable"
)

const (
	defaultMaxSize  = 16 << 20
	defaultMaxFiles = 8
	perm            = 0o644

	// noteDelay is how long a record may wait that nobody waits for.
	noteDelay = time.Second

	// rotateRetry is the time after which a rotation that failed is tried again.
	rotateRetry = time.Minute
)

var (
	// ErrLocked says that another process, or another Journal, has it open.
	ErrLocked = errors.New("the journal is in use")
	// ErrClosed says that the journal was closed.
	ErrClosed = errors.New("the journal is closed")

	errRemoved = errors.New("it was removed or moved away")
)

// Path returns the path of the journal of a configuration file.
func Path(stateDir, configFile string) string {
	return filepath.Join(stateDir, strings.TrimSuffix(filepath.Base(configFile), ".toml")+".journal.jsonl")
}

// Options are a Journal's settings. The zero value is usable.
type Options struct {
	Log *slog.Logger // nil discards
	// MaxSize is how large a file may get, in bytes; 0 means 16 MiB. One that
	// cannot be renamed goes on growing, so that no record is lost.
	MaxSize int64
	// MaxFiles is how many files there may be with the current one; 0 means 8.
	MaxFiles int
}

// Journal is an open journal, locked against others. It is safe for concurrent
// use. A nil Journal keeps nothing.
type Journal struct {
	files    files
	options  Options
	run      string
	lock     *flock.Flock
	wake     chan struct{} // there is something to sync; closed by Close
	syncer   sync.WaitGroup
	closeErr func() error

	mu      sync.Mutex
	file    *os.File // nil after a rotation that failed half-way
	size    int64    // of whole lines in it
	torn    bool     // a write failed, and may have left something behind size
	batch   *batch   // of what is written and not yet synced
	syncing bool
	noted   bool       // syncNoted is to come
	synced  *sync.Cond // no longer syncing
	closed  bool

	rotateAfter time.Time // no rotation before; zero after one that succeeded
	toldRemove  bool      // that an old file cannot be removed
}

// batch is what one fsync makes durable.
type batch struct {
	done    chan struct{} // closed when err is final
	err     error
	written bool // something is in it
}

// Open opens a journal, with a new one where there is none, and restores it
// after a crash.
func Open(path string, o Options) (*Journal, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxSize <= 0 {
		o.MaxSize = defaultMaxSize
	}
	if o.MaxFiles <= 0 {
		o.MaxFiles = defaultMaxFiles
	}
	j := &Journal{
		files: files{path}, options: o, run: fmt.Sprintf("%016x", rand.Uint64()),
		wake: make(chan struct{}, 1), batch: newBatch(),
	}
	j.synced = sync.NewCond(&j.mu)
	j.closeErr = sync.OnceValue(j.close)
	if err := j.open(); err != nil {
		return nil, fmt.Errorf("open the journal %q: %w", path, err)
	}
	j.syncer.Go(j.keepSynced)
	return j, nil
}

func (j *Journal) open() (err error) {
	dir := filepath.Dir(j.files.current)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	_ = durable.SyncDirPath(filepath.Dir(dir)) // it is somebody else's, and may not let us
	if j.lock, err = j.files.lock(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.lock.Close())
		}
	}()
	unresolved, err := j.restore()
	if err != nil {
		return err
	}
	if err := j.openFile(); err != nil {
		return err
	}
	if err := j.resolve(unresolved); err != nil {
		return errors.Join(err, j.file.Close())
	}
	return nil
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// Run returns the id, drawn at random, of the records that this Journal writes.
func (j *Journal) Run() string { return j.run }

// Append writes records, all or none, and returns when they are durable. Callers
// at the same time share an fsync. When ctx ends first they may become durable
// all the same. After an error the next call may succeed: a disk that was full
// may have room again.
func (j *Journal) Append(ctx context.Context, records ...Record) error {
	if j == nil {
		return nil
	}
	b, err := j.write(records, true)
	if err != nil {
		return err
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Note writes a record that survives the end of the process when Note returns,
// and a power cut a second later.
func (j *Journal) Note(r Record) error {
	if j == nil {
		return nil
	}
	_, err := j.write([]Record{r}, false)
	return err
}

// Close makes durable what was written and gives the journal back. Nothing may
// be appended after it.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	return j.closeErr()
}

func (j *Journal) close() error {
	j.mu.Lock()
	j.closed = true
	close(j.wake)
	j.mu.Unlock()
	j.syncer.Wait()
	err := j.sync()
	if j.file != nil {
		err = errors.Join(err, j.file.Close())
	}
	return errors.Join(err, j.lock.Close())
}

// write writes records to the kernel, and returns the batch that makes them
// durable; soon, when sync is set.
func (j *Journal) write(records []Record, sync bool) (*batch, error) {
	var text []byte
	var err error
	for _, r := range records {
		if r.Time.IsZero() {
			r.Time = time.Now()
		}
		if r.Run == "" {
			r.Run = j.run
		}
		if text, err = appendLine(text, r); err != nil {
			return nil, err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.writeLocked(text); err != nil {
		return nil, fmt.Errorf("write to the journal %q: %w", j.files.current, err)
	}
	j.batch.written = true
	switch {
	case sync:
		j.wakeSyncer()
	case !j.noted:
		j.noted = true
		time.AfterFunc(noteDelay, j.syncNoted)
	}
	return j.batch, nil
}

// syncNoted wakes the syncer a while after a Note.
func (j *Journal) syncNoted() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.noted = false
	if !j.closed {
		j.wakeSyncer()
	}
}

func (j *Journal) wakeSyncer() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

func (j *Journal) writeLocked(text []byte) error {
	if err := j.makeRoom(int64(len(text))); err != nil {
		return err
	}
	if _, err := j.file.Write(text); err != nil {
		j.torn = j.file.Truncate(j.size) != nil
		return err
	}
	j.size += int64(len(text))
	return nil
}

// makeRoom sees to a current file that ends with a whole line, and may get so
// many bytes more.
func (j *Journal) makeRoom(need int64) error {
	for {
		switch {
		case j.closed:
			return ErrClosed
		case j.file == nil:
			if err := j.openFile(); err != nil {
				return err
			}
		case j.torn:
			if err := j.file.Truncate(j.size); err != nil {
				return err
			}
			j.torn = false
		case j.size == 0 || j.size+need <= j.options.MaxSize || time.Now().Before(j.rotateAfter):
			return nil
		case j.syncing:
			j.synced.Wait() // and see what others have done meanwhile
		default:
			if err := j.rotate(); err != nil {
				return err
			}
		}
	}
}

// openFile opens the current file.
func (j *Journal) openFile() error {
	f, err := os.OpenFile(j.files.current, os.O_CREATE|os.O_APPEND|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = durable.SyncDirPath(filepath.Dir(j.files.current))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.size = f, info.Size()
	return nil
}

// rotate renames the current file, which is not being synced, and removes what
// is too old. The next one is made by openFile, which makes the names durable,
// and opens the same one again when it could not be renamed.
func (j *Journal) rotate() error {
	if err := j.file.Sync(); err != nil {
		// Another Sync of the file might not tell of it any more.
		j.batch.err = fmt.Errorf("make the journal %q durable: %w", j.files.current, err)
		return err
	}
	err := j.file.Close() // Windows renames no open file
	j.file = nil
	if err == nil {
		err = j.files.rotate()
	}
	if err != nil {
		if j.rotateAfter.IsZero() {
			j.options.Log.Error("the journal cannot go on in another file; it grows beyond its limit",
				"path", j.files.current, "max_size", j.options.MaxSize, "error", err)
		}
		j.rotateAfter = time.Now().Add(rotateRetry)
		return nil
	}
	if !j.rotateAfter.IsZero() {
		j.options.Log.Info("the journal goes on in another file again", "path", j.files.current)
		j.rotateAfter = time.Time{}
	}
	j.removeOldest()
	return nil
}

func (j *Journal) removeOldest() {
	gone, err := j.files.removeOldest(j.options.MaxFiles)
	for _, path := range gone {
		j.options.Log.Info("the journal has reached its limits; its oldest file is gone", "path", path,
			"max_size", j.options.MaxSize, "max_files", j.options.MaxFiles)
	}
	if err != nil && !j.toldRemove {
		j.options.Log.Error("an old file of the journal cannot be removed; the others are",
			"max_files", j.options.MaxFiles, "error", err)
	}
	j.toldRemove = err != nil
}

// keepSynced makes durable what is written until Close.
func (j *Journal) keepSynced() {
	for range j.wake {
		_ = j.sync() // those who wait for the batch get the error
	}
}

// sync makes the batch durable, and begins the next.
func (j *Journal) sync() error {
	j.mu.Lock()
	file, b := j.file, j.batch
	j.syncing, j.batch = true, newBatch()
	j.mu.Unlock()

	var err error
	if file != nil && b.written { // without a file, rotate has synced it
		if err = file.Sync(); err == nil {
			err = j.files.isCurrent(file)
		}
	}

	j.mu.Lock()
	if err != nil {
		// What was written meanwhile may be lost with it, and the next Sync of the
		// file would not tell of it.
		err = fmt.Errorf("make the journal %q durable: %w", j.files.current, err)
		b.err, j.batch.err = err, err
		close(j.batch.done)
		j.batch = newBatch()
	}
	if errors.Is(err, errRemoved) {
		j.leaveFile()
	}
	close(b.done)
	j.syncing = false
	j.synced.Broadcast()
	j.mu.Unlock()
	return b.err
}

// leaveFile closes a current file that is not in its place any more.
func (j *Journal) leaveFile() {
	j.options.Log.Error("the journal was removed or moved away while it was written; it goes on in a new file", "path", j.files.current)
	_ = j.file.Close()
	j.file, j.torn = nil, false
}
