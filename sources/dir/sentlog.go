package dir

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"unicode/utf8"

	"imbrouter/router/durable"
)

// sentLog remembers, also over a restart, the files that were sent and still
// lie in the folder: all of them with after = "keep", else those that could
// not be moved away.
//
// It is a file of JSON lines that is appended to, and rewritten when most of
// its lines mean nothing any more. A line that cannot be read costs nothing
// but that its file is sent again. It is safe for concurrent use.
type sentLog struct {
	folder *folder
	log    *slog.Logger

	mu      sync.Mutex
	file    *os.File
	lines   int  // in file
	behind  bool // a line could not be written, or not all of it
	records map[string]*sentRecord
}

type sentRecord struct {
	version version
	seen    bool // since the last sweep
}

// maxDeadLines is how many lines of the file may mean nothing, beyond one for
// each that does, before it is rewritten.
const maxDeadLines = 1000

// maxLine is longer, in bytes, than a line with the longest path.
const maxLine = 64 << 10

// sentLine is one line of the file. A path that is no UTF-8, which JSON cannot
// hold as text, is in RawPath.
type sentLine struct {
	Path    string `json:"path,omitempty"`
	RawPath []byte `json:"raw_path,omitempty"`
	Size    int64  `json:"size"`
	MTime   int64  `json:"mtime_ns"`
	Inode   uint64 `json:"inode"`
	Forget  bool   `json:"forget,omitempty"` // what was said of this path before
}

func newSentLine(name string, v version, forget bool) sentLine {
	line := sentLine{Path: name, Size: v.size, MTime: v.mtime, Inode: v.inode, Forget: forget}
	if !utf8.ValidString(name) {
		line.Path, line.RawPath = "", []byte(name)
	}
	return line
}

// openSentLog reads the folder's file, or begins a new one. A damaged file is
// set aside; what can be read of it still counts.
func openSentLog(d *folder) (*sentLog, error) {
	l := &sentLog{folder: d, log: d.log, records: map[string]*sentRecord{}}
	damaged, err := l.load()
	if err == nil && damaged > 0 {
		var aside string
		if aside, err = d.place(stateFile, ownDir, "sent.damaged.jsonl"); err == nil {
			l.log.Warn("the list of sent files is damaged; files that it does not name any more are sent again",
				"path", stateFile, "damaged_lines", damaged, "set_aside_as", aside)
			err = l.rewrite()
		}
	}
	if err == nil && l.file == nil {
		err = l.reopen()
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("list of sent files %q: %w", filepath.Join(d.path, filepath.FromSlash(stateFile)), err)
	}
	return l, nil
}

// load reads the file and returns the number of lines that cannot be read.
func (l *sentLog) load() (damaged int, err error) {
	f, err := l.folder.root.Open(stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	lines.Split(scanWholeLines)
	for lines.Scan() {
		l.lines++
		if !l.loadLine(lines.Bytes()) {
			damaged++
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return damaged + 1, nil
	}
	return damaged, lines.Err()
}

// scanWholeLines is bufio.ScanLines that leaves the newline on, so that a line
// that was cut off before it shows.
func scanWholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func (l *sentLog) loadLine(text []byte) (ok bool) {
	var line sentLine
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&line) != nil || string(text[decoder.InputOffset():]) != "\n" {
		return false
	}
	name := line.Path + string(line.RawPath)
	switch {
	case name == "":
		return false
	case line.Forget:
		delete(l.records, name)
	default:
		l.records[name] = &sentRecord{version: version{line.Size, line.MTime, line.Inode}, seen: true}
	}
	return true
}

// has tells whether that version of a file was sent.
func (l *sentLog) has(name string, v version) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.records[name]
	if r == nil || r.version != v {
		return false
	}
	r.seen = true
	return true
}

// add notes that a version of a file was sent. After an error it is known
// until the program ends, and written by the next sweep that can.
func (l *sentLog) add(name string, v version) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records[name] = &sentRecord{version: v, seen: true}
	return l.append(newSentLine(name, v, false))
}

// forget drops what is known of a path, if anything is.
func (l *sentLog) forget(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.records[name] == nil {
		return nil
	}
	delete(l.records, name)
	return l.append(newSentLine(name, version{}, true))
}

// sweep drops what was not asked for by has since the last sweep: files that
// a scan of the whole folder did not find. The file keeps their lines, which
// mean nothing without them, until it is rewritten. That is done now if it is
// behind, because the disk was full, say.
func (l *sentLog) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.records, func(_ string, r *sentRecord) bool { return !r.seen })
	for _, r := range l.records {
		r.seen = false
	}
	if l.behind && l.rewrite() == nil {
		l.log.Info("the list of sent files is written again", "path", stateFile, "files", len(l.records))
	}
}

func (l *sentLog) append(line sentLine) (err error) {
	defer func() { l.behind = l.behind || err != nil }()
	if l.behind || l.lines >= 2*len(l.records)+maxDeadLines {
		return l.rewrite() // the records have it already
	}
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := l.file.Write(append(text, '\n')); err != nil {
		return err
	}
	l.lines++
	return l.file.Sync()
}

// rewrite replaces the file by one that holds the records and nothing else.
func (l *sentLog) rewrite() error {
	l.close() // Windows replaces no open file
	err := durable.Replace(l.folder.root, stateFile, 0o644, func(w io.Writer) error {
		out := json.NewEncoder(w)
		for _, name := range slices.Sorted(maps.Keys(l.records)) {
			if err := out.Encode(newSentLine(name, l.records[name].version, false)); err != nil {
				return err
			}
		}
		return nil
	})
	if err = errors.Join(err, l.reopen()); err == nil {
		l.lines = len(l.records)
	}
	l.behind = err != nil
	return err
}

func (l *sentLog) reopen() (err error) {
	l.file, err = l.folder.root.OpenFile(stateFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return err
}

func (l *sentLog) close() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}
