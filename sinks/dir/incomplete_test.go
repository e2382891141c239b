package dir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var errCutOff = errors.New("the connection was lost")

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
			if strings.Count(log, `level=DEBUG msg="stream did not arrive whole"`) != 2 || strings.Contains(log, "\x1b") ||
				!strings.Contains(log, errCutOff.Error()) {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// A file that its source still has is not kept a second time.
func TestNothingIsKeptOfAFile(t *testing.T) {
	s := open(t, func(c *Config) { c.IfExists = ifExistsFail })
	s.mustSend(t, "taken", "1")
	for _, name := range []string{"cut off", "taken"} {
		info := named(name)
		info.Replay = func() (io.ReadCloser, error) { return nil, errCutOff }
		w, err := s.Stream(t.Context(), info)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, "part")
		if name == "cut off" {
			w.Abort(errCutOff)
		} else if err := w.Commit(t.Context()); err == nil {
			t.Error("a second file of that name was taken")
		}
	}
	if kept, left := s.incompletes(t), s.partials(t); len(kept)+len(left) > 0 {
		t.Errorf("kept %v, left over %v", kept, left)
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
