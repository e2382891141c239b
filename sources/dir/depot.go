package dir

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imbrouter/router/config"
	sinkdir "imbrouter/sinks/dir"
)

const (
	// putDir holds files that Put has not got whole yet. It is below ownDir, so
	// that it is in the same file system and never input.
	putDir = ownDir + "/put"
	// putMaxAge is how old a file there is that a crash has left.
	putMaxAge = 24 * time.Hour
	// maxFailed is how many entries of failed/ Failed looks at.
	maxFailed = 20_000
	// maxNote is how much of a note is read, in bytes.
	maxNote = 8 << 10
)

// reach opens the folder beside the source that watches it, or does not.
func (c *Config) reach() (*folder, error) {
	root, err := os.OpenRoot(filepath.Clean(c.Path))
	if err != nil {
		return nil, err
	}
	return &folder{path: filepath.Clean(c.Path), root: root, log: slog.New(slog.DiscardHandler), flush: (*os.File).Sync}, nil
}

// Failed implements config.Depot.
func (c *Config) Failed(most int) (files []config.FailedFile, inAll int, err error) {
	d, err := c.reach()
	if err != nil {
		return nil, 0, err
	}
	defer d.close()
	seen := 0
	err = fs.WalkDir(d.root.FS(), failedDir, func(name string, entry fs.DirEntry, err error) error {
		if seen++; seen > maxFailed {
			return fs.SkipAll
		}
		if errors.Is(err, fs.ErrNotExist) { // meanwhile, or all of it
			return nil
		}
		if err != nil || !entry.Type().IsRegular() || d.isAbout(name) {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return nil // it was moved back meanwhile
		}
		file := config.FailedFile{Name: strings.TrimPrefix(name, failedDir+"/"), Size: info.Size(), At: info.ModTime()}
		if note, err := d.root.Lstat(name + noteSuffix); err == nil {
			file.At = note.ModTime()
		}
		files = append(files, file)
		return nil
	})
	inAll = len(files)
	slices.SortFunc(files, func(a, b config.FailedFile) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(a.Name, b.Name))
	})
	files = files[:min(len(files), most)]
	for i := range files {
		files[i].Reason = d.reason(files[i].Name)
	}
	return files, inAll, err
}

// isAbout tells whether a file in failed/ is the note about another.
func (d *folder) isAbout(name string) bool {
	file, ok := strings.CutSuffix(name, noteSuffix)
	if !ok {
		return false
	}
	_, err := d.root.Lstat(file)
	return err == nil
}

// reason returns what the note about a file in failed/ tells; "" without a note.
func (d *folder) reason(name string) string {
	f, _, err := d.open(path.Join(failedDir, name) + noteSuffix)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxNote))
	_, rest, _ := strings.Cut(string(text), "\nReason:")
	reason, _, _ := strings.Cut(rest, "\nAttempts:")
	return strings.TrimSpace(reason)
}

// Again implements config.Depot.
func (c *Config) Again(name string) error {
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("%q is no path in the folder", name)
	}
	d, err := c.reach()
	if err != nil {
		return err
	}
	defer d.close()
	failed := path.Join(failedDir, name)
	if info, err := d.root.Lstat(failed); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%q is not among the files that failed any more", name)
	}
	if _, err := d.place(failed, ".", name); err != nil {
		return fmt.Errorf("move %q back into the folder: %w", name, err)
	}
	_ = d.root.Remove(failed + noteSuffix)
	for dir := path.Dir(failed); dir != failedDir; dir = path.Dir(dir) {
		if d.root.Remove(dir) != nil {
			break // as a rule because it is not empty
		}
	}
	return nil
}

// Put implements config.Depot.
func (c *Config) Put(name string, from io.Reader) (as string, err error) {
	name = sinkdir.SafeName(name, false)
	if err := c.Select(name); err != nil {
		return "", fmt.Errorf("the folder does not take %q: %w", name, err)
	}
	d, err := c.reach()
	if err != nil {
		return "", err
	}
	defer d.close()
	if err := d.makeFolder(putDir); err != nil {
		return "", err
	}
	d.removeLeftPuts()
	part := path.Join(putDir, rand.Text())
	if err := d.fill(part, from); err != nil {
		_ = d.root.Remove(part)
		return "", fmt.Errorf("take %q in: %w", name, err)
	}
	as, err = d.place(part, ".", name)
	if err != nil {
		_ = d.root.Remove(part)
		return "", fmt.Errorf("put %q into the folder: %w", name, err)
	}
	return as, d.sync(path.Dir(as))
}

// fill makes a file of all that can be read.
func (d *folder) fill(name string, from io.Reader) error {
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = d.flush(f)
	}
	return errors.Join(err, f.Close())
}

// removeLeftPuts removes what a crash has left of former calls of Put.
func (d *folder) removeLeftPuts() {
	entries, _ := fs.ReadDir(d.root.FS(), putDir)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > putMaxAge {
			_ = d.root.Remove(path.Join(putDir, entry.Name()))
		}
	}
}
