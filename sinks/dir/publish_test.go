package dir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imbrouter/router"
)

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
			for name, contents := range s.incompletes(t) {
				if strings.HasSuffix(name, reasonSuffix) && !strings.Contains(contents, "arrived whole") {
					t.Errorf("the reason is\n%s", contents)
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
