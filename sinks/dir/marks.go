package dir

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"slices"
	"sync"

	"imbrouter/router/durable"
	"imbrouter/router/retention"
)

// maxMarks is how many files marks know. Of more, some stay for ever.
const maxMarks = 2_000_000

// marks remember which files the sink has put into its folder, while there is
// a limit for those. Only a file with its mark may be removed: what others put
// there, and what somebody has moved or changed since, is not for the sink to
// judge.
//
// They are a file that is appended to, and rewritten when most of it means
// nothing any more. It is not fsynced: a mark that is lost makes a file stay.
type marks struct {
	root *os.Root
	log  *slog.Logger

	trimming sync.Mutex // held by trim: two sinks may share the folder for a while

	mu     sync.Mutex
	limits retention.Limits
	file   *os.File // nil while there was none to add
}

// mark stands for one content of a file under one name.
type mark [markSize]byte

const markSize = 16

func markOf(name string, info fs.FileInfo) mark {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s", info.Size(), info.ModTime().UnixNano(), name))
	return mark(sum[:markSize])
}

func (m mark) compare(other mark) int { return bytes.Compare(m[:], other[:]) }

// limit sets the limits for the next trim.
func (m *marks) limit(limits retention.Limits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limits = limits
}

// add marks a file that has landed. info was taken before, when it could be no
// other.
func (m *marks) add(name string, info fs.FileInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.limits.Any() {
		return
	}
	added := markOf(name, info)
	err := m.open()
	if err == nil {
		_, err = m.file.Write(added[:])
	}
	if err != nil {
		_ = m.closeFile() // open cuts off what was written of it
		m.log.Warn("a received file is not noted: it will not be removed by its age or size", "path", name, "error", err)
	}
}

// open opens the file to append to. m.mu is held.
func (m *marks) open() error {
	if m.file != nil {
		return nil
	}
	file, err := m.root.OpenFile(marksFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		err = file.Truncate(info.Size() / markSize * markSize)
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	m.file = file
	return nil
}

// load returns the marks in order, and how many bytes of the file they are.
func (m *marks) load() (known []mark, size int64, err error) {
	file, err := m.root.Open(marksFile)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	count := info.Size() / markSize
	size = count * markSize
	known = make([]mark, min(count, maxMarks))
	latest := bufio.NewReader(io.NewSectionReader(file, size-int64(len(known))*markSize, size))
	for i := range known {
		if _, err := io.ReadFull(latest, known[i][:]); err != nil {
			return nil, 0, err
		}
	}
	slices.SortFunc(known, mark.compare)
	return slices.Compact(known), size, nil
}

// trim removes received files that are above the limits, see package retention.
func (m *marks) trim(ctx context.Context, f *folder) (retention.Removed, error) {
	m.trimming.Lock()
	defer m.trimming.Unlock()
	m.mu.Lock()
	limits := m.limits
	m.mu.Unlock()
	if !limits.Any() {
		return retention.Removed{}, nil
	}
	known, size, err := m.load()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // nothing was received
		}
		return retention.Removed{}, err
	}
	found := make([]bool, len(known))
	received := retention.Folder{
		Root: m.root, Dir: ".", Limits: limits, Here: f.isCurrent, Names: &f.names,
		Ours: func(name string, info fs.FileInfo) bool {
			i, ok := slices.BinarySearchFunc(known, markOf(name, info), mark.compare)
			if ok {
				found[i] = true
			}
			return ok
		},
	}
	removed, err := received.Trim(ctx)
	if err != nil {
		return removed, err
	}
	var present []mark
	for i, ok := range found {
		if ok {
			present = append(present, known[i])
		}
	}
	if int64(len(present))*markSize > size/2 {
		return removed, nil
	}
	return removed, m.rewrite(present, size)
}

// rewrite replaces what the file had when it was size bytes long.
func (m *marks) rewrite(present []mark, size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.closeFile() // Windows replaces no open file
	old, err := m.root.Open(marksFile)
	if err != nil {
		return err
	}
	defer old.Close()
	return durable.Replace(m.root, marksFile, 0o644, func(w io.Writer) error {
		for _, kept := range present {
			if _, err := w.Write(kept[:]); err != nil {
				return err
			}
		}
		if _, err := io.Copy(w, io.NewSectionReader(old, size, math.MaxInt64-size)); err != nil {
			return err
		}
		return old.Close() // as m.file above
	})
}

func (m *marks) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closeFile()
}

// closeFile closes the file until there is something to add. m.mu is held.
func (m *marks) closeFile() error {
	if m.file == nil {
		return nil
	}
	err := m.file.Close()
	m.file = nil
	return err
}
