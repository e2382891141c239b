package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"imbrouter/router/durable"
	"imbrouter/router/remedy"
	"imbrouter/router/share"
)

// The layout of a drop folder, in paths relative to it. What lies in these
// folders is never input.
const (
	ownDir    = ".imbrouter"            // the lock and the books; a sink on the same folder has its own here too
	lockFile  = ownDir + "/source.lock" // locked while a source watches the folder; holds its process id
	stateFile = ownDir + "/sent.jsonl"  // see sentLog
	stagedDir = ownDir + "/staged"      // files on their way out, under their relative path, see folder.take
	sentDir   = "sent"                  // files that were sent, under their relative path
	failedDir = "failed"                // files that cannot be sent, likewise, each with a note
	probeFile = ".imbrouter-write-test" // made and removed at the start
)

// lockPatience is how long it is waited for the lock of a folder. Another source
// that starts has it for a moment, to look who is here: see isWatched.
const lockPatience = 200 * time.Millisecond

var (
	// errNotRegular says that a path names no regular file: a symbolic link, a
	// folder, a device and the like.
	errNotRegular = errors.New("not a regular file")
	// errChanged says that a path, or what it names, is no longer what it was.
	errChanged = errors.New("the file changed meanwhile")
)

// folder is an opened and locked drop folder. Every file in it is reached
// through root, so that nothing outside is touched whatever becomes of the
// folders inside, and so that it stays the same folder when its path is given
// to another.
type folder struct {
	path string // absolute
	root *os.Root
	lock *flock.Flock
	sent *sentLog
	log  *slog.Logger

	// names is held for reading while a file gets a place in a folder that is
	// made for it, and for writing while folders are removed.
	names sync.RWMutex

	flush func(*os.File) error // (*os.File).Sync
	syncs share.Group          // of folders
}

// openFolder locks the folder at path and prepares what is needed in it; sent/
// only with useSent.
func openFolder(path string, useSent bool, log *slog.Logger) (*folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, remedy.Add(err, remedy.MayRead)
	}
	d := &folder{path: path, root: root, log: log, flush: (*os.File).Sync}
	if err := d.prepare(useSent); err != nil {
		d.close()
		return nil, remedy.Add(err, remedy.MayWrite)
	}
	return d, nil
}

func (d *folder) prepare(useSent bool) error {
	if err := d.makeFolder(ownDir); err != nil {
		return fmt.Errorf("prepare %q: %w", d.path, err)
	}
	if err := d.takeLock(); err != nil {
		return err
	}
	if err := d.checkNested(); err != nil {
		return err
	}
	writable := []string{".", stagedDir, failedDir}
	if useSent {
		writable = append(writable, sentDir)
	}
	for _, dir := range writable {
		if err := d.checkWritable(dir); err != nil {
			return err
		}
	}
	if err := d.restoreStaged(); err != nil {
		return err
	}
	var err error
	d.sent, err = openSentLog(d)
	return err
}

func (d *folder) close() {
	if d.sent != nil {
		d.sent.close()
	}
	if d.lock != nil {
		_ = d.lock.Close()
	}
	_ = d.root.Close()
}

// takeLock makes sure that no other source, of this process or another, works
// in the folder.
func (d *folder) takeLock() error {
	file := filepath.Join(d.path, filepath.FromSlash(lockFile))
	lock := flock.New(file, flock.SetPermissions(0o644))
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	ok, err := lock.TryLockContext(ctx, lockPatience/20)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("lock %q: %w", d.path, err)
	}
	if !ok {
		who := "another process"
		if pid, err := os.ReadFile(file); err == nil && len(pid) > 0 {
			who = "pid " + strings.TrimSpace(string(pid))
		}
		return fmt.Errorf("%q is locked by %s: another imbrouter watches it", d.path, who)
	}
	d.lock = lock
	// For people only; Windows refuses to write into a locked file.
	_ = os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
	return nil
}

// checkWritable makes a folder if need be, and a file in it for a moment.
func (d *folder) checkWritable(dir string) error {
	err := d.makeFolder(dir)
	if err == nil {
		probe := path.Join(dir, probeFile)
		var f *os.File
		if f, err = d.root.OpenFile(probe, os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			_ = f.Close()
			err = d.root.Remove(probe)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write to folder %q, where files are moved to or from: %w", filepath.Join(d.path, dir), err)
	}
	return nil
}

// open opens a regular file for reading, never another kind and never one
// that a symbolic link in its last part leads to.
func (d *folder) open(name string) (*os.File, version, error) {
	before, err := d.root.Lstat(name)
	if err != nil {
		return nil, version{}, err
	}
	if !before.Mode().IsRegular() {
		return nil, version{}, errNotRegular
	}
	f, err := d.root.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, version{}, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || inode(info) != inode(before)) {
		err = errChanged
	}
	if err != nil {
		_ = f.Close()
		return nil, version{}, err
	}
	return f, versionOf(info), nil
}

// openDir opens a folder. Should it have become something else meanwhile, that
// fails with the first use, and does not wait for a FIFO's writer.
func (d *folder) openDir(name string) (*os.File, error) { return d.root.OpenFile(name, openFlags, 0) }

// version returns the version of what a path names now.
func (d *folder) version(name string) (version, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return version{}, err
	}
	return versionOf(info), nil
}

// reserved tells whether a path is one of the folders of the layout. On a file
// system that does not tell cases apart, "Sent" is "sent".
func (d *folder) reserved(name string) bool {
	for _, own := range []string{sentDir, failedDir} {
		if name == own {
			return true
		}
		if strings.EqualFold(name, own) {
			a, errA := d.root.Lstat(name)
			b, errB := d.root.Lstat(own)
			return errA == nil && errB == nil && os.SameFile(a, b)
		}
	}
	return false
}

// isHere tells whether the configured path still leads to this folder.
func (d *folder) isHere() bool {
	now, err := os.Stat(d.path)
	if err != nil {
		return false
	}
	own, err := d.root.Stat(".")
	return err == nil && os.SameFile(now, own)
}

// flushesNothing is for Windows, where only who may write to a file can flush it, and
// nobody a folder; NTFS logs the changes of that.
const flushesNothing = runtime.GOOS == "windows"

// sync makes changes of folders survive a power cut. Those who want that of one
// folder at the same time share an fsync.
func (d *folder) sync(names ...string) error {
	if flushesNothing {
		return nil
	}
	for _, name := range names {
		err := d.syncs.Do(name, func() error {
			f, err := d.openDir(name)
			if err != nil {
				return err
			}
			defer f.Close()
			return d.syncFile(f)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// syncFile makes what an open file holds survive a power cut. Who wrote it need not
// have done so, and then an empty one could be in the place to which it is moved.
func (d *folder) syncFile(f *os.File) error {
	if flushesNothing {
		return nil
	}
	if err := d.flush(f); err != nil && !durable.CannotSync(err) {
		return err
	}
	return nil
}
