package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gofrs/flock"

	"imbrouter/router/durable"
	"imbrouter/router/share"
)

// What the sink keeps for itself inside of its folder. SafeName leads no
// stream there. A dir source may watch the same folder: what else there is in
// ownDir is that one's, and the sink touches only what is named here.
const (
	ownDir        = ".imbrouter"
	partialDir    = ownDir + "/partial"
	incompleteDir = ownDir + "/incomplete"
	lockFile      = ownDir + "/sink.lock" // locked while a sink has the folder; holds its process id
	marksFile     = ownDir + "/received"  // see marks
)

// folder is the folder on disk, locked.
type folder struct {
	root       *os.Root
	disk       disk
	lock       *flock.Flock
	incomplete *incomplete
	marks      marks
	space      space
	turns      turns
	names      sync.RWMutex    // held for reading while a file gets its name, for writing while old ones are removed
	mkdir      sync.Mutex      // held while the parents of a file are made durable
	durable    map[string]bool // folders whose names this run has fsynced; guarded by mkdir
	syncs      share.Group     // of folders
	partials   atomic.Uint64   // numbers partial files
	users      int             // sinks and streams; guarded by shared.Mutex

	mu   sync.Mutex
	busy map[string]bool // partial files of open streams
}

// openFolder makes the folder where it is missing, and locks it.
func openFolder(c *Config, log *slog.Logger) (_ *folder, err error) {
	if err := makeDurable(c.Path); err != nil {
		return nil, fmt.Errorf("make the folder %q: %w", c.Path, err)
	}
	root, err := os.OpenRoot(c.Path)
	if err != nil {
		return nil, fmt.Errorf("open the folder %q: %w", c.Path, err)
	}
	f := &folder{
		root: root, disk: rootDisk{root}, durable: map[string]bool{}, busy: map[string]bool{},
		lock: flock.New(filepath.Join(c.Path, filepath.FromSlash(lockFile))),
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if err := f.makeOwn(); err != nil {
		return nil, err
	}
	if err := f.takeLock(); err != nil {
		return nil, err
	}
	f.incomplete = &incomplete{folder: f, log: log}
	f.marks.root, f.marks.log = root, log
	f.space.folder = f
	f.limit(c)
	return f, f.incomplete.load()
}

// makeDurable makes a folder and those above it, so that they outlive a power
// cut as the files in them do.
func makeDurable(folder string) error {
	err := os.Mkdir(folder, 0o755)
	switch {
	case errors.Is(err, fs.ErrExist):
		info, err := os.Stat(folder)
		if err == nil && !info.IsDir() {
			err = errors.New("there is a file of that name")
		}
		return err
	case errors.Is(err, fs.ErrNotExist):
		if err := makeDurable(filepath.Dir(folder)); err != nil {
			return err
		}
		return makeDurable(folder)
	case err != nil:
		return err
	}
	return durable.SyncDirPath(filepath.Dir(folder))
}

// makeOwn makes the folders that the sink keeps for itself.
func (f *folder) makeOwn() error {
	for _, name := range []string{ownDir, partialDir, incompleteDir} {
		if err := f.root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("in the folder %q: %w", f.root.Name(), err)
		}
		info, err := f.root.Lstat(name)
		if err != nil {
			return fmt.Errorf("in the folder %q: %w", f.root.Name(), err)
		}
		if !info.IsDir() {
			return fmt.Errorf("%q is in the way of a folder that is needed there: remove it", f.abs(name))
		}
	}
	return nil
}

func (f *folder) takeLock() error {
	// Made through the root, so that no symbolic link leads the lock astray.
	file, err := f.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("lock the folder %q: %w", f.root.Name(), err)
	}
	defer file.Close()
	locked, err := f.lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock the folder %q: %w", f.root.Name(), err)
	}
	if !locked {
		holder := "another process"
		if pid, err := f.root.ReadFile(lockFile); err == nil && len(pid) > 0 {
			holder = fmt.Sprintf("pid %.20q", strings.TrimSpace(string(pid)))
			if n, err := strconv.Atoi(strings.TrimSpace(string(pid))); err == nil {
				holder = fmt.Sprintf("pid %d", n)
			}
		}
		return fmt.Errorf("the folder %q is locked by %s: stop that, or use another folder", f.root.Name(), holder)
	}
	// The pid only helps to find the holder: a full disk, or Windows, which
	// lets nobody write to a locked file, leaves it out.
	if file.Truncate(0) == nil {
		_, _ = fmt.Fprintln(file, os.Getpid())
	}
	return nil
}

// isCurrent tells whether the folder is still what its path leads to, and has
// not been removed or moved away.
func (f *folder) isCurrent() bool {
	held, err := f.lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(f.lock.Path())
	return err == nil && os.SameFile(held, there)
}

func (f *folder) close() error {
	return errors.Join(f.marks.close(), f.lock.Close(), f.root.Close())
}

// abs returns the path of a name in the folder, for people.
func (f *folder) abs(name string) string {
	return filepath.Join(f.root.Name(), filepath.FromSlash(name))
}

// create makes a partial file for a stream that is to have the given name.
func (f *folder) create(streamName string) (file, string, error) {
	suffix := "-" + SafeName(streamName, true)
	for {
		partial := partialDir + "/" + strconv.FormatUint(f.partials.Add(1), 10) + suffix
		f.keepFromSweep(partial)
		file, err := f.disk.Create(partial)
		if errors.Is(err, fs.ErrNotExist) { // somebody tidied up
			if err := f.makeOwn(); err != nil {
				return nil, "", err
			}
			file, err = f.disk.Create(partial)
		}
		if err == nil {
			return file, partial, nil
		}
		f.forget(partial)
		// A number can be taken by what an earlier run left.
		if !errors.Is(err, fs.ErrExist) {
			return nil, "", err
		}
	}
}

// keepFromSweep notes a partial file that is about to be made, and forget that
// it is done with.
func (f *folder) keepFromSweep(partial string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy[partial] = true
}

func (f *folder) forget(partial string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.busy, partial)
}

// inUse tells whether a partial file is that of an open stream.
func (f *folder) inUse(partial string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.busy[partial]
}

// partialFiles lists what is in the folder for partial files.
func (f *folder) partialFiles() ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), partialDir)
	var names []string
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			names = append(names, path.Join(partialDir, entry.Name()))
		}
	}
	return names, err
}

// isPublished tells whether a partial file has its final name as well.
func (f *folder) isPublished(partial string) bool { return hasTwoNames(f.root, partial) }

// streamName returns the name that a partial file was created for.
func streamName(partial string) string {
	_, safe, _ := strings.Cut(path.Base(partial), "-")
	name, err := OriginalName(safe)
	if err != nil {
		return safe // it was cut
	}
	return name
}
