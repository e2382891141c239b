package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"imbrouter/router/durable"
)

// maxCorrupt is how many damaged files are kept.
const maxCorrupt = 3

// files are the files of one journal. Beside the current one, router.journal.jsonl,
// lie router.journal.1.jsonl and so on, of which the highest number is the newest.
type files struct{ current string }

const extension = ".jsonl"

// beside returns a path like that of the current file with something before
// the extension.
func (f files) beside(part string) string {
	return strings.TrimSuffix(f.current, extension) + "." + part + extension
}

// part is the reverse of beside.
func (f files) part(path string) (part string, ok bool) {
	part, ok = strings.CutPrefix(path, strings.TrimSuffix(f.current, extension)+".")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(part, extension)
}

// check refuses what is no file in the place of the current one. A device or a
// pipe has no end to read to, and opening a pipe waits for its other end.
func (f files) check() error {
	info, err := os.Stat(f.current)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is no regular file; move it away", f.current)
	}
	return err
}

// numbers returns those of the files that were rotated, oldest first.
func (f files) numbers() (numbers []int, err error) {
	err = f.eachPart(func(part string) {
		if n, err := strconv.Atoi(part); err == nil && n > 0 && strconv.Itoa(n) == part {
			numbers = append(numbers, n)
		}
	})
	slices.Sort(numbers)
	return numbers, err
}

// eachPart calls do for every file beside the current one.
func (f files) eachPart(do func(part string)) error {
	dir := filepath.Dir(f.current)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if part, ok := f.part(filepath.Join(dir, entry.Name())); ok {
			do(part)
		}
	}
	return nil
}

// isCurrent returns errRemoved when an open file is no longer the current one.
func (f files) isCurrent(file *os.File) error {
	opened, err := file.Stat()
	if err != nil {
		return err
	}
	now, err := os.Stat(f.current)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(opened, now) {
		return errRemoved
	}
	return nil
}

func (f files) rotated(number int) string { return f.beside(strconv.Itoa(number)) }

// rotate renames the current file.
func (f files) rotate() error {
	numbers, err := f.numbers()
	if err != nil {
		return err
	}
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	return os.Rename(f.current, f.rotated(next))
}

// removeOldest removes the oldest files where there are more than keep with the
// current one to come, and returns their paths. It goes on after one that cannot
// be removed.
func (f files) removeOldest(keep int) (gone []string, err error) {
	numbers, err := f.numbers()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, n := range numbers[:max(0, len(numbers)-keep+1)] {
		if err := os.Remove(f.rotated(n)); err != nil {
			errs = append(errs, err)
			continue
		}
		gone = append(gone, f.rotated(n))
	}
	return gone, errors.Join(errs...)
}

// setAside moves the damaged current file away, and returns its new path.
func (f files) setAside() (string, error) {
	const prefix = "corrupt-"
	aside := f.beside(prefix + time.Now().UTC().Format("20060102T150405.000"))
	if err := os.Rename(f.current, aside); err != nil {
		return "", err
	}
	var all []string
	if err := f.eachPart(func(part string) {
		if strings.HasPrefix(part, prefix) {
			all = append(all, part)
		}
	}); err != nil {
		return "", err
	}
	slices.Sort(all) // by time
	for _, part := range all[:max(0, len(all)-maxCorrupt)] {
		if err := os.Remove(f.beside(part)); err != nil {
			return "", err
		}
	}
	return aside, durable.SyncDirPath(filepath.Dir(f.current))
}

// lock locks the journal against other processes, in a file of its own, because
// the current one is renamed.
func (f files) lock() (*flock.Flock, error) {
	lock := flock.New(f.current+".lock", flock.SetPermissions(perm))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("%w by another imbrouter with the same state_dir and name of configuration: stop that, or give one of them another state_dir", ErrLocked)
	}
	return lock, nil
}
