package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
)

const (
	reasonSuffix = ".reason.txt"
	// keptCost is added to the size of each incomplete file, for its reason
	// and its place on disk, so that empty ones are bounded as well.
	keptCost = 8 << 10
)

// incomplete is the folder of what did not arrive whole: <name> as far as it
// came, and <name>.reason.txt. The oldest give way when there is too much.
type incomplete struct {
	folder *folder
	log    *slog.Logger

	mu      sync.Mutex
	maxAge  time.Duration
	maxSize int64
	kept    []keptFile // oldest first
	size    int64      // of kept, with keptCost each
}

type keptFile struct {
	name string // with incompleteDir
	at   time.Time
	size int64
}

// limit sets the limits for what comes from now on, and for the next load.
func (q *incomplete) limit(age time.Duration, size int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.maxAge, q.maxSize = age, size
}

// load reads what is in the folder, and removes what is too old or too much.
func (q *incomplete) load() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	entries, err := fs.ReadDir(q.folder.root.FS(), incompleteDir)
	if err != nil {
		return err
	}
	present := map[string]bool{}
	for _, entry := range entries {
		present[entry.Name()] = true
	}
	q.kept, q.size = nil, 0
	for _, entry := range entries {
		name := entry.Name()
		of, isReason := strings.CutSuffix(name, reasonSuffix)
		if isReason && present[of] && !present[name+reasonSuffix] {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			q.kept = append(q.kept, keptFile{path.Join(incompleteDir, name), info.ModTime(), info.Size() + keptCost})
			q.size += info.Size() + keptCost
		}
	}
	slices.SortFunc(q.kept, func(a, b keptFile) int { return a.at.Compare(b.at) })
	q.trim()
	return nil
}

// errNotKept says that a file was removed because no limit lets it be kept.
var errNotKept = errors.New("larger than incomplete_max_size, removed")

// keep moves a partial file here, with the reason beside it, and returns the
// name that it has now. errNotKept when it was removed instead.
func (q *incomplete) keep(partial, streamName, reason string) (string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	root := q.folder.root
	info, err := root.Lstat(partial)
	if err != nil {
		return "", err
	}
	if info.Size()+keptCost > q.maxSize {
		return "", errors.Join(errNotKept, root.Remove(partial))
	}
	name, err := q.folder.publishFree(partial, path.Join(incompleteDir, SafeName(streamName, true)), q.taken)
	if err != nil {
		return "", err
	}
	step(stepKept)
	q.kept = append(q.kept, keptFile{name, time.Now(), info.Size() + keptCost})
	q.size += info.Size() + keptCost
	q.trim()
	return name, errors.Join(q.folder.removePartial(partial), writeNew(root, name+reasonSuffix, reason))
}

// taken tells whether a name cannot be used for a file and its reason.
func (q *incomplete) taken(name string) bool {
	return q.folder.exists(name) || q.folder.exists(name+reasonSuffix)
}

// giveWay removes the oldest files to make so many bytes free, if that is
// enough.
func (q *incomplete) giveWay(bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if bytes > q.size {
		return
	}
	for keep := q.size - bytes; q.size > keep; {
		if !q.removeOldest("min_free") {
			return
		}
	}
}

// trim enforces the limits. q.mu is held.
func (q *incomplete) trim() {
	for len(q.kept) > 0 && time.Since(q.kept[0].at) > q.maxAge {
		if !q.removeOldest("incomplete_max_age") {
			return
		}
	}
	for q.size > q.maxSize {
		if !q.removeOldest("incomplete_max_size") {
			return
		}
	}
}

// removeOldest makes room under the limit of the given key, and tells whether
// it could. A file that cannot be removed is not counted until the next load.
// q.mu is held.
func (q *incomplete) removeOldest(limit string) bool {
	oldest := q.kept[0]
	q.kept = q.kept[1:]
	q.size -= oldest.size
	for _, name := range []string{oldest.name, oldest.name + reasonSuffix} {
		// Somebody may have looked after it.
		if err := q.folder.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			q.log.Warn("incomplete file cannot be removed", "path", q.folder.abs(name), "limit", limit, "error", err)
			return false
		}
	}
	q.log.Info("incomplete file removed", "path", q.folder.abs(oldest.name), "limit", limit)
	return true
}

func writeNew(root *os.Root, name, text string) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// setAside takes a partial file that will not become whole out of the way, as
// the key "incomplete" says. It returns the name under which it is kept, if it
// is.
func (f *folder) setAside(partial, streamName, reason, policy string) (string, error) {
	if policy == incompleteKeep {
		return f.incomplete.keep(partial, streamName, reason)
	}
	return "", f.root.Remove(partial)
}

// What may have become of a stream that has no file.
const (
	notWhole = "stream did not arrive whole"
	notTaken = "stream arrived whole, but could not be stored"
)

// reasonText begins what stands beside an incomplete file.
func reasonText(what string, cause error, name string) string {
	return fmt.Sprintf("This %s: %v\n\nname:     %s\n", what, cause, shown(name))
}

func (w *stream) reasonText(what string, cause error) string {
	size := humanize.Comma(w.size)
	if w.info.Size >= 0 {
		size += " of " + humanize.Comma(w.info.Size)
	}
	return reasonText(what, cause, w.name) + fmt.Sprintf(
		"stream:   %s\nevent:    %s\nsource:   %s\nbegun:    %s\nended:    %s\nreceived: %s bytes\n",
		shown(w.info.Name), shown(w.info.FullName()), w.info.Source,
		w.begun.Format(time.RFC3339), time.Now().Format(time.RFC3339), size)
}
