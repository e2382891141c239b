package dir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"time"

	"imbrouter/router"
	"imbrouter/router/failpoint"
	"imbrouter/router/remedy"
)

// step is called at each point of a delivery where a crash leaves the folder
// in another state: "claim" (the file is complete, nothing has been sent),
// "header" (the stream is open), "body" (all of it is written), "tail" (the
// stream is about to be ended), "confirmed" (the destination has it), "staged"
// (the file is in staging), "archived" (it has been dealt with for good).
var step = func(name string) { failpoint.Reach("send", name) }

// delivery takes files through one try: complete? send, and put away. It is
// safe for concurrent use.
type delivery struct {
	folder       *folder
	source       string
	next         router.Sink
	settle       time.Duration
	settleAlways bool
	after        string
	maxAttempts  int
	writers      func(*os.File) writers
	log          *slog.Logger
}

// job is one try of a file.
type job struct {
	file  *file // for finish; the delivery does not touch it
	path  string
	looks int
	edition
}

// outcome says what is to be done about a file after a try.
type outcome int

const (
	done       outcome = iota // nothing: it is away, or remembered
	leave                     // nothing until it changes
	untaken                   // nothing until it or the routes change
	incomplete                // look again after a pause
	away                      // wait until its destination is back
	failed                    // try again: its destination could not take it
	blocked                   // try again: this machine could not read or move it
)

// result is what a job came to. Its edition is that of the version that was found.
type result struct {
	job
	outcome outcome
	err     error         // of away, failed and blocked
	wait    time.Duration // of incomplete
	reached bool          // the destination answered
}

func (r *result) look(settle time.Duration) {
	r.outcome, r.wait = incomplete, lookAgain(r.looks, settle)
}

func (r *result) block(err error) { r.outcome, r.err = blocked, err }

// try does one job. ctx bounds what the destination does. It calls sent when that
// has the file, which is then only put away.
func (d *delivery) try(ctx context.Context, j job, sent func()) result {
	r := result{job: j}
	f, v, err := d.folder.open(j.path)
	switch {
	case err == nil:
		defer f.Close()
		if v != r.version {
			r.edition = edition{version: v, since: time.Now()}
		}
		d.deliver(ctx, f, &r, sent)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotRegular):
		r.outcome = done
	case errors.Is(err, errChanged), busy(err):
		r.look(d.settle)
	default:
		r.block(fmt.Errorf("cannot be opened: %w", remedy.Add(err, remedy.MayRead)))
	}
	return r
}

func (d *delivery) deliver(ctx context.Context, f *os.File, r *result, sent func()) {
	if wait := d.incomplete(f, r.edition, r.looks); wait > 0 {
		r.outcome, r.wait = incomplete, wait
		return
	}
	if d.folder.isNote(r.path, f) {
		d.removeNote(f, r)
		return
	}
	if d.folder.sent.has(r.path, r.version) {
		d.putAway(f, r)
		return
	}
	if r.givenUp != nil {
		d.setAside(f, r)
		return
	}
	step("claim")
	if r.id == 0 {
		r.id = router.NextID()
	}
	started := time.Now()
	err := d.send(ctx, f, r)
	r.reached = ctx.Err() == nil && !errors.Is(err, router.ErrNotTaken) && !errors.Is(err, router.ErrUnavailable)
	switch {
	case err == nil:
		step("confirmed")
		d.log.Info("sent", "path", r.path, "size", r.version.size,
			"took", time.Since(started).Round(time.Millisecond), "tries", r.failures+1)
		sent()
		d.putAway(f, r)
	case ctx.Err() != nil:
		d.log.Warn("cut off by the end of the program; it is sent after the next start", "path", r.path, "error", err)
		r.outcome = leave
	case errors.Is(err, errChanged):
		d.log.Info("changed while it was sent; it is sent again when it is complete", "path", r.path)
		r.look(d.settle)
	case errors.Is(err, router.ErrNotTaken):
		d.log.Info("no route takes the file; it stays until it or the configuration changes", "path", r.path)
		r.outcome = untaken
	case errors.Is(err, router.ErrUnavailable):
		r.outcome, r.err = away, err
	default:
		r.failures++
		r.outcome, r.err = failed, err
		if errors.Is(err, router.ErrPermanent) || r.failures >= d.maxAttempts {
			r.givenUp = err
			d.setAside(f, r)
		}
	}
}

// send sends one version of a file, whole or not at all. Whatever its path
// comes to name meanwhile, the descriptor keeps to that version; errChanged
// says that a writer changed it.
func (d *delivery) send(ctx context.Context, f *os.File, r *result) error {
	v := r.version
	info := d.info(r, r.failures+1)
	// The body can be had again until the stream has ended.
	info.Replay = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, 0, v.size)), nil }
	w, err := d.next.Stream(ctx, info)
	if err != nil {
		return err
	}
	step("header")
	n, err := io.Copy(w, io.LimitReader(f, v.size))
	if err == nil {
		step("body")
		err = d.unchanged(f, v)
	}
	if err == nil && n != v.size {
		err = errChanged
	}
	if err != nil {
		w.Abort(err)
		return err
	}
	step("tail")
	return w.Commit(ctx)
}

func (d *delivery) info(r *result, attempt int) router.StreamInfo {
	return router.StreamInfo{
		ID: r.id, Source: d.source, Name: r.path, Path: r.path,
		Size: r.version.size, ModTime: time.Unix(0, r.version.mtime), Attempt: attempt,
	}
}

// unchanged returns errChanged if an open file is no longer the version v, or
// a writer is about to change it.
func (d *delivery) unchanged(f *os.File, v version) error {
	now, err := versionOfOpen(f)
	if err != nil {
		return err
	}
	if now != v || d.writers(f) == someWriter {
		return errChanged
	}
	return nil
}

// putAway does with a file that was sent what the configuration says. A file
// that has changed since is new input and stays; one that cannot be moved is
// remembered as sent.
func (d *delivery) putAway(f *os.File, r *result) {
	now, err := versionOfOpen(f)
	if err == nil && now == r.version && d.writers(f) == someWriter {
		d.remember(r.path, r.version) // if the writer changes nothing it is not sent again
		r.look(d.settle)
		return
	}
	if err == nil && d.after != afterDelete {
		d.tellUnsafe(r.path, d.folder.syncFile(f))
	}
	_ = f.Close() // Windows moves no open file
	var at string
	if err == nil {
		at, err = d.archive(r.path, r.version)
	}
	switch {
	case err == nil:
		step("archived")
		r.outcome = done
	case now != r.version, errors.Is(err, errChanged):
		d.log.Info("changed after it was sent; the new version is sent as well", "path", r.path)
		r.look(d.settle)
	case errors.Is(err, fs.ErrNotExist):
		d.log.Warn("the file was removed while it was sent; it could not be put away", "path", r.path)
		r.outcome = done
	default:
		d.remember(cmp.Or(at, r.path), r.version)
		if d.after == afterMove {
			err = d.cannotMove(r.path, sentDir, err)
		}
		r.block(fmt.Errorf("was sent, but cannot be put away: %w", err))
	}
}

// cannotMove adds to why a file could not be moved to the folder base what to do.
func (d *delivery) cannotMove(name, base string, err error) error {
	absolute := func(dir string) string { return filepath.Join(d.folder.path, filepath.FromSlash(dir)) }
	return fmt.Errorf("move from %q to %q, which both must be folders: %w", absolute(path.Dir(name)), absolute(base), remedy.Add(err, remedy.MayWrite))
}

// archive moves, deletes or remembers a file. When it cannot, the file is
// where it was, or under the path that is returned with the error.
func (d *delivery) archive(name string, v version) (at string, err error) {
	changed := []string{path.Dir(name)}
	switch d.after {
	case afterKeep:
		now, err := d.folder.version(name)
		if err == nil && now != v {
			err = errChanged
		}
		if err == nil {
			d.remember(name, v)
		}
		return "", err
	case afterDelete:
		at, err = d.folder.remove(name, v)
	default:
		at, err = d.folder.moveAway(name, v, sentDir)
		changed = append(changed, path.Dir(at))
	}
	if err != nil {
		return at, err
	}
	if err := d.folder.sent.forget(name); err != nil {
		d.log.Error("the list of sent files cannot be written", "path", name, "error", remedy.Add(err, remedy.MayWrite))
	}
	d.tellUnsafe(name, d.folder.sync(changed...))
	return "", nil
}

// remember notes that a version of a file was sent and is still here.
func (d *delivery) remember(name string, v version) {
	if d.folder.sent.has(name, v) {
		return
	}
	if err := d.folder.sent.add(name, v); err != nil {
		d.log.Error("the list of sent files cannot be written; after a restart the file is sent again",
			"path", name, "error", remedy.Add(err, remedy.MayWrite))
	}
}

// tellUnsafe tells of an fsync for a file that has failed.
func (d *delivery) tellUnsafe(name string, err error) {
	if err != nil {
		d.log.Error("a file is not safe on disk yet; after a power cut it may be damaged or sent again",
			"path", name, "error", remedy.Add(err, remedy.MayRead))
	}
}

// setAside moves a file that is given up to failed/, with a note beside it.
func (d *delivery) setAside(f *os.File, r *result) {
	d.tellUnsafe(r.path, d.folder.syncFile(f))
	_ = f.Close() // Windows moves no open file
	to, err := d.folder.moveAway(r.path, r.version, failedDir)
	switch {
	case err == nil:
		d.log.Error("the file cannot be sent; it is set aside", "path", r.path, "moved_to", to,
			"failures", r.failures, "error", r.givenUp)
		if err := d.folder.writeNote(to, r); err != nil {
			d.log.Error("the note beside the file cannot be written", "path", to, "error", remedy.Add(err, remedy.MayWrite))
		}
		d.tellUnsafe(r.path, d.folder.sync(path.Dir(to), path.Dir(r.path)))
		r.outcome, r.err = done, nil
	case errors.Is(err, errChanged):
		r.look(d.settle)
	case errors.Is(err, fs.ErrNotExist):
		d.log.Warn("the file was removed before it could be sent", "path", r.path, "error", r.givenUp)
		r.outcome, r.err = done, nil
	default:
		r.block(fmt.Errorf("%w; and it cannot be set aside: %w", r.givenUp, d.cannotMove(r.path, failedDir, err)))
		return
	}
	if next, ok := d.next.(router.GiverUp); ok {
		next.GiveUp(d.info(r, r.failures), r.givenUp)
	}
}
