package dir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"imbrouter/router"
	"imbrouter/router/config"
)

// withEvents makes the source of a drop use real events, and nothing but
// events after the first scan.
func (d *drop) withEvents() {
	d.config.Watch = watchInotify
	d.config.Rescan = config.Duration(time.Hour)
	d.build()
}

func (d *drop) awaitSent(n int) {
	d.t.Helper()
	eventually(d.t, fmt.Sprintf("%d files are sent and moved", n), func() bool {
		tree := d.tree() // one look: between two a file may be on its way
		return d.log.count("msg=sent") >= n && len(tree) == n && !slices.ContainsFunc(tree, func(s string) bool {
			return !strings.HasPrefix(s, "sent/")
		})
	})
}

func TestEventsFindFiles(t *testing.T) {
	d := newDrop(t)
	d.withEvents()
	d.write("before", "at start")
	d.start()
	d.awaitSent(1)
	d.write("written", "1")
	d.replace("renamed in", "2")
	d.write("new folder/a", "3")
	outside := filepath.Join(t.TempDir(), "filled")
	d.must(os.MkdirAll(outside+"/deep", 0o755))
	d.must(os.WriteFile(outside+"/deep/b", []byte("4"), 0o644))
	d.must(os.Rename(outside, d.abs("moved in")))
	d.awaitSent(5)
	d.expectTree("sent/before=at start", "sent/written=1", "sent/renamed in=2", "sent/new folder/a=3", "sent/moved in/deep/b=4")
}

func TestEventsFollowAFolderThatIsRenamed(t *testing.T) {
	d := newDrop(t)
	d.withEvents()
	d.write("old/sub/a", "1")
	d.start()
	d.awaitSent(1)
	for i := range 20 {
		from, to := fmt.Sprint("old", i), fmt.Sprint("old", i+1)
		if i == 0 {
			from = "old"
		}
		d.must(os.Rename(d.abs(from), d.abs(to)))
		d.write(to+"/b", "2")
		d.write(to+"/sub/c", "3")
		d.awaitSent(1 + 2*(i+1))
	}
}

func TestEventsFollowFoldersThatSwapNames(t *testing.T) {
	d := newDrop(t)
	d.withEvents()
	d.write("one/sub/a", "1")
	d.write("two/sub/a", "1")
	d.start()
	d.awaitSent(2)
	for i := range 20 {
		d.must(os.Rename(d.abs("one"), d.abs("three")))
		d.must(os.Rename(d.abs("two"), d.abs("one")))
		d.must(os.Rename(d.abs("three"), d.abs("two")))
		for _, name := range []string{"one/b", "one/sub/b", "two/b", "two/sub/b"} {
			d.write(name, "2")
		}
		d.awaitSent(2 + 4*(i+1))
	}
}

// notTaken makes a sink leave every file where it is.
func notTaken(router.StreamInfo) error { return router.ErrNotTaken }

// Fault 6.
func TestFolderAndFileMadeAtOnce(t *testing.T) {
	d := newDrop(t)
	d.withEvents()
	d.sink.onHeader = notTaken
	d.start()
	const loops = 1000
	for i := range loops {
		d.write(fmt.Sprintf("%d/b/c/f", i), "")
	}
	eventually(t, "all were found", func() bool { return len(d.sink.tried()) == loops })
}

// fakeWatcher tells what a test wants.
type fakeWatcher struct {
	add    func(dir string) error
	events chan fsnotify.Event
	errors chan error

	mu             sync.Mutex
	added, removed []string
}

func newFakeWatcher() *fakeWatcher {
	return &fakeWatcher{events: make(chan fsnotify.Event), errors: make(chan error)}
}

func (w *fakeWatcher) Add(dir string) error {
	w.mu.Lock()
	w.added = append(w.added, dir)
	w.mu.Unlock()
	if w.add != nil {
		return w.add(dir)
	}
	return nil
}
func (w *fakeWatcher) Remove(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed = append(w.removed, dir)
	return nil
}
func (w *fakeWatcher) Events() <-chan fsnotify.Event { return w.events }
func (w *fakeWatcher) Errors() <-chan error          { return w.errors }
func (w *fakeWatcher) Close() error                  { return nil }

// withWatcher makes the source of a drop use a fake watcher.
func (d *drop) withWatcher(w *fakeWatcher) {
	d.config.Watch = watchAuto
	d.build()
	d.source.newWatcher = func() (watcher, error) { return w, nil }
}

// Fault 7.
func TestLostEventsMeanAScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		w := newFakeWatcher()
		d.withWatcher(w)
		d.start()
		synctest.Wait()
		for i := range 25 {
			d.write(fmt.Sprint("f", i), "x")
			w.errors <- fsnotify.ErrEventOverflow
			wait(10 * time.Millisecond) // far less than rescan
			if n := len(d.sink.got()); n != i+1 {
				t.Fatalf("%d files sent after overflow %d", n, i+1)
			}
		}
		d.expectLog(2, "level=WARN", "events were lost", "overflow") // the 1st and the 10th
	})
}

func TestRescanFindsWhatEventsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.withWatcher(newFakeWatcher())
		d.start()
		synctest.Wait()
		d.write("a/f", "text")
		wait(29 * time.Second)
		d.expectSent()
		wait(2 * time.Second)
		d.expectSent("a/f=text")
	})
}

// A new version may come after the last look at the old one, when nobody looks
// at the events any more that tell of it.
func TestVersionThatComesAtTheVeryEnd(t *testing.T) {
	defer func(old func(string)) { step = old }(step)
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		w := newFakeWatcher()
		d.withWatcher(w)
		atEnd := once(func() {
			d.write("f", "new version")
			w.events <- fsnotify.Event{Name: d.abs("f"), Op: fsnotify.Create}
			time.Sleep(time.Millisecond)
		})
		step = func(name string) {
			if name == "archived" {
				_ = atEnd(router.StreamInfo{})
			}
		}
		d.write("f", "version")
		d.start()
		wait(time.Second) // far less than rescan
		d.expectSent("f=version", "f=new version")
	})
}

// Fault 8.
func TestWatchLimitMeansPolling(t *testing.T) {
	enospc := os.NewSyscallError("inotify_add_watch", syscall.ENOSPC)
	for name, limit := range map[string]func(d *drop){
		"at once": func(d *drop) {
			d.source.newWatcher = func() (watcher, error) { return nil, explainWatchError(enospc) }
		},
		"for a folder": func(d *drop) {
			w := newFakeWatcher()
			w.add = func(dir string) error {
				if dir == d.abs("new") {
					return enospc
				}
				return nil
			}
			d.source.newWatcher = func() (watcher, error) { return w, nil }
			d.write("new/first", "1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrop(t)
				d.config.Watch = watchAuto
				d.build()
				limit(d)
				d.start()
				wait(time.Second)
				d.write("new/second", "2")
				wait(time.Second)
				if !slices.Contains(d.sink.got(), "new/second=2") {
					t.Errorf("sent %q", d.sink.got())
				}
				d.expectLog(1, "level=WARN", "polled", "fs.inotify.max_user_watches", "interval=100ms")
			})
		})
	}
}

func TestWatchThatMustWork(t *testing.T) {
	d := newDrop(t)
	d.config.Watch = watchInotify
	d.build()
	d.source.newWatcher = func() (watcher, error) { return nil, explainWatchError(syscall.EMFILE) }
	d.must(d.source.Open(t.Context()))
	defer d.source.Close()
	err := d.source.Run(t.Context(), d.sink)
	if !errors.Is(err, syscall.EMFILE) || !strings.Contains(err.Error(), "max_user_instances") {
		t.Errorf("Run returned %v", err)
	}
}

// Fault 9.
func TestFolderIsRemovedAndMadeAgain(t *testing.T) {
	for _, watch := range []string{watchPoll, watchAuto} {
		t.Run(watch, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrop(t)
				if watch == watchAuto {
					d.withWatcher(newFakeWatcher())
				}
				d.start()
				for i := range 3 {
					synctest.Wait()
					d.must(os.RemoveAll(d.path))
					wait(time.Minute)
					d.expectLog(i+1, "the folder is gone")
					d.must(os.Mkdir(d.path, 0o755))
					d.write(fmt.Sprint("f", i), "")
					wait(3 * time.Second)
					d.expectTree(fmt.Sprintf("sent/f%d=", i))
					d.expectLog(i+1, "the folder is back")
				}
				// It is locked again too.
				other, _ := d.config.Build(routerEnv())
				if err := other.(*Source).Open(t.Context()); err == nil {
					t.Error("the folder that came back is not locked")
				}
			})
		})
	}
}

func TestFolderThatComesBackUnusable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.start()
		wait(time.Second)
		d.must(os.RemoveAll(d.path))
		d.must(os.WriteFile(d.path, nil, 0o644))
		wait(time.Minute)
		d.expectLog(1, "level=ERROR", "cannot be used", "not a directory")
		d.must(os.Remove(d.path))
		d.must(os.Mkdir(d.path, 0o755))
		d.write("f", "")
		wait(3 * time.Second)
		d.expectSent("f=")
	})
}

func TestFolderIsRemovedDuringASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.sink.onBody = once(func() {
			d.must(os.RemoveAll(d.path))
			time.Sleep(10 * time.Second)
		})
		d.write("f", "text")
		d.start()
		wait(time.Minute)
		d.expectSent("f=text")
		d.must(os.Mkdir(d.path, 0o755))
		d.write("g", "next")
		wait(3 * time.Second)
		d.expectSent("f=text", "g=next")
	})
}

// Fault 10.
func TestPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.source.newWatcher = func() (watcher, error) { t.Error("a watcher was made"); return nil, errors.ErrUnsupported }
		d.start()
		for i := range 3 {
			wait(time.Second)
			d.write(fmt.Sprintf("%d/f", i), "")
		}
		wait(time.Second)
		d.expectSent("0/f=", "1/f=", "2/f=")
	})
}

// A file that turns into something else between its sighting and its turn.
func TestFileBecomesASymlinkWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		secret := filepath.Join(t.TempDir(), "secret")
		d.must(os.WriteFile(secret, []byte("secret"), 0o600))
		d.config.Parallel = 1
		d.config.PollInterval = config.Duration(time.Minute)
		d.build()
		d.write("1", "first")
		d.write("2", "second")
		d.sink.onBody = once(func() {
			d.must(os.Remove(d.abs("2")))
			d.must(os.Symlink(secret, d.abs("2")))
		})
		d.start()
		wait(5 * time.Minute)
		d.expectSent("1=first")
		d.expectLog(1, "only regular files", "path=2")
	})
}

func TestSelection(t *testing.T) {
	files := []string{
		"a.csv", "a.tmp", ".hidden", "sub/b.csv", "sub/b.tmp", "sub/.hidden", "sub/deep/c.csv", ".dir/d.csv",
		"skip/e.csv", "sub/skip/f.csv", "Sent/g.csv", "sub/sent/h.csv", "sub/failed/i.csv", "j",
	}
	for _, test := range []struct {
		name             string
		include, exclude []string
		flat             bool
		want             []string
	}{
		{"everything", []string{"**"}, nil, false,
			[]string{"Sent/g.csv", "a.csv", "a.tmp", "j", "skip/e.csv", "sub/b.csv", "sub/b.tmp", "sub/deep/c.csv", "sub/failed/i.csv", "sub/sent/h.csv", "sub/skip/f.csv"}},
		{"not recursive", []string{"**"}, nil, true, []string{"a.csv", "a.tmp", "j"}},
		{"pattern with a slash", []string{"sub/*.csv"}, nil, false, []string{"sub/b.csv"}},
		{"pattern without a slash", []string{"*.csv"}, []string{"skip"}, false,
			[]string{"Sent/g.csv", "a.csv", "sub/b.csv", "sub/deep/c.csv", "sub/failed/i.csv", "sub/sent/h.csv"}},
		{"exclude wins", []string{"**/*.csv", "*.tmp"}, []string{"*.tmp", "sub/**"}, false, []string{"Sent/g.csv", "a.csv", "skip/e.csv"}},
		{"nothing", nil, nil, false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrop(t)
				d.config.Include, d.config.Exclude, d.config.Recursive = test.include, test.exclude, !test.flat
				d.config.After = afterDelete
				d.build()
				for _, name := range files {
					d.write(name, "")
				}
				d.start()
				d.write("sent/old", "")
				d.write("failed/old", "")
				wait(time.Second)
				var got []string
				for _, s := range d.sink.got() {
					got = append(got, strings.TrimSuffix(s, "="))
				}
				slices.Sort(got)
				if !slices.Equal(got, test.want) {
					t.Errorf("sent %q, want %q", got, test.want)
				}
			})
		})
	}
}

// What lies in the folder of another source is that one's to send, and what it
// sent is nobody's.
func TestFolderOfAnotherSourceInside(t *testing.T) {
	for _, watch := range []string{watchPoll, watchAuto} {
		t.Run(watch, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrop(t)
				w := newFakeWatcher()
				if watch == watchAuto {
					d.withWatcher(w)
				}
				d.start()
				d.write("a/sub/before", "1")
				wait(time.Minute)
				inner := newDrop(t)
				inner.path, inner.config.Path = d.abs("a/sub"), d.abs("a/sub")
				inner.build()
				inner.start()
				inner.write("f", "2")
				d.write("a/g", "3")
				wait(time.Minute)
				if watch == watchAuto {
					w.events <- fsnotify.Event{Name: d.abs("a/sub"), Op: fsnotify.Create}
				}
				wait(time.Minute)
				d.expectSent("a/sub/before=1", "a/g=3")
				inner.expectSent("f=2")
				d.expectLog(1, "level=WARN", "left alone", "path=a/sub")
				if watch == watchAuto && !slices.Contains(w.removed, d.abs("a/sub")) {
					t.Errorf("watches are left on the other source's folder; ended are %q", w.removed)
				}
			})
		})
	}
}

func TestFolderWithMoreFilesThanOneListing(t *testing.T) {
	d := newDrop(t)
	d.withEvents()
	d.sink.onHeader = notTaken
	const files = 2*listBatch + 10
	for i := range files {
		d.write(fmt.Sprint(i), "")
	}
	d.start()
	eventually(t, "all were found", func() bool { return len(d.sink.tried()) == files })
}

// A burst of events about one file must not cost a look each.
func TestManyWritesToOneFile(t *testing.T) {
	d := newDrop(t)
	d.withEvents()
	d.start()
	f := d.create("f")
	for range 10_000 {
		_, err := f.WriteString("x")
		d.must(err)
	}
	d.must(f.Close())
	d.awaitSent(1)
	d.expectSent("f=" + strings.Repeat("x", 10_000))
}
