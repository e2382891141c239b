package dir

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router"
	"imbrouter/router/config"
	"imbrouter/router/retention"
)

// aMoment is an age that everything has at once.
const aMoment = config.Duration(time.Nanosecond)

// newTrimmed makes a folder from which everything that may go goes.
func newTrimmed(t *testing.T) *drop {
	d := newDrop(t)
	d.config.SentMaxAge, d.config.FailedMaxAge = aMoment, aMoment
	d.build()
	return d
}

func TestOldFilesAreRemovedAtTheStart(t *testing.T) {
	for _, after := range []string{afterMove, afterKeep, afterDelete} {
		t.Run(after, func(t *testing.T) {
			d := newTrimmed(t)
			d.config.After = after
			d.build()
			// Nobody takes what is to be sent.
			d.sink.onHeader = func(router.StreamInfo) error { return router.ErrUnavailable }
			for _, name := range []string{
				"sent/a", "sent/b/c", "failed/d", "failed/d.reason.txt", "failed/e/f", "failed/e/f.reason.txt", "failed/back.reason.txt",
				"unsent", "e/f", "b/sent/g", ".imbrouter/x", "sent/.hidden",
			} {
				d.write(name, "1")
			}
			d.start()
			eventually(t, "both folders are empty", func() bool { return d.log.count("old files removed") == 2 })
			d.stop()
			d.expectTree("unsent=1", "e/f=1", "b/sent/g=1", ".imbrouter/x=1", "sent/.hidden=1")
			d.expectLog(1, "old files removed", "path="+d.abs("sent"), "files=2", "size=2")
			d.expectLog(1, "old files removed", "path="+d.abs("failed"), "files=3", "size=5")
		})
	}
}

// TestOldFilesAreRemovedAtIntervals has files sent, and failing, while the
// source runs.
func TestOldFilesAreRemovedAtIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.config.SentMaxSize, d.config.FailedMaxSize = 1, 1
		d.build()
		d.sink.onCommit = func(info router.StreamInfo) error {
			if info.Name == "bad" {
				return router.Permanent(errors.New("never"))
			}
			return nil
		}
		d.start()
		wait(time.Second)
		d.write("good", "12")
		d.write("bad", "12")
		wait(retention.Interval - 10*time.Second)
		d.expectSent("good=12")
		if _, err := os.Stat(d.abs("sent/good")); err != nil {
			t.Error(err)
		}
		wait(20 * time.Second)
		d.expectTree()
		d.stop()
	})
}

// TestTrimWhileFilesAreSent has the folders below sent/ and failed/ removed all
// the time while files are moved there. Each is sent, once.
func TestTrimWhileFilesAreSent(t *testing.T) {
	d := newTrimmed(t)
	d.sink.onCommit = func(info router.StreamInfo) error {
		if len(info.Name)%2 == 0 {
			return router.Permanent(errors.New("never"))
		}
		return nil
	}
	d.start()
	sent := retention.Folder{
		Root: d.source.folder.root, Dir: sentDir, Limits: d.config.sent(), Here: d.source.folder.isHere, Names: &d.source.folder.names,
	}
	failed := sent
	failed.Dir, failed.Notes = failedDir, true
	var trimming sync.WaitGroup
	done := make(chan struct{})
	files := 0
	trimming.Go(func() {
		for {
			for _, f := range []*retention.Folder{&sent, &failed} {
				removed, err := f.Trim(t.Context())
				if err != nil {
					t.Error(err)
				}
				files += removed.Files
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	var names []string
	for i := range 100 {
		name := fmt.Sprintf("a/%d/b%d", i%2, i)
		d.write(name, "1")
		names = append(names, name)
	}
	eventually(t, "all are sent or have failed", func() bool { return d.log.count("msg=sent")+d.log.count("set aside") >= len(names) })
	close(done)
	trimming.Wait()
	d.stop()
	tried := map[string]int{}
	for _, info := range d.sink.tried() {
		tried[info.Name]++
	}
	for _, name := range names {
		if tried[name] != 1 {
			t.Errorf("%q was sent %d times", name, tried[name])
		}
	}
	if files == 0 {
		t.Error("nothing was removed meanwhile")
	}
}

// TestMovedFolderIsLeftAlone has the whole folder moved away, to be kept.
func TestMovedFolderIsLeftAlone(t *testing.T) {
	d := newDrop(t)
	d.write("sent/a", "1")
	d.must(d.source.Open(t.Context()))
	d.must(os.Rename(d.path, d.path+".kept"))
	f := retention.Folder{
		Root: d.source.folder.root, Dir: sentDir, Limits: retention.Limits{MaxAge: 1}, Here: d.source.folder.isHere, Names: &d.source.folder.names,
	}
	if removed, err := f.Trim(t.Context()); err != nil || removed.Files > 0 {
		t.Errorf("removed %+v, %v", removed, err)
	}
	d.must(d.source.Close())
	d.path += ".kept"
	if !slices.Contains(d.tree(), "sent/a=1") {
		t.Errorf("left are %q", d.tree())
	}
}
