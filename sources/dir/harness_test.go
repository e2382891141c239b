package dir

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"imbrouter/router"
	"imbrouter/router/config"
)

func TestMain(m *testing.M) {
	if crashStep := os.Getenv(crashEnv); crashStep != "" {
		crashChild(crashStep) // does not return
	}
	goleak.VerifyTestMain(m)
}

// fakeSink takes streams, and does and fails what a test tells it to.
type fakeSink struct {
	onHeader func(router.StreamInfo) error // in Stream
	onBody   func(router.StreamInfo) error // in each Write
	onCommit func(router.StreamInfo) error // in Commit
	reads    bool                          // its writers read by themselves
	hangs    bool                          // Commit waits for the end of its context

	mu        sync.Mutex
	tries     []router.StreamInfo // every call of Stream
	committed []stream
	aborted   []stream
	givenUp   []stream
	open, max int // streams open at once
}

type stream struct {
	info  router.StreamInfo
	body  string
	cause error // of Abort
}

func (s *fakeSink) Signal(context.Context, router.Signal) error { panic("a file is no signal") }

func (s *fakeSink) Stream(_ context.Context, info router.StreamInfo) (router.StreamWriter, error) {
	s.mu.Lock()
	s.tries = append(s.tries, info)
	s.mu.Unlock()
	if s.onHeader != nil {
		if err := s.onHeader(info); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	s.open++
	s.max = max(s.max, s.open)
	s.mu.Unlock()
	w := &fakeWriter{sink: s, info: info}
	if s.reads {
		return readingWriter{w}, nil
	}
	return w, nil
}

// GiveUp implements router.GiverUp.
func (s *fakeSink) GiveUp(info router.StreamInfo, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.givenUp = append(s.givenUp, stream{info: info, cause: cause})
}

// readingWriter reads a body by itself.
type readingWriter struct{ *fakeWriter }

func (w readingWriter) Write([]byte) (int, error)           { panic("Write instead of ReadFrom") }
func (w readingWriter) ReadFrom(r io.Reader) (int64, error) { return w.body.ReadFrom(r) }

type fakeWriter struct {
	sink *fakeSink
	info router.StreamInfo
	body bytes.Buffer
}

func (w *fakeWriter) Write(p []byte) (int, error) {
	w.body.Write(p)
	if w.sink.onBody != nil {
		if err := w.sink.onBody(w.info); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (w *fakeWriter) end(to *[]stream, cause error) {
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	w.sink.open--
	*to = append(*to, stream{w.info, w.body.String(), cause})
}

func (w *fakeWriter) Commit(ctx context.Context) error {
	if w.sink.hangs {
		<-ctx.Done()
		w.end(&w.sink.aborted, context.Cause(ctx))
		return context.Cause(ctx)
	}
	if w.sink.onCommit != nil {
		if err := w.sink.onCommit(w.info); err != nil {
			w.end(&w.sink.aborted, err)
			return err
		}
	}
	w.end(&w.sink.committed, nil)
	return nil
}

func (w *fakeWriter) Abort(cause error) { w.end(&w.sink.aborted, cause) }

// got returns what was committed as "name=body", in the order of commits.
func (s *fakeSink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, c := range s.committed {
		list = append(list, c.info.Name+"="+c.body)
	}
	return list
}

func (s *fakeSink) tried() []router.StreamInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tries)
}

// logLines keeps log lines as text.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns how many lines hold all of the texts.
func (l *logLines) count(texts ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range strings.Lines(l.text.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			n++
		}
	}
	return n
}

// drop is a drop folder under test, and the source that watches it.
type drop struct {
	t      *testing.T
	path   string
	config *Config
	sink   *fakeSink
	log    *logLines
	source *Source
	stop   func() // ends the source and waits for it
}

// newDrop makes a folder whose source polls and is not started yet.
func newDrop(t *testing.T) *drop {
	c := NewConfig()
	c.Path = filepath.Join(t.TempDir(), "drop")
	c.Watch = watchPoll
	c.PollInterval = config.Duration(100 * time.Millisecond)
	d := &drop{t: t, path: c.Path, config: c, sink: &fakeSink{}}
	d.must(os.Mkdir(d.path, 0o755))
	d.build()
	return d
}

// build makes another source for the folder, as after a restart.
func (d *drop) build() {
	d.log = &logLines{}
	log := slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := d.config.Build(router.Env{Name: "outbox", Log: log})
	d.must(err)
	d.source = s.(*Source)
}

func (d *drop) start() {
	d.t.Helper()
	d.must(d.source.Open(d.t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.source.Run(ctx, d.sink) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			d.t.Errorf("Run returned %v", err)
		}
		d.must(d.source.Close())
	})
	d.t.Cleanup(d.stop)
}

func (d *drop) restart() {
	d.stop()
	d.build()
	d.start()
}

func (d *drop) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *drop) abs(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

// write makes a file whole, with its folders.
func (d *drop) write(name, body string) {
	d.t.Helper()
	d.must(os.MkdirAll(filepath.Dir(d.abs(name)), 0o755))
	d.must(os.WriteFile(d.abs(name), []byte(body), 0o644))
}

// replace puts a new file in the place of another, as careful writers do.
func (d *drop) replace(name, body string) {
	d.t.Helper()
	d.write(".new", body)
	d.must(os.Rename(d.abs(".new"), d.abs(name)))
}

// create opens a file for writing and leaves it open.
func (d *drop) create(name string) *os.File {
	d.t.Helper()
	f, err := os.Create(d.abs(name))
	d.must(err)
	return f
}

// appendTo writes to the end of an existing file.
func (d *drop) appendTo(name, text string) {
	d.t.Helper()
	f, err := os.OpenFile(d.abs(name), os.O_WRONLY|os.O_APPEND, 0)
	d.must(err)
	_, err = f.WriteString(text)
	d.must(err)
	d.must(f.Close())
}

// tree returns the files in the folder, as "name=body" in order, without the
// source's own books. What moves meanwhile may be missing.
func (d *drop) tree() []string {
	d.t.Helper()
	var list []string
	d.must(filepath.WalkDir(d.path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		rel, _ := filepath.Rel(d.path, name)
		if rel == filepath.FromSlash(lockFile) || rel == filepath.FromSlash(stateFile) || !entry.Type().IsRegular() {
			return nil
		}
		body, err := os.ReadFile(name)
		if err == nil {
			list = append(list, filepath.ToSlash(rel)+"="+string(body))
		}
		return ignoreGone(err)
	}))
	return list
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *drop) expectSent(want ...string) {
	d.t.Helper()
	got := d.sink.got()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		d.t.Errorf("sent %q, want %q", got, want)
	}
}

func (d *drop) expectTree(want ...string) {
	d.t.Helper()
	got := d.tree()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		d.t.Errorf("the folder holds %q, want %q", got, want)
	}
}

// expectGivenUp checks that the stream with an id, and no other, was given up once.
func (d *drop) expectGivenUp(id uint64, attempts int, cause string) {
	d.t.Helper()
	d.sink.mu.Lock()
	defer d.sink.mu.Unlock()
	if n := len(d.sink.givenUp); n != 1 {
		d.t.Fatalf("given up %d times", n)
	}
	if g := d.sink.givenUp[0]; g.info.ID != id || g.info.Attempt != attempts || g.cause.Error() != cause {
		d.t.Errorf("given up: %+v, %v", g.info, g.cause)
	}
}

func (d *drop) expectLog(n int, texts ...string) {
	d.t.Helper()
	if got := d.log.count(texts...); got != n {
		d.t.Errorf("%d log lines with %q, want %d; the log:\n%s", got, texts, n, d.log.text.String())
	}
}

// wait lets time pass in a synctest bubble, and then everything come to rest.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// eventually waits for a condition in tests that run in real time.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// unknown is what a system without leases knows of a file's writers.
func unknown(*os.File) writers { return unknownWriters }
