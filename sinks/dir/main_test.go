package dir

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"imbrouter/router"
	"imbrouter/router/filter"
)

func TestMain(m *testing.M) {
	if at := os.Getenv(crashVariable); at != "" {
		crashAt(at)
	}
	goleak.VerifyTestMain(m)
}

// testSink is a sink that is open, with the lines that it logs.
type testSink struct {
	*sink
	path string
	disk *faultyDisk // of the folder that is in use
	log  *syncBuffer
}

// build makes a sink that is not open. min_free is off unless change sets it.
func build(t testing.TB, path string, change func(*Config)) *testSink {
	t.Helper()
	c := NewConfig()
	c.Path, c.MinFree = path, 0
	if change != nil {
		change(c)
	}
	var err error
	if c.name, err = filter.CompileName(c.Filename); err != nil {
		t.Fatal(err)
	}
	s := &testSink{path: path, log: new(syncBuffer)}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	built, err := c.Build(router.Env{Name: "inbox", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.sink = built.(*sink)
	s.opened = func(f *folder) {
		s.disk = &faultyDisk{disk: f.disk}
		f.disk = s.disk
	}
	return s
}

// open returns an open sink on a new folder.
func open(t testing.TB, change func(*Config)) *testSink {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "received"), change)
}

func openAt(t testing.TB, path string, change func(*Config)) *testSink {
	t.Helper()
	s := build(t, path, change)
	if err := s.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.folder == nil {
			return // the test closed it
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func named(name string) router.StreamInfo {
	return router.StreamInfo{
		ID: router.NextID(), Source: "incoming", Federation: "demo", Event: "files", Name: name, Size: -1,
	}
}

// begin opens a stream of that name.
func (s *testSink) begin(t testing.TB, name string) router.StreamWriter {
	t.Helper()
	w, err := s.Stream(context.Background(), named(name))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// send sends a whole stream.
func (s *testSink) send(name, contents string) error {
	w, err := s.Stream(context.Background(), named(name))
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(contents)); err != nil {
		w.Abort(err)
		return err
	}
	return w.Commit(context.Background())
}

func (s *testSink) mustSend(t testing.TB, name, contents string) {
	t.Helper()
	if err := s.send(name, contents); err != nil {
		t.Fatalf("send %q: %v", name, err)
	}
}

// logged counts the lines of the log that hold text.
func (s *testSink) logged(text string) (lines int) {
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, text) {
			lines++
		}
	}
	return lines
}

// files returns what lies in the folder as a map from name to contents, but
// for the sink's own folder.
func (s *testSink) files(t testing.TB) map[string]string {
	t.Helper()
	all := tree(t, s.path)
	for name := range all {
		if strings.HasPrefix(name, ownDir+"/") {
			delete(all, name)
		}
	}
	return all
}

func (s *testSink) partials(t testing.TB) map[string]string {
	t.Helper()
	return tree(t, filepath.Join(s.path, partialDir))
}

func (s *testSink) incompletes(t testing.TB) map[string]string {
	t.Helper()
	return tree(t, filepath.Join(s.path, incompleteDir))
}

// tree returns all files below a folder, by their path relative to it.
func tree(t testing.TB, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		contents, err := os.ReadFile(path)
		name, _ := filepath.Rel(folder, path)
		files[filepath.ToSlash(name)] = string(contents)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// faultyDisk is a disk whose operations fail as told.
type faultyDisk struct {
	disk
	mu    sync.Mutex
	err   map[string]error // by the operation's name
	calls map[string]int
	// synced are the folders of SyncDir, in order.
	synced []string
	free   func() int64 // nil: what the disk says
	// before is called before each operation; nil: nothing is.
	before func(operation string)
}

func (d *faultyDisk) fail(operation string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = map[string]error{}
	}
	d.err[operation] = err
}

func (d *faultyDisk) called(operation string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[operation]
}

func (d *faultyDisk) call(operation string) error {
	if d.before != nil {
		d.before(operation)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls == nil {
		d.calls = map[string]int{}
	}
	d.calls[operation]++
	return d.err[operation]
}

func (d *faultyDisk) Create(name string) (file, error) {
	if err := d.call("create"); err != nil {
		return nil, err
	}
	f, err := d.disk.Create(name)
	return faultyFile{f, d}, err
}

func (d *faultyDisk) Publish(partial, name string) error {
	if err := d.call("publish"); err != nil {
		return err
	}
	return d.disk.Publish(partial, name)
}

func (d *faultyDisk) Rename(partial, name string) error {
	if err := d.call("rename"); err != nil {
		return err
	}
	return d.disk.Rename(partial, name)
}

func (d *faultyDisk) SyncDir(name string) error {
	if err := d.call("syncdir"); err != nil {
		return err
	}
	d.mu.Lock()
	d.synced = append(d.synced, name)
	d.mu.Unlock()
	return d.disk.SyncDir(name)
}

func (d *faultyDisk) Free() (int64, error) {
	if err := d.call("free"); err != nil {
		return 0, err
	}
	if d.free != nil {
		return d.free(), nil
	}
	return d.disk.Free()
}

type faultyFile struct {
	file
	disk *faultyDisk
}

func (f faultyFile) Write(p []byte) (int, error) {
	if err := f.disk.call("write"); err != nil {
		return 0, err
	}
	return f.file.Write(p)
}

func (f faultyFile) Sync() error {
	if err := f.disk.call("sync"); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f faultyFile) Close() error {
	if err := f.disk.call("close"); err != nil {
		_ = f.file.Close()
		return err
	}
	return f.file.Close()
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
