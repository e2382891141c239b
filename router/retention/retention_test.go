package retention

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// day is the unit of the ages in these tests. Nobody can set the time back at
// which a file was put in its place, so the ages lie in the future, and so does
// the present of these tests.
const day = 24 * time.Hour

var start = time.Now().Add(100 * day)

// tree is a folder under test, of which each file is so many days old.
type tree struct {
	t    testing.TB
	path string
	Folder
}

func newTree(t testing.TB, path string) *tree {
	t.Helper()
	root, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return &tree{t: t, path: path, Folder: Folder{
		Root: root, Dir: ".", Names: &sync.Mutex{}, Here: func() bool { return true },
		now: func() time.Time { return start },
	}}
}

func (r *tree) abs(name string) string { return filepath.Join(r.path, filepath.FromSlash(name)) }

func (r *tree) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *tree) write(name string, size int, days float64) {
	r.t.Helper()
	r.must(os.MkdirAll(filepath.Dir(r.abs(name)), 0o755))
	r.must(os.WriteFile(r.abs(name), make([]byte, size), 0o644))
	at := start.Add(-time.Duration(days * float64(day)))
	r.must(os.Chtimes(r.abs(name), at, at))
}

// names returns everything in the folder; a folder ends in a slash.
func (r *tree) names() []string {
	r.t.Helper()
	var all []string
	r.must(filepath.WalkDir(r.path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == r.path {
			return err
		}
		name, _ := filepath.Rel(r.path, path)
		name = filepath.ToSlash(name)
		if entry.IsDir() {
			name += "/"
		}
		all = append(all, name)
		return nil
	}))
	return all
}

func TestTrim(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		dir    string
		notes  bool
		files  map[string][2]float64 // size, days
		left   []string
		want   Removed
	}{
		{
			name: "no limit", files: map[string][2]float64{"a": {1, 90}}, left: []string{"a"},
		}, {
			name: "by age", limits: Limits{MaxAge: 10 * day},
			files: map[string][2]float64{"new": {5, 1}, "edge": {5, 10}, "old": {5, 11}, "older": {7, 12.5}},
			left:  []string{"edge", "new"}, want: Removed{2, 12, start.Add(-25 * day / 2)},
		}, {
			name: "by size, the oldest first", limits: Limits{MaxSize: 10},
			files: map[string][2]float64{"1": {5, 1}, "2": {5, 2}, "3": {5, 3}, "4": {5, 4}},
			left:  []string{"1", "2"}, want: Removed{2, 10, start.Add(-4 * day)},
		}, {
			name: "by size, one that is larger than all that may be", limits: Limits{MaxSize: 10},
			files: map[string][2]float64{"1": {50, 1}}, want: Removed{1, 50, start.Add(-1 * day)},
		}, {
			name: "by both", limits: Limits{MaxAge: 10 * day, MaxSize: 10},
			files: map[string][2]float64{"1": {9, 1}, "2": {9, 2}, "20": {1, 20}},
			left:  []string{"1"}, want: Removed{2, 10, start.Add(-20 * day)},
		}, {
			name: "empty files have an age only", limits: Limits{MaxAge: 10 * day, MaxSize: 1},
			files: map[string][2]float64{"a": {0, 1}, "b": {0, 11}},
			left:  []string{"a"}, want: Removed{1, 0, start.Add(-11 * day)},
		}, {
			name: "folders that are left empty go", limits: Limits{MaxAge: 10 * day},
			files: map[string][2]float64{"a/b/c/old": {1, 20}, "a/b/new": {1, 1}, "d/e/old": {1, 20}},
			left:  []string{"a/", "a/b/", "a/b/new"}, want: Removed{2, 2, start.Add(-20 * day)},
		}, {
			name: "only in its folder", limits: Limits{MaxAge: 10 * day}, dir: "sent",
			files: map[string][2]float64{"sent/old": {1, 20}, "old": {1, 20}, "other/old": {1, 20}},
			left:  []string{"old", "other/", "other/old", "sent/"}, want: Removed{1, 1, start.Add(-20 * day)},
		}, {
			name: "hidden names and folders of others stay", limits: Limits{MaxAge: 10 * day, MaxSize: 1},
			files: map[string][2]float64{
				".hidden": {1, 20}, ".imbrouter/partial/x": {1, 20}, ".git/x": {1, 20},
				"theirs/.imbrouter/sink.lock": {1, 20}, "theirs/old": {1, 20}, "theirs/deep/old": {1, 20},
			},
			left: []string{
				".git/", ".git/x", ".hidden", ".imbrouter/", ".imbrouter/partial/", ".imbrouter/partial/x",
				"theirs/", "theirs/.imbrouter/", "theirs/.imbrouter/sink.lock", "theirs/deep/", "theirs/deep/old", "theirs/old",
			},
		}, {
			name: "a note goes with its file", limits: Limits{MaxAge: 10 * day}, notes: true,
			files: map[string][2]float64{
				"old": {1, 20}, "old.reason.txt": {3, 20}, "new": {1, 1}, "new.reason.txt": {3, 20},
				"gone.reason.txt": {3, 20}, "d/old": {1, 20}, "d/old.reason.txt": {3, 1},
			},
			left: []string{"new", "new.reason.txt"}, want: Removed{3, 11, start.Add(-20 * day)},
		}, {
			name: "a note counts", limits: Limits{MaxSize: 8}, notes: true,
			files: map[string][2]float64{"a": {1, 3}, "a.reason.txt": {3, 3}, "b": {1, 2}, "b.reason.txt": {3, 2}, "c": {1, 1}},
			left:  []string{"b", "b.reason.txt", "c"}, want: Removed{1, 4, start.Add(-3 * day)},
		}, {
			name: "what has a note is none", limits: Limits{MaxAge: 10 * day}, notes: true,
			files: map[string][2]float64{"a": {1, 20}, "a.reason.txt": {1, 1}, "a.reason.txt.reason.txt": {1, 1}},
			left:  []string{"a.reason.txt", "a.reason.txt.reason.txt"}, want: Removed{1, 1, start.Add(-20 * day)},
		}, {
			name: "without notes there are none", limits: Limits{MaxAge: 10 * day},
			files: map[string][2]float64{"a": {1, 20}, "a.reason.txt": {1, 1}},
			left:  []string{"a.reason.txt"}, want: Removed{1, 1, start.Add(-20 * day)},
		}, {
			name: "no folder", limits: Limits{MaxAge: 10 * day}, dir: "sent", files: map[string][2]float64{"a": {1, 20}}, left: []string{"a"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newTree(t, t.TempDir())
			r.Limits, r.Notes = test.limits, test.notes
			if test.dir != "" {
				r.Dir = test.dir
			}
			for name, f := range test.files {
				r.write(name, int(f[0]), f[1])
			}
			removed, err := r.Trim(t.Context())
			if err != nil {
				t.Error(err)
			}
			if got := r.names(); !slices.Equal(got, test.left) {
				t.Errorf("left are %q, want %q", got, test.left)
			}
			if diff := cmp.Diff(test.want, removed, cmp.Comparer(time.Time.Equal)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAgeCountsFromTheMove has a file that is old, and was moved only now.
func TestAgeCountsFromTheMove(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not tell when a file was moved")
	}
	r := newTree(t, t.TempDir())
	r.Limits.MaxAge, r.now = day, time.Now
	r.write("a", 1, 100+365) // last written a year ago
	r.must(os.Rename(r.abs("a"), r.abs("b")))
	if removed, err := r.Trim(t.Context()); err != nil || removed.Files != 0 {
		t.Errorf("removed %+v, %v", removed, err)
	}
}

// TestManyFiles has more files above the limits than a walk remembers.
func TestManyFiles(t *testing.T) {
	maxOldest = 16
	t.Cleanup(func() { maxOldest = 1 << 16 })
	for name, limits := range map[string]Limits{
		"by age": {MaxAge: 10*day + day/2}, "by size": {MaxSize: 10}, "by both": {MaxAge: 50 * day, MaxSize: 10},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTree(t, t.TempDir())
			r.Limits = limits
			for i := range 99 {
				r.write(fmt.Sprintf("%d/%d", i%7, i+1), 1, float64(i+1))
			}
			removed, err := r.Trim(t.Context())
			if err != nil || removed.Files != 89 || !removed.Oldest.Equal(start.Add(-99*day)) {
				t.Errorf("removed %+v, %v", removed, err)
			}
			for i := range 10 {
				if _, err := os.Stat(r.abs(fmt.Sprintf("%d/%d", i%7, i+1))); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestLinksLeadNowhere has links to what is old, in the folder and outside.
func TestLinksLeadNowhere(t *testing.T) {
	r := newTree(t, t.TempDir())
	r.Dir, r.Limits = "sent", Limits{MaxAge: day, MaxSize: 1}
	outside := newTree(t, t.TempDir())
	outside.write("old", 9, 20)
	r.write("unsent/old", 9, 20)
	r.write("sent/a/new", 1, 0)
	for name, to := range map[string]string{
		"sent/file": outside.abs("old"), "sent/folder": outside.path, "sent/sideways": "../unsent", "sent/a/up": "..",
	} {
		if err := os.Symlink(to, r.abs(name)); err != nil {
			t.Skip("there are no links here: ", err)
		}
	}
	before := r.names()
	if removed, err := r.Trim(t.Context()); err != nil || removed.Files > 0 {
		t.Errorf("removed %+v, %v", removed, err)
	}
	if got := r.names(); !slices.Equal(got, before) {
		t.Errorf("left are %q", got)
	}
	// The folder itself is a link.
	r.must(os.RemoveAll(r.abs("sent")))
	r.must(os.Symlink("unsent", r.abs("sent")))
	if removed, err := r.Trim(t.Context()); err == nil || removed.Files > 0 || !strings.Contains(err.Error(), `"sent" is no folder`) {
		t.Errorf("removed %+v, %v", removed, err)
	}
	if got := append(r.names(), outside.names()...); !slices.Equal(got, []string{"sent", "unsent/", "unsent/old", "old"}) {
		t.Errorf("left are %q", got)
	}
}

// TestSwappedFolder has a folder become a link after it was walked.
func TestSwappedFolder(t *testing.T) {
	r := newTree(t, t.TempDir())
	r.Dir, r.Limits = "sent", Limits{MaxAge: day}
	r.write("sent/a/old", 1, 20)
	r.write("unsent/old", 1, 20)
	r.Here = func() bool {
		r.must(os.RemoveAll(r.abs("sent/a")))
		if err := os.Symlink("../unsent", r.abs("sent/a")); err != nil {
			t.Skip("there are no links here: ", err)
		}
		return true
	}
	if removed, err := r.Trim(t.Context()); err == nil || removed.Files > 0 {
		t.Errorf("removed %+v, %v", removed, err)
	}
	if got := r.names(); !slices.Contains(got, "unsent/old") {
		t.Errorf("left are %q", got)
	}
}

// TestFolderVanishes has the folder removed, or moved away, during the walk.
func TestFolderVanishes(t *testing.T) {
	for _, moved := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "received")
		r := newTree(t, filepath.Dir(path))
		for i := range 5 {
			r.write(fmt.Sprint("received/a/", i), 1, 20)
		}
		root, err := r.Root.OpenRoot("received")
		r.must(err)
		here := true
		vanish := sync.OnceFunc(func() {
			if moved {
				r.must(os.Rename(path, path+".kept"))
			} else {
				r.must(os.RemoveAll(path))
			}
			here = false
		})
		r.Root, r.Limits = root, Limits{MaxAge: day}
		r.Here = func() bool { return here }
		r.Ours = func(string, fs.FileInfo) bool { vanish(); return true }
		removed, err := r.Trim(t.Context())
		r.must(root.Close())
		if err != nil || removed.Files > 0 {
			t.Errorf("moved: %v: removed %+v, %v", moved, removed, err)
		}
		if got := r.names(); moved && len(got) != 7 {
			t.Errorf("left are %q", got)
		}
	}
}

// TestCannotBeRemoved has files that stay in spite of everything. Nothing younger
// goes in their place.
func TestCannotBeRemoved(t *testing.T) {
	r := newTree(t, t.TempDir())
	r.Limits.MaxSize = 10
	r.write("locked/oldest", 5, 3)
	r.write("locked/older", 5, 2.5)
	r.write("old", 5, 2)
	r.write("new", 5, 1)
	elsewhere := t.TempDir()
	lock := sync.OnceFunc(func() {
		r.must(os.Rename(r.abs("locked"), r.abs("kept")))
		if err := os.Symlink(elsewhere, r.abs("locked")); err != nil {
			t.Skip("there are no links here: ", err)
		}
	})
	r.Here = func() bool { lock(); return true }
	removed, err := r.Trim(t.Context())
	if err == nil || !strings.Contains(err.Error(), "and 1 more") || removed.Files > 0 {
		t.Errorf("removed %+v, %v", removed, err)
	}
	if got := r.names(); !slices.Contains(got, "old") {
		t.Errorf("left are %q", got)
	}
}

func TestTooDeep(t *testing.T) {
	r := newTree(t, t.TempDir())
	r.Limits.MaxAge = day
	r.write("old", 1, 20)
	deepest := strings.Repeat("d/", maxDepth) + "old"
	r.write(deepest, 1, 20)
	r.write(path.Dir(deepest)+"/d/old", 1, 20)
	removed, err := r.Trim(t.Context())
	if err == nil || !strings.Contains(err.Error(), "folders deep") || removed.Files != 2 {
		t.Errorf("removed %+v, %v", removed, err)
	}
}

// TestNothingElseIsRemoved has any folder, in which things happen between the
// walk and the removal.
func TestNothingElseIsRemoved(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path, err := os.MkdirTemp("", "retention")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(path)
		r := newTree(t, path)
		r.Dir = "sent"
		r.Limits = Limits{
			MaxAge:  time.Duration(rapid.IntRange(0, 10).Draw(rt, "max age")) * day,
			MaxSize: rapid.Int64Range(0, 30).Draw(rt, "max size"),
		}
		part := rapid.SampledFrom([]string{"a", "b", "c.txt", ".d", ".imbrouter", "sent"})
		type known struct {
			size, days int
			ours       bool
		}
		files := map[string]known{} // that count
		stay := map[string]bool{}   // that must not go
		for range rapid.IntRange(0, 20).Draw(rt, "files") {
			name := rapid.SampledFrom([]string{"sent/", "unsent/"}).Draw(rt, "folder") +
				strings.Join(rapid.SliceOfN(part, 1, 3).Draw(rt, "name"), "/")
			f := known{rapid.IntRange(0, 9).Draw(rt, "size"), rapid.IntRange(0, 20).Draw(rt, "days"), rapid.Bool().Draw(rt, "ours")}
			if info, err := os.Lstat(r.abs(name)); err == nil && info.IsDir() || os.MkdirAll(filepath.Dir(r.abs(name)), 0o755) != nil {
				continue
			}
			r.write(name, f.size, float64(f.days)+0.5)
			files[name] = f
		}
		mine := func(name string) bool {
			rest, ok := strings.CutPrefix(name, "sent/")
			if !ok || !files[name].ours || strings.HasPrefix(rest, ".") || strings.Contains(rest, "/.") {
				return false
			}
			for dir := filepath.Dir(r.abs(name)); dir != r.abs("sent"); dir = filepath.Dir(dir) {
				if _, err := os.Lstat(filepath.Join(dir, ownDir)); err == nil {
					return false
				}
			}
			return true
		}
		r.Ours = func(name string, _ fs.FileInfo) bool { return files["sent/"+name].ours }
		total := int64(0)
		for name, f := range files {
			if stay[name] = !mine(name); !stay[name] {
				total += int64(f.size)
			}
		}
		// Somebody writes to one file after the walk.
		touched := ""
		if names := slices.Sorted(maps.Keys(files)); len(names) > 0 {
			touched = rapid.SampledFrom(names).Draw(rt, "touched")
		}
		r.Here = sync.OnceValue(func() bool {
			if _, err := os.Lstat(r.abs(touched)); touched != "" && err == nil {
				r.write(touched, 20, 0)
				stay[touched] = true
			}
			return true
		})
		removed, err := r.Trim(context.Background())
		if err != nil {
			rt.Fatal(err)
		}
		oldestLeft, youngestGone := -1, 100
		left := int64(0)
		for name, f := range files {
			_, err := os.Lstat(r.abs(name))
			gone := err != nil
			switch {
			case gone && stay[name]:
				rt.Errorf("%q was removed", name)
			case gone:
				youngestGone = min(youngestGone, f.days)
				total -= int64(f.size)
				removed.Files--
			case mine(name) && name != touched:
				oldestLeft = max(oldestLeft, f.days)
				left += int64(f.size)
				if r.Limits.MaxAge > 0 && time.Duration(f.days)*day >= r.Limits.MaxAge {
					rt.Errorf("%q is %d days old and was left", name, f.days)
				}
			}
		}
		if oldestLeft > youngestGone {
			rt.Errorf("one of %d days was removed, one of %d was left", youngestGone, oldestLeft)
		}
		if r.Limits.MaxSize > 0 && left > r.Limits.MaxSize {
			rt.Errorf("%d bytes are left", left)
		}
		if removed.Files != 0 {
			rt.Errorf("told of %d files more than were removed", removed.Files)
		}
	})
}

func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var times []time.Duration
		begun := time.Now()
		var ended sync.WaitGroup
		ended.Go(func() { Every(ctx, func() { times = append(times, time.Since(begun)) }) })
		time.Sleep(2*Interval + time.Second)
		cancel()
		ended.Wait()
		if want := []time.Duration{0, Interval, 2 * Interval}; !slices.Equal(times, want) {
			t.Errorf("at %v, want %v", times, want)
		}
	})
}

func TestLog(t *testing.T) {
	var text strings.Builder
	log := NewLog(slog.New(slog.NewTextHandler(&text, nil)))
	log.Trimmed("drop/sent", Removed{}, nil)
	log.Trimmed("drop/sent", Removed{}, context.Canceled)
	if text.Len() > 0 {
		t.Errorf("told of nothing: %s", &text)
	}
	log.Trimmed("drop/sent", Removed{Files: 3, Size: 42, Oldest: start}, nil)
	for range 3 {
		log.Trimmed("drop/sent", Removed{}, fs.ErrPermission)
	}
	log.Close()
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `level=INFO msg="old files removed" path=drop/sent files=3 size=42 oldest=`+start.Format("2006")) ||
		!strings.Contains(lines[1], `level=ERROR msg="old files cannot be removed" path=drop/sent`) || !strings.HasSuffix(lines[2], "count=3 untold=2") {
		t.Errorf("logged %s", &text)
	}
}
