package dir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"imbrouter/router"
)

var errCutOff = errors.New("the connection was lost")

func TestFileLands(t *testing.T) {
	s := open(t, nil)
	w := s.begin(t, "reports/2026/report.csv")
	if _, err := w.Write([]byte("a;b\n")); err != nil {
		t.Fatal(err)
	}
	if got := s.files(t); len(got) > 0 {
		t.Errorf("before Commit there is %v", got)
	}
	if err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"reports/2026/report.csv": "a;b\n"}
	if diff := cmp.Diff(want, s.files(t)); diff != "" {
		t.Error(diff)
	}
	if got := s.partials(t); len(got) > 0 {
		t.Errorf("after Commit there is still %v", got)
	}
	if runtime.GOOS != "windows" {
		info, err := os.Stat(filepath.Join(s.path, "reports/2026/report.csv"))
		if err != nil || info.Mode().Perm()&0o133 != 0 {
			t.Errorf("the file's mode is %v, %v", info.Mode(), err)
		}
	}
	if log := s.log.String(); strings.Count(log, "\n") != 1 ||
		!strings.Contains(log, `level=INFO msg="file received"`) || !strings.Contains(log, "size=4 event=demo.files") {
		t.Errorf("logged %s", log)
	}
}

func TestBodiesOfAnySize(t *testing.T) {
	s := open(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(
			rapid.IntRange(0, 300),
			rapid.SampledFrom([]int{directSize - 1, directSize, gatherSize - 1, gatherSize, gatherSize + 1, 256 << 10}),
		), 0, 20).Draw(t, "sizes")
		name := fmt.Sprint(router.NextID())
		w, err := s.Stream(context.Background(), named(name))
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		piece := make([]byte, 256<<10)
		for i, size := range sizes {
			for j := range size {
				piece[j] = byte(i + j*j)
			}
			want = append(want, piece[:size]...)
			if n, err := w.Write(piece[:size]); n != size || err != nil {
				t.Fatalf("Write of %d bytes = %d, %v", size, n, err)
			}
			clear(piece) // the caller's again
		}
		if err := w.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(s.path, name))
		if err != nil || string(got) != string(want) {
			t.Fatalf("%d bytes landed, want %d; %v", len(got), len(want), err)
		}
	})
}

func TestWritesAreGatheredAndFree(t *testing.T) {
	const total = 100 * directSize
	for size, most := range map[int]int{100: total/(gatherSize-100) + 1, directSize: 100} {
		s := open(t, nil)
		w, piece := s.begin(t, "a"), make([]byte, size)
		allocations := testing.AllocsPerRun(total/size-1, func() {
			if _, err := w.Write(piece); err != nil {
				t.Fatal(err)
			}
		})
		if err := w.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := s.disk.called("write"); got > most {
			t.Errorf("%d bytes in pieces of %d were written in %d calls, want at most %d", total, size, got, most)
		}
		if allocations > 0 {
			t.Errorf("each Write of %d bytes makes %v allocations", size, allocations)
		}
	}
}

func TestIfExists(t *testing.T) {
	tests := []struct {
		policy string
		want   map[string]string
		fails  bool
	}{
		{policy: "rename", want: map[string]string{"a.csv": "1", "a.2.csv": "2", "a.3.csv": "3"}},
		{policy: "overwrite", want: map[string]string{"a.csv": "3"}},
		{policy: "skip", want: map[string]string{"a.csv": "1"}},
		{policy: "fail", want: map[string]string{"a.csv": "1"}, fails: true},
	}
	for _, test := range tests {
		t.Run(test.policy, func(t *testing.T) {
			s := open(t, func(c *Config) { c.IfExists = test.policy })
			s.mustSend(t, "a.csv", "1")
			for _, contents := range []string{"2", "3"} {
				err := s.send("a.csv", contents)
				if test.fails != errors.Is(err, router.ErrPermanent) || !test.fails && err != nil {
					t.Errorf("Commit = %v", err)
				}
			}
			if diff := cmp.Diff(test.want, s.files(t)); diff != "" {
				t.Error(diff)
			}
			if got := s.partials(t); len(got) > 0 {
				t.Errorf("left over: %v", got)
			}
			var kept []string
			for name, contents := range s.incompletes(t) {
				if !strings.HasSuffix(name, reasonSuffix) {
					kept = append(kept, name+"="+contents)
				}
			}
			if test.fails && len(kept) != 2 || !test.fails && len(kept) > 0 {
				t.Errorf("incomplete: %v", kept)
			}
		})
	}
}

func TestStreamsOfOneNameAtOnce(t *testing.T) {
	s := open(t, nil)
	const n = 32
	var senders sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		w := s.begin(t, "dir/a.csv")
		fmt.Fprint(w, i)
		senders.Go(func() {
			<-start
			if err := w.Commit(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	senders.Wait()
	got := map[string]bool{}
	for _, contents := range s.files(t) {
		got[contents] = true
	}
	if len(got) != n {
		t.Errorf("%d different files of %d landed", len(got), n)
	}
}

func TestNumbersHaveNoGaps(t *testing.T) {
	s := open(t, nil)
	const n = 70
	want := map[string]string{"a": "1"}
	s.mustSend(t, "a", "1")
	for i := 2; i <= n; i++ {
		contents := fmt.Sprint(i)
		s.mustSend(t, "a", contents)
		want["a."+contents] = contents
	}
	if diff := cmp.Diff(want, s.files(t)); diff != "" {
		t.Error(diff)
	}
}

func TestFilesAndFoldersOfOneName(t *testing.T) {
	for _, policy := range []string{"rename", "fail"} {
		t.Run(policy, func(t *testing.T) {
			s := open(t, func(c *Config) { c.IfExists = policy })
			s.mustSend(t, "a", "file")
			s.mustSend(t, "a/b", "below")
			s.mustSend(t, "a/c/d", "deep below")
			want := map[string]string{"a": "file", "a.2/b": "below", "a.2/c/d": "deep below"}
			if diff := cmp.Diff(want, s.files(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
	s := open(t, nil)
	s.mustSend(t, "a/b", "below")
	s.mustSend(t, "a", "file")
	if diff := cmp.Diff(map[string]string{"a/b": "below", "a.2": "file"}, s.files(t)); diff != "" {
		t.Error(diff)
	}
}

func TestFlatten(t *testing.T) {
	s := open(t, func(c *Config) { c.Flatten = true })
	s.mustSend(t, "a/b.csv", "1")
	if diff := cmp.Diff(map[string]string{"a%2Fb.csv": "1"}, s.files(t)); diff != "" {
		t.Error(diff)
	}
}

func TestFilename(t *testing.T) {
	s := open(t, func(c *Config) { c.Filename = `event + "/" + upper(stream)` })
	s.mustSend(t, "../a", "1")
	if diff := cmp.Diff(map[string]string{"files/%2E%2E/A": "1"}, s.files(t)); diff != "" {
		t.Error(diff)
	}
}

func TestFilenameThatFails(t *testing.T) {
	s := open(t, func(c *Config) { c.Filename = `stream[int(stream):]` })
	if err := s.send("no number", ""); !errors.Is(err, router.ErrPermanent) || !strings.Contains(err.Error(), "filename") {
		t.Errorf("Stream = %v", err)
	}
}

// TestTwins sends names that a file system may take for one.
func TestTwins(t *testing.T) {
	twins := []string{"Report.csv", "report.csv", "REPORT.CSV", "caf\u00e9", "cafe\u0301", "Dir/a", "dir/a"}
	for _, folds := range []bool{false, true} {
		t.Run(fmt.Sprintf("folds=%v", folds), func(t *testing.T) {
			s := open(t, nil)
			if folds {
				s.folder.disk = foldingDisk{s.folder.disk, t, s}
			}
			for _, name := range twins {
				s.mustSend(t, name, name)
			}
			files := s.files(t)
			got := map[string]bool{}
			for _, contents := range files {
				got[contents] = true
			}
			if len(got) != len(twins) {
				t.Errorf("of %q there is %v", twins, files)
			}
			if !folds {
				for _, name := range twins {
					if files[name] != name {
						t.Errorf("%q is not under its own name", name)
					}
				}
			}
		})
	}
}

// foldingDisk takes names that differ in case or in the composition of é for
// one, as file systems of Windows and macOS do.
type foldingDisk struct {
	disk
	t testing.TB
	s *testSink
}

func (d foldingDisk) Publish(partial, name string) error {
	fold := func(name string) string { return strings.ReplaceAll(strings.ToLower(name), "e\u0301", "\u00e9") }
	for existing := range d.s.files(d.t) {
		if fold(existing) == fold(name) {
			return &os.LinkError{Op: "link", Old: partial, New: name, Err: os.ErrExist}
		}
	}
	return d.disk.Publish(partial, name)
}

func TestAbort(t *testing.T) {
	tests := []struct {
		policy string
		keeps  bool
	}{{"keep", true}, {"remove", false}}
	for _, test := range tests {
		t.Run(test.policy, func(t *testing.T) {
			s := open(t, func(c *Config) { c.Incomplete = test.policy })
			for i := range 2 {
				w := s.begin(t, "dir/\x1ba.csv")
				fmt.Fprint(w, "part", i+1)
				w.Abort(errCutOff)
				if _, err := w.Write([]byte("x")); !errors.Is(err, errCutOff) {
					t.Errorf("Write after Abort = %v", err)
				}
			}
			if got := s.files(t); len(got) > 0 {
				t.Errorf("there is %v", got)
			}
			if got := s.partials(t); len(got) > 0 {
				t.Errorf("left over: %v", got)
			}
			kept := s.incompletes(t)
			reason := kept["dir%2F%1Ba.csv.reason.txt"]
			if test.keeps {
				for _, part := range []string{
					errCutOff.Error(), `dir/\x1ba.csv`, "demo.files", "source:   incoming", "received: 5 bytes",
				} {
					if !strings.Contains(reason, part) {
						t.Errorf("the reason does not tell %q:\n%s", part, reason)
					}
				}
				delete(kept, "dir%2F%1Ba.csv.reason.txt")
				delete(kept, "dir%2F%1Ba.2.csv.reason.txt")
				if diff := cmp.Diff(map[string]string{"dir%2F%1Ba.csv": "part1", "dir%2F%1Ba.2.csv": "part2"}, kept); diff != "" {
					t.Error(diff)
				}
			} else if len(kept) > 0 {
				t.Errorf("kept %v", kept)
			}
			log := s.log.String()
			if strings.Count(log, `level=WARN msg="stream is incomplete"`) != 2 || strings.Contains(log, "\x1b") ||
				!strings.Contains(log, errCutOff.Error()) {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// TestReasonIsNotTakenForAFile has streams whose names are those of reasons.
func TestReasonIsNotTakenForAFile(t *testing.T) {
	s := open(t, nil)
	for i, name := range []string{"a.reason.txt", "a", "a", "a.reason.txt"} {
		w := s.begin(t, name)
		fmt.Fprint(w, i)
		w.Abort(errCutOff)
	}
	if err := s.folder.incomplete.load(); err != nil {
		t.Fatal(err)
	}
	kept := s.incompletes(t)
	bodies := map[string]bool{}
	for _, contents := range kept {
		bodies[contents] = true
	}
	for i := range 4 {
		if !bodies[fmt.Sprint(i)] {
			t.Errorf("stream %d is not kept: %v", i, kept)
		}
	}
	if n := len(s.folder.incomplete.kept); len(kept) != 8 || n != 4 {
		t.Errorf("%d files, %d of them bodies, want 8 and 4: %v", len(kept), n, kept)
	}
}

func TestIncompleteIsBoundedBySize(t *testing.T) {
	s := open(t, func(c *Config) { c.IncompleteMaxSize = 3 * (keptCost + 1000) })
	for i := range 5 {
		w := s.begin(t, fmt.Sprint("part", i))
		_, _ = w.Write(make([]byte, 1000))
		w.Abort(errCutOff)
	}
	w := s.begin(t, "large")
	_, _ = w.Write(make([]byte, 100_000))
	w.Abort(errCutOff)
	var names []string
	for name := range s.incompletes(t) {
		names = append(names, name)
	}
	if len(names) != 6 {
		t.Errorf("kept %v", names)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "part2") && !strings.HasPrefix(name, "part3") && !strings.HasPrefix(name, "part4") {
			t.Errorf("kept %q", name)
		}
	}
	if log := s.log.String(); strings.Count(log, "limit=incomplete_max_size") != 2 ||
		!strings.Contains(log, errNotKept.Error()) {
		t.Errorf("logged %s", log)
	}
}

func TestIncompleteIsBoundedByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		s.begin(t, "a").Abort(errCutOff)
		now := time.Now() // of the bubble, which the disk does not know
		if err := os.Chtimes(filepath.Join(s.path, incompleteDir, "a"), now, now); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7*24*time.Hour - tidyInterval)
		synctest.Wait()
		if got := s.incompletes(t); len(got) != 2 {
			t.Errorf("early there is %v", got)
		}
		time.Sleep(2 * tidyInterval)
		synctest.Wait()
		if got := s.incompletes(t); len(got) != 0 {
			t.Errorf("late there is %v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSilentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, nil)
		w := s.begin(t, "a")
		for range 10 {
			time.Sleep(59 * time.Second)
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := s.incompletes(t)["a"]; got != "xxxxxxxxxx" {
			t.Errorf("kept %q", got)
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, errIdle) || !strings.Contains(err.Error(), "idle_timeout") {
			t.Errorf("Write = %v", err)
		}
		if err := w.Commit(context.Background()); !errors.Is(err, errIdle) {
			t.Errorf("Commit = %v", err)
		}
		if len(s.openStreams()) > 0 || len(s.files(t)) > 0 {
			t.Error("the stream is still open, or landed")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMaxSize(t *testing.T) {
	s := open(t, func(c *Config) { c.MaxSize = 1000 })
	w := s.begin(t, "a")
	if _, err := w.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	_, err := w.Write([]byte("x"))
	if !errors.Is(err, router.ErrPermanent) || !strings.Contains(err.Error(), "max_size") {
		t.Errorf("Write = %v", err)
	}
	w.Abort(err)
	if got := s.incompletes(t)["a"]; len(got) != 1000 {
		t.Errorf("kept %d bytes", len(got))
	}
	info := named("b")
	info.Size = 1001
	if _, err := s.Stream(context.Background(), info); !errors.Is(err, router.ErrPermanent) {
		t.Errorf("Stream of 1001 bytes = %v", err)
	}
}

func TestMaxOpen(t *testing.T) {
	s := open(t, func(c *Config) { c.MaxOpen = 2 })
	a, b := s.begin(t, "a"), s.begin(t, "b")
	_, err := s.Stream(context.Background(), named("c"))
	if !errors.Is(err, router.ErrUnavailable) || !strings.Contains(err.Error(), "max_open") {
		t.Errorf("Stream = %v", err)
	}
	a.Abort(errCutOff)
	s.mustSend(t, "c", "")
	if err := b.Commit(context.Background()); err != nil {
		t.Error(err)
	}
	s.mustSend(t, "d", "")
}

func TestMinFree(t *testing.T) {
	s := open(t, func(c *Config) { c.MinFree = 1 << 20 })
	free := int64(2 << 20)
	s.disk.free = func() int64 { return free }

	info := named("large")
	info.Size = 1<<20 + 1
	if _, err := s.Stream(context.Background(), info); !errors.Is(err, router.ErrUnavailable) {
		t.Errorf("Stream of more than fits = %v", err)
	}
	w := s.begin(t, "a")
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	free = 1 << 20
	_, err := w.Write([]byte("x"))
	if !errors.Is(err, router.ErrUnavailable) || !strings.Contains(err.Error(), "min_free") {
		t.Errorf("Write = %v", err)
	}
	w.Abort(err)
	if got := s.incompletes(t); len(got) > 0 {
		t.Errorf("on a full disk are kept %d files", len(got))
	}
	free = 1<<20 - 1
	if _, err := s.Stream(context.Background(), named("b")); !errors.Is(err, router.ErrUnavailable) {
		t.Errorf("Stream = %v", err)
	}
	free = 2 << 20
	s.mustSend(t, "b", "b")
}

func TestIncompleteFilesGiveWay(t *testing.T) {
	s := open(t, func(c *Config) { c.MinFree = 1 << 20 })
	s.disk.free = func() int64 { // each kept file takes half of what may be written
		return 2<<20 - int64(len(s.incompletes(t))/2)*(512<<10)
	}
	for i := range 2 {
		w := s.begin(t, fmt.Sprint("part", i))
		_, _ = w.Write(make([]byte, 400<<10))
		w.Abort(errCutOff)
	}
	w := s.begin(t, "a")
	if _, err := w.Write(make([]byte, 400<<10)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := s.incompletes(t); len(got) != 2 || got["part1.reason.txt"] == "" {
		t.Errorf("%d incomplete files are left", len(got))
	}
}

func TestSignal(t *testing.T) {
	s := open(t, nil)
	for range 2 {
		if err := s.Signal(context.Background(), router.Signal{Event: "alarm"}); !errors.Is(err, router.ErrNotTaken) {
			t.Errorf("Signal = %v", err)
		}
	}
	if log := s.log.String(); strings.Count(log, "level=DEBUG") != 1 {
		t.Errorf("logged %s", log)
	}
}

func TestUseOfAStreamAfterItsEnd(t *testing.T) {
	s := open(t, nil)
	w := s.begin(t, "a")
	if err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("Write after Commit did not fail")
	}
	w.Abort(errCutOff)
	if err := w.Commit(context.Background()); err == nil {
		t.Error("a second Commit did not fail")
	}
	if diff := cmp.Diff(map[string]string{"a": ""}, s.files(t)); diff != "" {
		t.Error(diff)
	}
}

func TestClose(t *testing.T) {
	s := open(t, nil)
	w := s.begin(t, "a")
	fmt.Fprint(w, "part")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.incompletes(t)["a"]; got != "part" {
		t.Errorf("kept %q", got)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, errStopped) {
		t.Errorf("Write = %v", err)
	}
	if _, err := s.Stream(context.Background(), named("b")); !errors.Is(err, router.ErrUnavailable) {
		t.Errorf("Stream = %v", err)
	}
	again := openAt(t, s.path, nil)
	again.mustSend(t, "a", "whole")
}

func TestLock(t *testing.T) {
	s := open(t, nil)
	second := build(t, s.path, nil)
	err := second.Open(context.Background())
	if err == nil {
		t.Fatal("a second sink could be opened")
	}
	if want := fmt.Sprintf("is locked by pid %d", os.Getpid()); runtime.GOOS != "windows" && !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not tell %q", err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string) error
	}{
		{"a file in the way", func(_ *testing.T, path string) error { return os.WriteFile(path, nil, 0o644) }},
		{"its own folder is a link", func(t *testing.T, path string) error {
			return errors.Join(os.Mkdir(path, 0o755), os.Symlink(t.TempDir(), filepath.Join(path, ownDir)))
		}},
		{"the lock is a link", func(t *testing.T, path string) error {
			return errors.Join(os.MkdirAll(filepath.Join(path, ownDir), 0o755),
				os.Symlink(filepath.Join(t.TempDir(), "stolen"), filepath.Join(path, lockFile)))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "received")
			if err := test.prepare(t, path); err != nil {
				t.Skip("cannot be prepared:", err)
			}
			s := build(t, path, nil)
			if err := s.Open(context.Background()); err == nil || !strings.Contains(err.Error(), "received") {
				t.Errorf("Open = %v, want an error that names the folder", err)
			}
		})
	}
}

func TestFolderIsRemoved(t *testing.T) {
	tests := []struct {
		name   string
		remove func(path string) error
	}{
		{"all", os.RemoveAll},
		{"its own folder", func(path string) error { return os.RemoveAll(filepath.Join(path, ownDir)) }},
		{"the partial files", func(path string) error { return os.RemoveAll(filepath.Join(path, partialDir)) }},
		{"moved away", func(path string) error { return os.Rename(path, path+".old") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if runtime.GOOS == "windows" {
				t.Skip("Windows lets nobody remove a folder that is in use")
			}
			s := open(t, nil)
			w := s.begin(t, "a")
			if err := test.remove(s.path); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				s.mustSend(t, "b", "b")
			}
			err := w.Commit(context.Background())
			if moved := test.name == "moved away"; moved != (err == nil) {
				t.Errorf("Commit of a stream from before = %v", err)
			}
			if diff := cmp.Diff(map[string]string{"b": "b", "b.2": "b"}, s.files(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHostileNamesStayInside(t *testing.T) {
	names := []string{
		"../x", "/etc/x", "a/../../b", "\x00", strings.Repeat("x", 300), "new\nline", "\x1b[31m", "\u202egpj.exe",
		"\xff\xfe", "-rf", ".hidden", "NUL", "C:evil", "", ".", "..", ".imbrouter/lock", ".imbrouter/partial/x",
		strings.Repeat("deep/", 40) + "x", `..\..\x`, "//", strings.Repeat("\u202e", 1<<20),
	}
	s := open(t, nil)
	for _, name := range names {
		s.mustSend(t, name, name)
	}
	landed := map[string]bool{}
	for _, contents := range s.files(t) {
		landed[contents] = true
	}
	for _, name := range names {
		if !landed[name] {
			t.Errorf("%.40q did not land", name)
		}
	}
	outside, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil || len(outside) != 1 {
		t.Errorf("beside the folder there is %v, %v", outside, err)
	}
	for _, line := range strings.Split(strings.TrimSpace(s.log.String()), "\n") {
		if !strings.HasPrefix(line, "time=") || len(line) > 4096 || strings.ContainsAny(line, "\x1b\u202e") ||
			!utf8.ValidString(line) {
			t.Errorf("logged %q", line)
		}
	}
}

// TestSwappedSymlink swaps a folder for a link that leads out, in the moment
// before the disk is asked to do something in it.
func TestSwappedSymlink(t *testing.T) {
	tests := []struct{ operation, folder, policy string }{
		{"create", ".imbrouter/partial", "rename"},
		{"publish", ".imbrouter/partial", "rename"},
		{"publish", "sub", "rename"},
		{"publish", "sub/below", "rename"},
		{"rename", "sub", "overwrite"},
		{"syncdir", "sub", "rename"},
	}
	for _, test := range tests {
		t.Run(test.operation+" in "+test.folder, func(t *testing.T) {
			s, outside := open(t, func(c *Config) { c.IfExists = test.policy }), t.TempDir()
			s.mustSend(t, "sub/below/a", "a")
			if err := os.Mkdir(filepath.Join(outside, "below"), 0o755); err != nil {
				t.Fatal(err)
			}
			swapped := filepath.Join(s.path, test.folder)
			s.disk.before = func(operation string) {
				if operation == test.operation {
					s.disk.before = nil
					if err := errors.Join(os.Rename(swapped, swapped+".real"), os.Symlink(outside, swapped)); err != nil {
						t.Error("swap:", err)
					}
				}
			}
			if err := s.send("sub/below/b", "b"); err == nil {
				t.Error("the stream landed")
			}
			if s.disk.before != nil {
				t.Error("the swap did not happen")
			}
			if got := tree(t, outside); len(got) > 0 {
				t.Errorf("outside there is %v", got)
			}
			if err := errors.Join(os.Remove(swapped), os.Rename(swapped+".real", swapped)); err != nil {
				t.Fatal(err)
			}
			s.mustSend(t, "sub/below/c", "c")
		})
	}
}

// TestLinksOut has links that lead out of the folder lie where files and
// folders are to go.
func TestLinksOut(t *testing.T) {
	s, outside := open(t, nil), t.TempDir()
	victim := filepath.Join(outside, "victim")
	if err := errors.Join(os.WriteFile(victim, []byte("mine"), 0o644), os.Symlink(outside, filepath.Join(s.path, "sub")),
		os.Symlink(victim, filepath.Join(s.path, "a"))); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	s.mustSend(t, "sub/victim", "1")
	s.mustSend(t, "a", "2")
	if diff := cmp.Diff(map[string]string{"sub.2/victim": "1", "a.2": "2"}, s.files(t)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"victim": "mine"}, tree(t, outside)); diff != "" {
		t.Error(diff)
	}
}
