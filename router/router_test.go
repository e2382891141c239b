package router_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"imbrouter/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func plan(sinks map[string]router.Sink, routes ...router.Route) router.Plan {
	return router.Plan{Sinks: sinks, Routes: routes}
}

func route(name string, to ...string) router.Route {
	return router.Route{Name: name, From: []string{"in"}, To: to}
}

func TestNewRefusesUnknownNames(t *testing.T) {
	sinks := map[string]router.Sink{"out": &recorder{}}
	for want, r := range map[string]router.Route{
		`there is no sink "gone"`:   {Name: "r", From: []string{"in"}, To: []string{"gone"}},
		`there is no source "gone"`: {Name: "r", From: []string{"gone"}, To: []string{"out"}},
	} {
		_, err := router.New(plan(sinks, r), router.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New gives %v, want %q", err, want)
		}
	}
}

func TestSignalReachesEverySinkOfEveryRoute(t *testing.T) {
	a, b := &recorder{}, &recorder{}
	p := plan(map[string]router.Sink{"a": a, "b": b}, route("one", "a"), route("two", "a", "b"))
	err := deliver(p, router.Options{}, func(next router.Sink) {
		s := router.Signal{ID: router.NextID(), Federation: "fed", Event: "e", Data: []byte("x")}
		if err := next.Signal(t.Context(), s); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := a.got() + "|" + b.got(); got != "fed.e=x fed.e=x|fed.e=x" {
		t.Errorf("sinks got %s", got)
	}
}

func TestSignalIsRetriedInTheBranchThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, flaky := &recorder{}, &recorder{fail: []error{errors.New("not now"), errors.New("not now")}}
		p := plan(map[string]router.Sink{"good": good, "flaky": flaky}, route("r", "good", "flaky"))
		err := deliver(p, router.Options{}, func(next router.Sink) {
			if err := next.Signal(t.Context(), router.Signal{ID: 1, Event: "e"}); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if good.count() != 1 || flaky.count() != 3 || flaky.got() != "e=" {
			t.Errorf("good was called %d times, flaky %d times and has %q", good.count(), flaky.count(), flaky.got())
		}
	})
}

// A destination that is away does not hold the others up with retries.
func TestSignalIsNotRetriedWhereTheDestinationIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := fmt.Errorf("%w: hub of connection", router.ErrUnavailable)
		good, down := &recorder{}, &recorder{fail: slices.Repeat([]error{away}, 9)}
		p := plan(map[string]router.Sink{"good": good, "down": down}, route("r", "good", "down"))
		began := time.Now() // of the bubble's clock
		err := deliver(p, router.Options{}, func(next router.Sink) {
			for range 2 {
				if err := next.Signal(t.Context(), router.Signal{ID: router.NextID(), Event: "e"}); err != nil {
					t.Error(err)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 0 || good.count() != 2 || down.count() != 2 {
			t.Errorf("took %v; good was called %d times, down %d times", took, good.count(), down.count())
		}
	})
}

func TestSignalThatFailsForGoodIsToldOnce(t *testing.T) {
	synctest.Test(t, testSignalThatFailsForGood)
}

func testSignalThatFailsForGood(t *testing.T) {
	var log strings.Builder
	broken := &recorder{fail: slices.Repeat([]error{router.Permanent(errors.New("no such thing"))}, 50)}
	p := plan(map[string]router.Sink{"broken": broken}, route("r", "broken"))
	err := deliver(p, router.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(next router.Sink) {
		for range 50 {
			if err := next.Signal(t.Context(), router.Signal{ID: router.NextID(), Event: "e"}); err != nil {
				t.Error(err)
			}
		}
		for range 2 { // the first comes too early to say that it is over
			if err := next.Signal(t.Context(), router.Signal{ID: router.NextID(), Event: "e"}); err != nil {
				t.Error(err)
			}
			<-time.After(2 * time.Minute)
		}
		if err := next.Signal(t.Context(), router.Signal{ID: router.NextID(), Event: "e"}); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if broken.count() != 53 {
		t.Errorf("the sink was called %d times; a permanent error is not to be retried", broken.count())
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "no such thing") || !strings.Contains(lines[1], "failed=50") {
		t.Errorf("log:\n%s", &log)
	}
}

// filterFunc is a filter of streams and signals by event name.
type filterFunc func(event string) (string, bool, error)

func (f filterFunc) Signal(s router.Signal) (router.Signal, bool, error) {
	var pass bool
	var err error
	s.Event, pass, err = f(s.Event)
	return s, pass, err
}

func (f filterFunc) Stream(i router.StreamInfo) (router.StreamInfo, bool, error) {
	var pass bool
	var err error
	i.Event, pass, err = f(i.Event)
	return i, pass, err
}

func TestFilterDecidesAndRewrites(t *testing.T) {
	out := &recorder{}
	r := route("r", "out")
	r.Filter = filterFunc(func(event string) (string, bool, error) {
		if event == "bad" {
			return "", false, errors.New("cannot compare")
		}
		return "new." + event, event != "no", nil
	})
	err := deliver(plan(map[string]router.Sink{"out": out}, r), router.Options{}, func(next router.Sink) {
		for event, want := range map[string]error{"yes": nil, "no": router.ErrNotTaken, "bad": nil} {
			if err := next.Signal(t.Context(), router.Signal{ID: router.NextID(), Event: event}); !errors.Is(err, want) {
				t.Errorf("signal %s gives %v, want %v", event, err, want)
			}
		}
		for event, want := range map[string]error{"yes": nil, "no": router.ErrNotTaken, "bad": router.ErrPermanent} {
			if err := sendStream(next, router.StreamInfo{ID: router.NextID(), Event: event, Name: "s"}, "body"); !errors.Is(err, want) {
				t.Errorf("stream on %s gives %v, want %v", event, err, want)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := out.got(); got != "new.yes= s=body" {
		t.Errorf("sink got %q", got)
	}
}

func TestStreamFailsInOneBranchOnly(t *testing.T) {
	good, bad := &recorder{}, &recorder{fail: []error{errors.New("full")}}
	p := plan(map[string]router.Sink{"good": good, "bad": bad}, route("r", "good", "bad"))
	err := deliver(p, router.Options{}, func(next router.Sink) {
		info := router.StreamInfo{ID: router.NextID(), Name: "s", Replay: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("body")), nil
		}}
		err := sendStream(next, info, "body")
		if err == nil || !strings.Contains(err.Error(), `route "r": sink "bad": full`) {
			t.Errorf("first try gives %v", err)
		}
		if err := sendStream(next, info, "body"); err != nil {
			t.Errorf("second try gives %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := good.got() + "|" + bad.got(); got != "s=body|s=body" {
		t.Errorf("sinks got %s, want the body once each", got)
	}
}

func TestStreamBranchThatFailsInMidBodyIsAborted(t *testing.T) {
	a, b := &recorder{}, &recorder{}
	p := plan(map[string]router.Sink{"a": a, "b": b}, route("r", "a", "b"))
	err := deliver(p, router.Options{}, func(next router.Sink) {
		if err := sendStream(next, router.StreamInfo{ID: router.NextID(), Name: "s"}, "POISON"); err == nil {
			t.Error("no error although both sinks failed")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, sink := range []*recorder{a, b} {
		if got := sink.got(); got != "s!cannot digest this" {
			t.Errorf("sink got %q", got)
		}
	}
}

func TestSeveralErrorsArePermanentOnlyWhenAllAre(t *testing.T) {
	temporary, away := errors.New("busy"), fmt.Errorf("hub: %w", router.ErrUnavailable)
	forever := router.Permanent(errors.New("never"))
	for _, c := range []struct {
		errs                   [2]error
		permanent, unavailable bool
	}{
		{[2]error{forever, forever}, true, false},
		{[2]error{forever, temporary}, false, false},
		{[2]error{forever, away}, false, true},
		{[2]error{temporary, away}, false, true},
	} {
		sinks := map[string]router.Sink{
			"a": &recorder{fail: c.errs[:1]}, "b": &recorder{fail: c.errs[1:]},
		}
		err := deliver(plan(sinks, route("r", "a", "b")), router.Options{}, func(next router.Sink) {
			err := sendStream(next, router.StreamInfo{ID: router.NextID()}, "")
			if errors.Is(err, router.ErrPermanent) != c.permanent || errors.Is(err, router.ErrUnavailable) != c.unavailable {
				t.Errorf("%v: permanent %v, unavailable %v", err, !c.permanent, !c.unavailable)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAway(t *testing.T) {
	away := fmt.Errorf("%w: hub of connection", router.ErrUnavailable)
	sinks := map[string]router.Sink{
		"a": &recorder{fail: []error{away}}, "b": &recorder{fail: []error{away}},
		"c": &recorder{fail: []error{errors.New("the file exists")}}, "d": &recorder{},
	}
	p := plan(sinks, route("one", "a", "c"), route("two", "b", "d"))
	err := deliver(p, router.Options{}, func(next router.Sink) {
		err := sendStream(next, router.StreamInfo{ID: router.NextID(), Name: "s"}, "")
		if got, want := router.Away(err), `route "one": sink "a", route "two": sink "b"`; got != want {
			t.Errorf("of %v away: %s, want %s", err, got, want)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := router.Away(errors.New("the file exists")); got != "" {
		t.Errorf("of something else away: %q", got)
	}
}

// part notes what happens to it, in a list that several share.
type part struct {
	name string
	note func(string)
	fail error
}

func (p part) Open(context.Context) error {
	p.note("open " + p.name)
	return p.fail
}
func (p part) Close() error { p.note("close " + p.name); return nil }

type openSink struct {
	part
	recorder
}

type openSource struct{ part }

func (s openSource) Run(ctx context.Context, _ router.Sink) error {
	s.note("run " + s.name)
	<-ctx.Done()
	s.note("end " + s.name)
	return nil
}

type listener struct {
	openSource
	ready chan struct{}
}

func (l listener) Run(ctx context.Context, _ router.Sink) error {
	l.note("run " + l.name)
	close(l.ready)
	<-ctx.Done()
	l.note("end " + l.name)
	return nil
}

func (l listener) Ready() <-chan struct{} { return l.ready }

func TestOrderOfStartAndStop(t *testing.T) {
	var mu sync.Mutex
	var events []string
	note := func(s string) { mu.Lock(); events = append(events, s); mu.Unlock() }
	ctx, cancel := context.WithCancel(t.Context())
	folder := openSource{part{"folder", func(s string) {
		note(s)
		if s == "run folder" {
			cancel()
		}
	}, nil}}
	r, err := router.New(router.Plan{
		Sources: map[string]router.Source{
			"folder": folder,
			"hub":    listener{openSource{part{"hub", note, nil}}, make(chan struct{})},
		},
		Sinks: map[string]router.Sink{"sink": &openSink{part: part{"sink", note, nil}}},
	}, router.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	want := "open sink, open folder, open hub, run hub, run folder, end folder, close folder, end hub, close hub, close sink"
	if got := strings.Join(events, ", "); got != want {
		t.Errorf("order\n%s, want\n%s", got, want)
	}
}

func TestOpenThatFailsClosesWhatIsOpen(t *testing.T) {
	var events []string
	note := func(s string) { events = append(events, s) }
	locked := errors.New("locked by pid 1")
	r, err := router.New(router.Plan{
		Sources: map[string]router.Source{"folder": openSource{part{"folder", note, locked}}},
		Sinks:   map[string]router.Sink{"sink": &openSink{part: part{"sink", note, nil}}},
	}, router.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); !errors.Is(err, locked) || !strings.Contains(err.Error(), `source "folder"`) {
		t.Errorf("Run gives %v", err)
	}
	if got := strings.Join(events, ", "); got != "open sink, open folder, close sink" {
		t.Errorf("events: %s", got)
	}
}

func TestFailedSourceRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		runs := 0
		r, err := router.New(router.Plan{Sources: map[string]router.Source{
			"in": sourceFunc(func(context.Context, router.Sink) error {
				if runs++; runs == 5 {
					cancel()
				}
				return errors.New("lost it")
			}),
		}}, router.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(ctx); err != nil || runs != 5 {
			t.Errorf("Run gives %v after %d runs", err, runs)
		}
	})
}

// A stream in flight when the router is stopped is finished when it can be
// within the stop time-out, and else its commit fails.
func TestStopWaitsForWhatIsInFlight(t *testing.T) {
	for _, c := range []struct {
		needs time.Duration
		err   error
		got   string
	}{
		{5 * time.Second, nil, "s=body"},
		{30 * time.Second, router.ErrStopTimeout, "s!" + router.ErrStopTimeout.Error()},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			out := &recorder{}
			r, err := router.New(router.Plan{
				Sinks: map[string]router.Sink{"out": out},
				Sources: map[string]router.Source{"in": sourceFunc(func(ctx context.Context, next router.Sink) error {
					w, err := next.Stream(ctx, router.StreamInfo{ID: 1, Name: "s"})
					if err != nil {
						return err
					}
					cancel()
					if _, err := w.Write([]byte("body")); err != nil {
						t.Error(err)
					}
					select {
					case <-time.After(c.needs):
						return w.Commit(ctx)
					case <-router.InFlight(ctx).Done():
						w.Abort(context.Cause(router.InFlight(ctx)))
						return nil
					}
				})},
				Routes: []router.Route{route("r", "out")},
			}, router.Options{StopTimeout: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Run(ctx); !errors.Is(err, c.err) {
				t.Errorf("Run gives %v, want %v", err, c.err)
			}
			if got := out.got(); got != c.got {
				t.Errorf("sink got %q, want %q", got, c.got)
			}
		})
	}
}

func TestTransfersShowProgress(t *testing.T) {
	p := plan(map[string]router.Sink{"out": &recorder{}}, route("r", "out"))
	p.Sources = map[string]router.Source{}
	ctx, cancel := context.WithCancel(t.Context())
	var r *router.Router
	p.Sources["in"] = sourceFunc(func(ctx context.Context, next router.Sink) error {
		defer cancel()
		w, err := next.Stream(ctx, router.StreamInfo{ID: 7, Federation: "f", Event: "e", Name: "s", Size: 9})
		if err != nil {
			return err
		}
		if _, err := w.Write([]byte("body")); err != nil {
			return err
		}
		list := r.Transfers()
		if len(list) != 1 || list[0].Done != 4 || list[0].Size != 9 || list[0].Event != "f.e" || list[0].Source != "in" {
			t.Errorf("in transit: %+v", list)
		}
		if err := w.Commit(ctx); err != nil {
			return err
		}
		if list := r.Transfers(); len(list) != 0 {
			t.Errorf("after the commit in transit: %+v", list)
		}
		return nil
	})
	r, err := router.New(p, router.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// Progress is told while there is any, and once when there is none.
func TestTransfersAreLogged(t *testing.T) {
	t.Run("from a hub", func(t *testing.T) { testTransfersAreLogged(t, "f.e", " event=f.e") })
	t.Run("from a folder", func(t *testing.T) { testTransfersAreLogged(t, "", "") })
}

func testTransfersAreLogged(t *testing.T, event, attribute string) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}}
		p := plan(map[string]router.Sink{"out": &recorder{}}, route("r", "out"))
		o := router.Options{Log: slog.New(slog.NewTextHandler(&log, plain)), LogProgress: true}
		err := deliver(p, o, func(next router.Sink) {
			w, err := next.Stream(t.Context(), router.StreamInfo{ID: 7, Event: event, Name: "s", Size: 2 << 10})
			if err != nil {
				t.Error(err)
				return
			}
			for _, seconds := range []time.Duration{6, 20, 5} {
				if _, err := w.Write(make([]byte, 512)); err != nil {
					t.Error(err)
				}
				<-time.After(seconds * time.Second)
			}
			w.Abort(errors.New("enough"))
		})
		if err != nil {
			t.Fatal(err)
		}
		want := `msg="transfer under way" source=in event=f.e stream=s done="512 B of 2.0 KiB" rate="102 B/s"
msg="transfer under way" source=in event=f.e stream=s done="1.0 KiB of 2.0 KiB" rate="102 B/s"
msg="transfer stands still" source=in event=f.e stream=s done="1.0 KiB of 2.0 KiB"
msg="transfer under way" source=in event=f.e stream=s done="1.5 KiB of 2.0 KiB" rate="102 B/s"
`
		want = strings.ReplaceAll(want, " event=f.e", attribute)
		if log.String() != want {
			t.Errorf("log:\n%s\nwant:\n%s", &log, want)
		}
	})
}

func TestSplitName(t *testing.T) {
	for _, c := range []struct{ federation, full, fed, event string }{
		{"demo", "demo.files", "demo", "files"},
		{"demo", "Demo.files", "Demo", "files"},
		{"demo", "demofiles", "", "demofiles"},
		{"demo", "demo", "", "demo"},
		{"a.b", "a.b.c.d", "a.b", "c.d"},
		{"", "x.y", "", "x.y"},
	} {
		fed, event := router.SplitName(c.federation, c.full)
		if fed != c.fed || event != c.event {
			t.Errorf("SplitName(%q, %q) = %q, %q", c.federation, c.full, fed, event)
		}
		if full := router.FullName(fed, event); full != c.full {
			t.Errorf("FullName(%q, %q) = %q, want %q", fed, event, full, c.full)
		}
	}
}
