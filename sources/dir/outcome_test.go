package dir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router"
	"imbrouter/router/config"
)

func TestFileThatNobodyTakesStaysUntilItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.config.PollInterval = config.Duration(time.Minute)
		d.build()
		d.sink.onHeader = func(router.StreamInfo) error { return router.ErrNotTaken }
		d.write("f", "one")
		d.start()
		wait(time.Hour)
		d.write("f", "two, longer")
		wait(time.Hour)
		if n := len(d.sink.tried()); n != 2 {
			t.Errorf("tried %d times, want once for each version", n)
		}
		d.expectTree("f=two, longer")
		d.expectLog(2, "level=INFO", "no route takes the file", "path=f")

		d.source.Rerouted()
		wait(time.Hour)
		if n := len(d.sink.tried()); n != 3 {
			t.Errorf("tried %d times, want once more with other routes", n)
		}
		d.sink.onHeader = nil
		d.source.Rerouted()
		wait(time.Hour)
		d.expectTree("sent/f=two, longer")
	})
}

func TestPermanentErrorSetsTheFileAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		var refused atomic.Bool
		refused.Store(true)
		d.sink.onHeader = func(router.StreamInfo) error {
			if refused.Load() {
				return fmt.Errorf("sink %q: %w", "inbox", router.Permanent(errors.New("the name is too bad")))
			}
			return nil
		}
		d.write("a/report.csv", "1")
		d.start()
		wait(time.Second)
		if n := len(d.sink.tried()); n != 1 {
			t.Errorf("tried %d times", n)
		}
		tree := d.tree()
		if len(tree) != 2 || tree[0] != "failed/a/report.csv=1" {
			t.Fatalf("the folder holds %q", tree)
		}
		for _, want := range []string{
			"failed/a/report.csv.reason.txt=", `"a/report.csv"`, `sink "inbox": the name is too bad`, "Attempts: 1", "Time:     2000-01-01T",
			d.abs("failed/a/report.csv"), d.abs("a/report.csv"),
		} {
			if !strings.Contains(tree[1], want) {
				t.Errorf("the reason does not hold %q: %s", want, tree[1])
			}
		}

		// It does as the note says: moving the file back tries again.
		d.must(os.Rename(d.abs("failed/a/report.csv"), d.abs("a/report.csv")))
		wait(time.Second)
		if n := len(d.sink.tried()); n != 2 {
			t.Errorf("tried %d times after it was moved back", n)
		}
		if tree := d.tree(); len(tree) != 3 { // the file, and both notes
			t.Errorf("the folder holds %q", tree)
		}
		refused.Store(false)
		d.must(os.Rename(d.abs("failed/a/report.csv"), d.abs("a/report.csv")))
		wait(time.Second)
		d.expectSent("a/report.csv=1")
	})
}

func TestOtherErrorsAreTriedSoManyTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		var times []time.Time
		d.sink.onCommit = func(router.StreamInfo) error {
			times = append(times, time.Now())
			return errors.New("no space left on device")
		}
		d.write("f", "text")
		d.start()
		wait(5 * time.Minute)
		if len(times) != 10 {
			t.Fatalf("tried %d times, want max_attempts", len(times))
		}
		for i := range times[1:] {
			pause := times[i+1].Sub(times[i])
			want := min(firstRetry<<i, lastRetry)
			if pause < want*3/4 || pause > want*5/4+time.Millisecond {
				t.Errorf("pause %d is %v, want %v ± 25%%", i+1, pause, want)
			}
		}
		first := d.sink.tried()[0].ID
		for _, try := range d.sink.tried() {
			if try.ID != first {
				t.Error("tries of one version have different IDs")
			}
		}
		if tree := d.tree(); len(tree) != 2 || tree[0] != "failed/f=text" {
			t.Errorf("the folder holds %q", tree)
		}
		d.expectLog(1, "level=WARN", "tried again")
		d.expectLog(1, "level=ERROR", "set aside", "failures=10")
		d.expectGivenUp(first, 10, "no space left on device")
	})
}

// A file that is given up is not sent any more, also while it cannot be moved to
// failed/, and that it was given up is said once.
func TestGivenUpFileIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.sink.onCommit = func(router.StreamInfo) error { return errors.New("the hub does not answer") }
		d.write("f", "text")
		d.start()
		d.must(os.Remove(d.abs("failed")))
		d.write("failed", "in the way")
		wait(10 * time.Minute)
		tries := d.sink.tried()
		if len(tries) != d.config.MaxAttempts {
			t.Errorf("sent %d times, want max_attempts", len(tries))
		}
		if n := len(d.sink.givenUp); n != 0 {
			t.Errorf("given up %d times while it waits to be set aside", n)
		}
		d.expectLog(1, "level=ERROR", "held up", "the hub does not answer", "cannot be set aside", d.abs("failed"), "count=1\n")
		d.must(os.Remove(d.abs("failed")))
		wait(time.Minute)
		if tree := d.tree(); len(tree) != 2 || tree[0] != "failed/f=text" || !strings.Contains(tree[1], "Reason:   the hub does not answer\nAttempts: 10\n") {
			t.Errorf("the folder holds %q", tree)
		}
		d.expectGivenUp(tries[0].ID, d.config.MaxAttempts, "the hub does not answer")
		d.expectLog(1, "level=INFO", "no longer held up")
		if n := len(d.sink.tried()); n != len(tries) {
			t.Errorf("sent again, %d times", n-len(tries))
		}
	})
}

func TestNewVersionHasANewIDAndNewAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.config.MaxAttempts = 3
		d.build()
		d.sink.onHeader = func(router.StreamInfo) error { return errors.New("not now") }
		d.write("f", "one")
		d.start()
		for i := range 8 {
			for range 100 {
				if len(d.sink.tried()) >= 2*(i+1) {
					break
				}
				wait(50 * time.Millisecond)
			}
			d.write("f", strings.Repeat("x", i)) // before the third attempt
			wait(200 * time.Millisecond)
		}
		d.stop()
		ids := map[uint64]int{}
		for _, try := range d.sink.tried() {
			ids[try.ID]++
		}
		if len(ids) < 8 {
			t.Errorf("IDs %v, want one for each version", ids)
		}
		if _, err := os.Stat(d.abs("f")); err != nil {
			t.Error("a file was set aside though no version had failed often enough: ", err)
		}
	})
}

// A branch of a fan-out that has one version must get the next one too, also
// when the file changes between two tries and no scan comes in between.
func TestVersionThatATryFindsHasANewID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.config.PollInterval = config.Duration(time.Minute)
		d.build()
		d.sink.onCommit = func(info router.StreamInfo) error {
			if info.Size == int64(len("one")) {
				d.replace("f", "another")
				return errors.New("one of two sinks failed")
			}
			return nil
		}
		d.write("f", "one")
		d.start()
		wait(10 * time.Second)
		d.expectSent("f=another")
		if tries := d.sink.tried(); len(tries) != 2 || tries[0].ID == tries[1].ID {
			t.Errorf("tries %+v", tries)
		}
	})
}

func unavailable(reason string) error { return fmt.Errorf("%s: %w", reason, router.ErrUnavailable) }

func TestDestinationThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.config.PollInterval = config.Duration(time.Minute)
		d.build()
		var down atomic.Bool
		down.Store(true)
		d.sink.onHeader = func(router.StreamInfo) error {
			if down.Load() {
				return unavailable("hub")
			}
			return nil
		}
		const files = 50
		for i := range files {
			d.write(fmt.Sprintf("f%d", i), "text")
		}
		d.start()
		wait(time.Second)
		before := len(d.sink.tried())
		wait(time.Hour)
		probes := len(d.sink.tried()) - before
		if most := int(time.Hour / (lastRetry * 3 / 4)); probes < 300 || probes > most {
			t.Errorf("%d tries in an hour, want one every 6 to 10 seconds", probes)
		}
		if n := d.log.count("destination is away"); n < 50 || n > 61 { // at most one a minute
			t.Errorf("%d lines about it in an hour", n)
		}
		d.expectLog(1, "level=WARN", "destination is away", `error="hub: destination is not available"`, "failures=1 ")
		down.Store(false)
		wait(11 * time.Second)
		if n := len(d.sink.got()); n != files {
			t.Errorf("%d files sent, want %d", n, files)
		}
		d.expectLog(1, "level=INFO", "destination is back", "destination=hub", "away=1h0m", "failures=", "files=50\n")
		ids := map[string]uint64{}
		for _, try := range d.sink.tried() {
			if id, ok := ids[try.Name]; ok && id != try.ID {
				t.Fatal("tries of one version have different IDs")
			}
			ids[try.Name] = try.ID
		}
	})
}

// One folder may feed several destinations.
func TestOutagesDoNotStandInTheWayOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		var a, b atomic.Bool // whether they are there
		d.sink.onHeader = func(info router.StreamInfo) error {
			switch {
			case strings.HasPrefix(info.Name, "a") && !a.Load():
				return unavailable("hub a")
			case strings.HasPrefix(info.Name, "b") && !b.Load():
				return unavailable("hub b")
			}
			return nil
		}
		for _, name := range []string{"a1", "a2", "b1", "b2", "c1"} {
			d.write(name, "")
		}
		d.start()
		wait(time.Minute)
		d.expectSent("c1=")
		d.write("c2", "")
		wait(time.Second)
		d.expectSent("c1=", "c2=")
		b.Store(true)
		wait(11 * time.Second)
		d.expectSent("c1=", "c2=", "b1=", "b2=")
		a.Store(true)
		wait(11 * time.Second)
		d.expectSent("c1=", "c2=", "b1=", "b2=", "a1=", "a2=")
		d.expectLog(2, "destination is back")
	})
}

// What is wrong with a destination may change, and read differently for each
// file: they wait for one probe all the same.
func TestOutageIsOneWhateverItsDetails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.config.PollInterval = config.Duration(time.Minute)
		d.build()
		var down atomic.Bool
		down.Store(true)
		d.sink.onHeader = func(info router.StreamInfo) error {
			if down.Load() {
				return fmt.Errorf("sink %q: %w: %d bytes are free, %q needs more", "inbox",
					router.ErrUnavailable, time.Now().UnixNano(), info.Name)
			}
			return nil
		}
		d.start()
		const files = 20
		for i := range files {
			d.write(fmt.Sprint(i), "")
			wait(time.Minute)
		}
		before := len(d.sink.tried())
		wait(time.Hour)
		if probes := len(d.sink.tried()) - before; probes < 300 || probes > 600 {
			t.Errorf("%d tries in an hour, want those of one probe", probes)
		}
		d.expectLog(1, "destination is away", "failures=1 ")
		down.Store(false)
		wait(11 * time.Second)
		if n := len(d.sink.got()); n != files {
			t.Errorf("%d files sent, want %d", n, files)
		}
		d.expectLog(1, "destination is back", `destination="sink \"inbox\""`, "files=20")
	})
}

// Of two destinations of a file one comes back first. Who waited for that one
// alone waits no longer.
func TestDestinationsThatComeBackOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.config.PollInterval = config.Duration(time.Minute)
		d.build()
		var a, b atomic.Bool // whether they are there
		d.sink.onHeader = func(info router.StreamInfo) error {
			switch {
			case !a.Load():
				return unavailable("hub a")
			case !b.Load() && strings.HasPrefix(info.Name, "both"):
				return unavailable("hub b")
			}
			return nil
		}
		var wantFirst, wantLast []string
		for i := range 20 {
			d.write(fmt.Sprint("both", i), "")
			d.write(fmt.Sprint("one", i), "")
			wantFirst = append(wantFirst, fmt.Sprintf("one%d=", i))
			wantLast = append(wantLast, fmt.Sprintf("both%d=", i))
		}
		d.start()
		wait(time.Minute)
		a.Store(true)
		wait(11 * time.Second)
		d.expectSent(wantFirst...)
		d.expectLog(1, "destination is back", `destination="hub a"`)
		d.expectLog(1, "destination is away", `error="hub b:`, "failures=1 ")
		b.Store(true)
		wait(11 * time.Second)
		d.expectSent(append(wantFirst, wantLast...)...)
		d.expectLog(1, "destination is back", `destination="hub b"`, "files=20")
	})
}

// The file that is to find out whether the destination is back may vanish,
// change, or turn out to be for nobody.
func TestProbeThatComesToNothing(t *testing.T) {
	for name, spoil := range map[string]func(d *drop, name string){
		"removed": func(d *drop, name string) { d.must(os.Remove(d.abs(name))) },
		"becomes a symlink": func(d *drop, name string) {
			d.must(os.Remove(d.abs(name)))
			d.must(os.Symlink("x", d.abs(name)))
		},
		"not taken": func(d *drop, name string) { d.write(name, "not taken") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrop(t)
				var down atomic.Bool
				down.Store(true)
				d.sink.onHeader = func(info router.StreamInfo) error {
					switch {
					case info.Size == int64(len("not taken")):
						return router.ErrNotTaken
					case down.Load():
						return unavailable("hub")
					}
					return nil
				}
				const files = 4
				for i := range files {
					d.write(fmt.Sprint("f", i), "text")
				}
				d.start()
				for waiting := files; waiting > 1; waiting-- {
					wait(time.Minute)
					// They take turns: the next one is that which was tried longest ago.
					tries := d.sink.tried()
					spoil(d, tries[len(tries)-waiting].Name)
				}
				wait(time.Minute)
				down.Store(false)
				wait(11 * time.Second)
				if n := len(d.sink.got()); n != 1 {
					t.Errorf("%d files sent, want the one that is left", n)
				}
			})
		})
	}
}

func TestFileThatWaitsIsRemovedAndMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		var down atomic.Bool
		down.Store(true)
		d.sink.onHeader = func(router.StreamInfo) error {
			if down.Load() {
				return unavailable("hub")
			}
			return nil
		}
		d.sink.onBody = func(router.StreamInfo) error { time.Sleep(time.Second); return nil }
		d.write("f1", "old")
		d.write("f2", "old")
		d.start()
		for range 10 {
			wait(time.Minute)
			d.must(os.Remove(d.abs("f2")))
			wait(time.Second)
			d.write("f2", "new")
		}
		wait(time.Minute)
		down.Store(false)
		wait(time.Minute)
		d.expectSent("f1=old", "f2=new")
		if n := len(d.sink.aborted); n > 0 {
			t.Errorf("%d streams aborted", n)
		}
	})
}

func TestWhatIsUnderWayAtTheEndIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.config.Parallel = 1
		d.build()
		d.sink.onBody = func(router.StreamInfo) error { time.Sleep(10 * time.Second); return nil }
		d.write("first", "1")
		d.must(os.Chtimes(d.abs("first"), time.Unix(1, 0), time.Unix(1, 0)))
		d.write("second", "2")
		d.start()
		wait(time.Second)
		began := time.Now()
		d.stop()
		if took := time.Since(began); took != 9*time.Second {
			t.Errorf("stopping took %v", took)
		}
		d.expectSent("first=1")
		d.expectTree("sent/first=1", "second=2")
	})
}

// What the router's stop time-out cuts off is not the file's fault.
func TestFileThatIsCutOffStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.config.MaxAttempts = 1
		d.build()
		d.sink.hangs = true
		d.write("f", "text")
		r, err := router.New(router.Plan{
			Sources: map[string]router.Source{"outbox": d.source},
			Sinks:   map[string]router.Sink{"fake": d.sink},
			Routes:  []router.Route{{Name: "send", From: []string{"outbox"}, To: []string{"fake"}}},
		}, router.Options{StopTimeout: time.Minute})
		d.must(err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Run(ctx); !errors.Is(err, router.ErrStopTimeout) {
			t.Errorf("Run returned %v", err)
		}
		d.expectTree("f=text")
		d.expectLog(1, "cut off by the end of the program")
		d.sink.hangs = false
		d.build()
		d.start()
		wait(time.Second)
		d.expectSent("f=text")
	})
}

func TestParallelAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.config.Parallel = 3
		d.build()
		d.sink.onBody = func(router.StreamInfo) error { time.Sleep(time.Second); return nil }
		var want []string
		for i := range 30 {
			name := fmt.Sprintf("%02d", (i*7)%30)
			want = append(want, name)
			d.write(name, "x")
			mtime := time.Unix(int64(1000+i/2), 0) // two of each age
			d.must(os.Chtimes(d.abs(name), mtime, mtime))
		}
		for i := 0; i < len(want); i += 2 { // by name where the age is the same
			if want[i] > want[i+1] {
				want[i], want[i+1] = want[i+1], want[i]
			}
		}
		d.start()
		wait(9500 * time.Millisecond)
		if n := len(d.sink.got()); n != 27 {
			t.Errorf("%d files in 9 s, want 3 a second", n)
		}
		wait(2 * time.Second)
		if d.sink.max != 3 {
			t.Errorf("%d streams at once, want 3", d.sink.max)
		}
		rank := map[string]int{}
		for i, name := range want {
			rank[name] = i
		}
		for i, try := range d.sink.tried() {
			if rank[try.Name]/3 != i/3 { // three begin together
				t.Errorf("%q was number %d, want %d", try.Name, i, rank[try.Name])
			}
		}
	})
}
