package journal

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"imbrouter/router/durable"
	"imbrouter/router/internal/jsonl"
)

// restore makes the current file end with a whole line, sets it aside when it is
// damaged, and returns the Unconfirmed records that nothing follows, oldest
// first.
func (j *Journal) restore() ([]Record, error) {
	unresolved := map[delivery]Record{}
	damaged := 0
	for r, err := range Read(context.Background(), j.files.current, Filter{}) {
		var line *LineError
		var file *FileError
		switch {
		case errors.As(err, &line):
			if line.Path == j.files.current && !errors.Is(err, jsonl.ErrCut) {
				damaged++
			}
		case errors.As(err, &file):
			j.options.Log.Warn("an old file of the journal cannot be read; the journal goes on without it",
				"path", file.Path, "error", file.Err)
		case err != nil:
			return nil, err
		case r.Outcome == Unconfirmed:
			unresolved[r.delivery()] = r
		default:
			delete(unresolved, r.delivery())
		}
	}
	if err := j.cutOff(); err != nil {
		return nil, err
	}
	if damaged > 0 {
		if err := j.salvage(damaged); err != nil {
			return nil, err
		}
	}
	return slices.SortedFunc(maps.Values(unresolved), func(a, b Record) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
	}), nil
}

// cutOff removes an unfinished line at the end of the current file.
func (j *Journal) cutOff() error {
	f, err := os.OpenFile(j.files.current, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := jsonl.NewReader(f, maxLine)
	for {
		switch _, err := lines.Next(); {
		case err == io.EOF:
			return nil
		case errors.Is(err, jsonl.ErrCut):
			j.options.Log.Info("the last line of the journal was not finished and is cut off", "path", j.files.current)
			return errors.Join(f.Truncate(lines.End()), f.Sync())
		case err != nil && !errors.Is(err, jsonl.ErrTooLong):
			return err
		}
	}
}

// salvage sets the current file aside and takes what can be read of it into a
// new one.
func (j *Journal) salvage(damaged int) error {
	aside, err := j.files.setAside()
	if err != nil {
		return err
	}
	j.options.Log.Warn("the journal is damaged; it is set aside, and goes on with what can be read of it",
		"path", j.files.current, "damaged_lines", damaged, "set_aside_as", aside)
	f, err := os.Open(aside)
	if err != nil {
		return err
	}
	defer f.Close()
	return durable.ReplacePath(j.files.current, perm, func(w io.Writer) error {
		var damaged *LineError
		for r, err := range jsonl.Values[Record](jsonl.NewReader(f, maxLine), aside) {
			if errors.As(err, &damaged) {
				continue
			}
			text, lineErr := appendLine(nil, r)
			if err := errors.Join(err, lineErr); err != nil {
				return err
			}
			if _, err := w.Write(text); err != nil {
				return err
			}
		}
		return nil
	})
}

// resolve writes what became of streams whose confirmation did not come before
// the program ended.
func (j *Journal) resolve(unresolved []Record) error {
	if len(unresolved) == 0 {
		return nil
	}
	var text []byte
	for _, r := range unresolved {
		r.Outcome, r.Time = PossiblySent, time.Now()
		r.Reason = "the last byte was sent, and no confirmation came before the program ended"
		var err error
		if text, err = appendLine(text, r); err != nil {
			return err
		}
	}
	if err := j.writeLocked(text); err != nil {
		return err
	}
	j.options.Log.Warn("streams were sent, and perhaps not delivered, when the program ended before; the journal names them",
		"count", len(unresolved), "outcome", string(PossiblySent))
	return j.file.Sync()
}
