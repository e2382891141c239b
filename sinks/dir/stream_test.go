package dir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"imbrouter/router"
)

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
