package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"imbrouter/router/remedy"
)

// noteSuffix ends the name of the note beside a file in failed/. One that is
// taken gets a number before its extension, as every name does.
const noteSuffix = ".reason.txt"

// notePattern matches the names that notes may have.
const notePattern = "*.reason*.txt"

// noteHead returns the first line of every note in this folder. No other file
// has it, also not a note that another source wrote and this one sends.
func (d *folder) noteHead() string {
	return fmt.Sprintf("This file could not be sent from the folder %q.\n", d.path)
}

// writeNote writes the note beside a file in failed/.
func (d *folder) writeNote(to string, r *result) error {
	f, err := d.createNew(path.Dir(to), lengthened(path.Base(to), noteSuffix))
	if err != nil {
		return err
	}
	absolute := func(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }
	_, err = fmt.Fprintf(f, `%s
File:     %q
Reason:   %s
Attempts: %d
Time:     %s

To try again, move
  %q
back to
  %q
`, d.noteHead(), r.path, r.givenUp, r.failures, time.Now().Format(time.RFC3339), absolute(to), absolute(r.path))
	return errors.Join(err, f.Close())
}

// isNote tells whether an input file is a note, which came back from failed/
// together with the file that it was about.
func (d *folder) isNote(name string, f *os.File) bool {
	if !matches([]string{notePattern}, name) {
		return false
	}
	head := make([]byte, len(d.noteHead()))
	_, err := f.ReadAt(head, 0)
	return err == nil && string(head) == d.noteHead()
}

// removeNote removes a note: it is out of date, and no data.
func (d *delivery) removeNote(f *os.File, r *result) {
	_ = f.Close() // Windows removes no open file
	_, err := d.folder.remove(r.path, r.version)
	switch {
	case err == nil:
		d.log.Info("removed the note on a failure that is tried again", "path", r.path)
		r.outcome = done
	case errors.Is(err, fs.ErrNotExist):
		r.outcome = done
	case errors.Is(err, errChanged):
		r.look(d.settle)
	default:
		r.block(fmt.Errorf("a note cannot be removed: %w", remedy.Add(err, remedy.MayWrite)))
	}
}
