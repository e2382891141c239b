package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/daemon"
	"imbrouter/router/deadletter"
)

// stuckSink takes no signal before it is released.
type stuckSink struct {
	took    imbtest.Collector[string]
	release chan struct{}
	slow    time.Duration // how long it takes then for each
}

func (s *stuckSink) Signal(ctx context.Context, m router.Signal) error {
	select {
	case <-s.release:
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.slow > 0 {
		<-time.After(s.slow)
	}
	s.took.Add(string(m.Data))
	return nil
}

func (*stuckSink) Stream(context.Context, router.StreamInfo) (router.StreamWriter, error) {
	return nil, router.ErrNotTaken
}

// letters returns the dead letters, oldest first.
func (r running) letters(t *testing.T) (all []deadletter.Letter) {
	t.Helper()
	for l, err := range deadletter.List(deadletter.Dir(r.Config().Router.StateDir, r.Config().Path), "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// Each signal that a source's queue has no room for is a dead letter of the
// routes that want it.
func TestOverflowBecomesDeadLetters(t *testing.T) {
	const signals = 600
	stuck := &stuckSink{release: make(chan struct{})}
	addr, _ := imbtest.StartHub(t, hub.Options{})
	r := startWith(t, stuck, `
[connections.hub]
address = "%s"
[sources.in]
type = "imb"
events = ["e"]
queue = "64KiB"
block_timeout = "100ms"
[sinks.stuck]
type = "own"
[routes.all]
from = ["in"]
to = ["stuck"]
[routes.none]
from = ["in"]
to = ["stuck"]
when = 'event == "other"'
`, addr)
	sender := connect(t, addr)
	out := publish(t, sender, "e")
	for i := range signals {
		send(t, out, fmt.Sprintf("%-1000d", i))
	}
	imbtest.Eventually(t, func() bool { return len(r.letters(t)) > signals/2 }, "the queue overflows")
	close(stuck.release)
	imbtest.Eventually(t, func() bool { return len(stuck.took.All())+len(r.letters(t)) == signals },
		"every signal is either delivered or a dead letter")
	for _, letter := range r.letters(t) {
		if want := "the route took nothing for longer than block_timeout while the source's queue was full, or it was full when the hub was lost"; letter.Route != "all" || letter.Error != want {
			t.Fatalf("letter of %.20q is of %s: %s", letter.Data, letter.Route, letter.Error)
		}
	}
}

// A signal that fails makes its route one that fails; sent again when the cause is
// gone it gets where it did not, and the route fails no more.
func TestAgain(t *testing.T) {
	const text = `
[connections.hub]
address = "%s"
[sources.in]
type = "imb"
events = ["in"]
[sinks.out]
type = "imb"
event = "out"
[routes.all]
from = ["in"]
to = ["out"]
when = '%s'
`
	addr, _ := imbtest.StartHub(t, hub.Options{})
	r := start(t, text, addr, "json.level > 3")
	l := listen(t, addr)
	failing := func() bool { return r.Router().Observe().Routes[0].Failing }
	letters := func() []deadletter.Letter { return r.letters(t) }
	in := publish(t, connect(t, addr), "in")
	send(t, in, "no JSON")
	imbtest.Eventually(t, func() bool { return len(letters()) == 1 && failing() }, "the signal is a dead letter, and the route fails")
	send(t, in, `{"level": 1}`)
	imbtest.Eventually(t, func() bool { return r.Router().Observe().Routes[0].Signals.NotTaken == 1 }, "another signal is left out")
	if !failing() {
		t.Error("a signal that is left out mends the route")
	}
	if err := r.Again(t.Context(), letters())[0].Err; err == nil || len(letters()) != 1 {
		t.Errorf("again with the same expression: %v, with %d letters", err, len(letters()))
	}
	if err := r.reload(text, addr, "true"); err != nil {
		t.Fatal(err)
	}
	if err := r.Again(t.Context(), letters())[0].Err; err != nil {
		t.Errorf("again: %v", err)
	}
	if failing() {
		t.Error("the route still fails")
	}
	imbtest.Eventually(t, func() bool {
		return slices.ContainsFunc(l.signals.All(), func(s string) bool { return strings.HasPrefix(s, "out ") && strings.Contains(s, "no JSON") })
	}, "it gets to the hub; there are %v", l.signals.All())
	gone := letters()[0]
	gone.Route = "gone"
	if err := r.Again(t.Context(), []deadletter.Letter{gone})[0].Err; err == nil {
		t.Error("a route that is gone takes a letter")
	}
}

// toStuck is a route to the stuck sink. It takes the hub's address and stop_timeout.
const toStuck = `
[router]
stop_timeout = "%[2]s"
[connections.hub]
address = "%[1]s"
[sources.in]
type = "imb"
events = ["e"]
[sinks.stuck]
type = "own"
[routes.all]
from = ["in"]
to = ["stuck"]
`

// fillQueue sends signals, which the router's source then has in its queue.
func fillQueue(t *testing.T, r running, addr string, signals int) {
	t.Helper()
	sender := connect(t, addr)
	out := publish(t, sender, "e")
	queued := func() (n int) {
		for _, source := range r.Router().Observe().Sources {
			for _, link := range source.Links {
				n += link.Stats.ReceiveQueue
			}
		}
		return n
	}
	one := 0 // what each takes in the queue
	for i := range signals {
		send(t, out, fmt.Sprintf("%-1000d", i))
		if i == 0 {
			imbtest.Eventually(t, func() bool { one = queued(); return one > 0 }, "the first is in the source's queue")
		}
	}
	imbtest.Eventually(t, func() bool { return queued() >= signals*one }, "all are in the source's queue")
}

// What a source has in its queue when its hub goes is brought to its route all
// the same, at a stop, and when a reload takes the source away.
func TestQueueIsHandledWithoutTheHub(t *testing.T) {
	const signals = 1000
	for _, how := range []string{"stop", "reload"} {
		t.Run(how, func(t *testing.T) {
			stuck := &stuckSink{release: make(chan struct{}), slow: time.Millisecond} // the end comes before it has all
			addr, h := imbtest.StartHub(t, hub.Options{})
			r := startWith(t, stuck, toStuck, addr, "20s")
			fillQueue(t, r, addr, signals)
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
			imbtest.Eventually(t, func() bool { return r.logged("reconnecting to the hub") }, "the hub is missed")
			if how == "stop" {
				close(stuck.release)
				if err := r.Stop(); err != nil {
					t.Fatal(err)
				}
			} else {
				other := strings.Replace(toStuck, `events = ["e"]`, `events = ["f"]`, 1)
				if err := r.reload(other, addr, "20s"); err != nil {
					t.Fatal(err)
				}
				close(stuck.release)
			}
			imbtest.Eventually(t, func() bool { return len(stuck.took.All()) == signals }, "the sink gets all")
			if n := len(r.letters(t)); n > 0 {
				t.Errorf("%d signals are dead letters", n)
			}
		})
	}
}

// What a source has in its queue when stop_timeout is over becomes dead letters.
func TestStopTimeoutMakesDeadLetters(t *testing.T) {
	const signals = 2000
	stuck := &stuckSink{release: make(chan struct{})}
	addr, _ := imbtest.StartHub(t, hub.Options{})
	r := startWith(t, stuck, toStuck, addr, "100ms")
	r.StopErr = router.ErrStopTimeout
	fillQueue(t, r, addr, signals)
	_ = r.Stop() // see StopErr
	letters := r.letters(t)
	if n := len(stuck.took.All()); n != 0 || len(letters) != signals {
		t.Errorf("of %d signals the sink took %d, and %d are dead letters", signals, n, len(letters))
	}
	causes := map[string]int{}
	for _, l := range letters {
		causes[l.Error]++
	}
	if n := causes["the router stopped before its route took it"]; n < signals/2 {
		t.Errorf("letters by their cause: %v", causes)
	}
}

// A letter that no sink takes has not got through: it stays for when there is one.
func TestAgainWithoutSinks(t *testing.T) {
	const text = `
[connections.hub]
address = "%s"
[sources.in]
type = "imb"
events = ["in"]
[sinks.out]
type = "%s"
%s
[routes.all]
from = ["in"]
to = ["out"]
`
	addr, _ := imbtest.StartHub(t, hub.Options{})
	for _, test := range []struct {
		name, kind, settings string
		sinks                []string
		want                 string // in the error; "" for none
	}{
		{"the sink is not on the route any more", "log", "", []string{"before"}, `route "all" leads to none of the sinks ["before"] any more`},
		{"the sink takes files only", "dir", `path = "` + t.TempDir() + `"`, nil, router.ErrNotTaken.Error()},
		{"the sink only looks on", "log", "", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := start(t, text, addr, test.kind, test.settings)
			letter := deadletter.Letter{ID: "1", Route: "all", Sinks: test.sinks, Source: "in", Event: "in", Kind: wire.NormalEvent, Data: []byte("x")}
			outside, err := daemon.Replay(t.Context(), r.Config(), "all", []deadletter.Letter{letter}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			inside := r.Again(t.Context(), []deadletter.Letter{letter})[0].Err
			if test.want == "" {
				if inside != nil || outside[0].Err != nil {
					t.Errorf("%v; from another process %v", inside, outside[0].Err)
				}
			} else if outside[0].Err == nil || inside == nil || !strings.Contains(inside.Error(), test.want) {
				t.Errorf("%v; from another process %v; want %q", inside, outside[0].Err, test.want)
			}
		})
	}
}

// What is left of a letter that gets through to one sink is for the other alone.
func TestAgainTellsWhichSinksFailed(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	r := start(t, `
[connections.hub]
address = "%s"
[sources.in]
type = "imb"
events = ["in"]
ignore_relayed = true
[sinks.good]
type = "imb"
event = "out"
[sinks.bad]
type = "imb"
[routes.all]
from = ["in"]
to = ["good", "bad"]
set.event = '"x" + event + "*"'
`, addr)
	l := listen(t, addr)
	letters := []deadletter.Letter{{ID: "1", Route: "all", Event: "in", Kind: wire.NormalEvent}}
	replayed := r.Again(t.Context(), letters)[0]
	if diff := cmp.Diff([]string{"bad"}, replayed.Sinks); replayed.Err == nil || diff != "" {
		t.Errorf("%v; sinks that failed (-want +got):\n%s", replayed.Err, diff)
	}
	imbtest.Eventually(t, func() bool { return len(l.signals.All()) == 1 }, "the other sink has it")
}

// What is sent again on a relay both ways does not come back to where it came
// from, although another process sends it. A foreign hub gives it back.
func TestReplayOnARelayBothWays(t *testing.T) {
	for _, test := range []struct {
		name string
		hub  func(*testing.T) string
		want []string
	}{
		{"own hub", func(t *testing.T) string { addr, _ := imbtest.StartHub(t, hub.Options{}); return addr },
			[]string{"south.e first", "south.e second", "north.e second"}},
		{"foreign hub", func(t *testing.T) string { return foreignHub(t, true) },
			[]string{"south.e first", "north.e first", "south.e second", "north.e second"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := test.hub(t)
			l := listen(t, addr)
			r := start(t, bothWays, addr, "")
			letters := []deadletter.Letter{{
				Route: "to-south", Source: "north", Federation: "north", Event: "e", Relayed: true,
				Kind: wire.NormalEvent, Data: wire.AppendString(nil, "first"),
			}}
			replayed, err := daemon.Replay(t.Context(), r.Config(), "to-south", letters, slog.New(slog.DiscardHandler))
			if err != nil || replayed[0].Err != nil {
				t.Fatal(err, replayed)
			}
			send(t, publish(t, connect(t, addr), "south.e"), "second") // which is relayed, behind the first if that is
			imbtest.Eventually(t, func() bool {
				return slices.ContainsFunc(l.signals.All(), func(s string) bool {
					return strings.HasPrefix(s, "north.e") && strings.HasSuffix(s, "second")
				})
			}, "the router relays")
			var got []string
			for _, s := range l.signals.All() {
				if event := strings.Fields(s)[0]; strings.HasSuffix(event, ".e") { // no probe of a relay
					got = append(got, event+" "+s[strings.LastIndex(s, "\x00")+1:])
				}
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("signals (-want +got):\n%s", diff)
			}
		})
	}
}
