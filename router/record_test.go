package router_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imbrouter/router"
	"imbrouter/router/deadletter"
	"imbrouter/router/journal"
)

// landing is a sink whose streams become files.
type landing struct{ recorder }

func (l *landing) Stream(ctx context.Context, info router.StreamInfo) (router.StreamWriter, error) {
	w, err := l.recorder.Stream(ctx, info)
	if err != nil {
		return nil, err
	}
	return landingStream{w}, nil
}

type landingStream struct{ router.StreamWriter }

func (landingStream) Delivery() router.Delivery {
	return router.Delivery{Outcome: journal.Received, Event: "as.sent", Path: "/landed"}
}

// account runs do in front of routes and returns what the journal tells of it,
// one line a record.
func account(t *testing.T, p router.Plan, do func(next router.Sink)) []string {
	t.Helper()
	path := journal.Path(t.TempDir(), "test.toml")
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = deliver(p, router.Options{Journal: j, Hash: true}, do)
	if err := errors.Join(err, j.Close()); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for r, err := range journal.Read(t.Context(), path, journal.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		sum := ""
		if r.SHA256 != "" {
			sum = r.SHA256[:8]
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s %s %s>%s>%s %s %s %d %d %s %s",
			r.Outcome, r.Name, r.Source, r.Route, r.Sink, r.Event, r.Path, r.Size, r.Attempts, sum, r.Reason), " "))
	}
	return lines
}

func sum(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])[:8]
}

func TestJournalTellsWhatBecameOfStreams(t *testing.T) {
	file := router.StreamInfo{
		Event: "e", Name: "f", Path: "dir/f", Size: 5, Attempt: 2,
		Replay: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hello")), nil },
	}
	stream := router.StreamInfo{Federation: "demo", Event: "e", Name: "s", Size: -1}
	refusing := filterFunc(func(string) (string, bool, error) { return "", false, nil })
	failing := filterFunc(func(string) (string, bool, error) { return "", false, errors.New("no such field") })
	for _, test := range []struct {
		name   string
		sinks  map[string]router.Sink
		filter router.Filter
		info   router.StreamInfo
		body   string
		cut    bool // the stream, after its body
		want   []string
	}{
		{"a file that is sent", map[string]router.Sink{"a": new(recorder)}, nil, file, "hello", false, []string{
			"unconfirmed f in>r>a e dir/f 5 2",
			"sent f in>r>a e dir/f 5 2 " + sum("hello"),
		}},
		{"a file that fails is its source's to give up", map[string]router.Sink{"a": &recorder{fail: []error{errors.New("no")}}},
			nil, file, "hello", false, nil},
		{"a file that fails in its body", map[string]router.Sink{"a": new(recorder)}, nil, file, "POISON", false, nil},
		{"a stream that lands", map[string]router.Sink{"a": new(landing)}, nil, stream, "hello", false, []string{
			"received s in>r>a as.sent /landed 5 0 " + sum("hello"),
		}},
		{"an empty one", map[string]router.Sink{"a": new(landing)}, nil, stream, "", false, []string{
			"received s in>r>a as.sent /landed 0 0 " + sum(""),
		}},
		{"a stream that is cut off", map[string]router.Sink{"a": new(landing)}, nil, stream, "hel", true, []string{
			"incomplete s in>r>a as.sent /landed 3 0  its sender left",
		}},
		{"a stream that a sink refuses", map[string]router.Sink{"a": &recorder{fail: []error{errors.New("no")}}}, nil, stream, "hello", false, []string{
			"failed s in>r>a demo.e  -1 0  no",
		}},
		{"a stream that a sink cannot go on with", map[string]router.Sink{"a": new(recorder)}, nil, stream, "POISON", false, []string{
			"failed s in>r>a demo.e  6 0  cannot digest this",
		}},
		{"one sink fails, the other does not", map[string]router.Sink{"a": &recorder{fail: []error{errors.New("no")}}, "b": new(landing)},
			nil, stream, "hello", false, []string{
				"failed s in>r>a demo.e  -1 0  no",
				"received s in>r>b as.sent /landed 5 0 " + sum("hello"),
			}},
		{"a stream that the route does not want", map[string]router.Sink{"a": new(recorder)}, refusing, stream, "hello", false, nil},
		{"a stream that no sink wants", map[string]router.Sink{"a": &recorder{fail: []error{router.ErrNotTaken}}}, nil, stream, "hello", false, nil},
		{"an expression that fails", map[string]router.Sink{"a": new(recorder)}, failing, stream, "hello", false, []string{
			`failed s in>r> demo.e  -1 0  its expressions fail on stream "s": no such field`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := router.Route{Name: "r", From: []string{"in"}, Filter: test.filter}
			for _, name := range []string{"a", "b"} {
				if test.sinks[name] != nil {
					r.To = append(r.To, name)
				}
			}
			got := account(t, plan(test.sinks, r), func(next router.Sink) {
				info := test.info
				info.ID = router.NextID()
				if !test.cut {
					_ = sendStream(next, info, test.body)
					return
				}
				w, err := next.Stream(t.Context(), info)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(w, test.body)
				w.Abort(errors.New("its sender left"))
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A file that one of two sinks takes is told of once, although it is tried again
// for the other.
func TestJournalTellsOfARetriedFileOnce(t *testing.T) {
	sinks := map[string]router.Sink{"a": new(landing), "b": &landing{recorder{fail: []error{errors.New("busy")}}}}
	got := account(t, plan(sinks, route("r", "a", "b")), func(next router.Sink) {
		info := router.StreamInfo{
			ID: router.NextID(), Event: "e", Name: "f", Path: "f", Size: 2,
			Replay: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hi")), nil },
		}
		for info.Attempt = 1; ; info.Attempt++ {
			if sendStream(next, info, "hi") == nil {
				return
			}
		}
	})
	want := []string{
		"received f in>r>a as.sent /landed 2 1 " + sum("hi"),
		"received f in>r>b as.sent /landed 2 2 " + sum("hi"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// unconfirming is a sink whose streams end without an acknowledgement.
type unconfirming struct{ recorder }

func (u *unconfirming) Stream(ctx context.Context, info router.StreamInfo) (router.StreamWriter, error) {
	w, err := u.recorder.Stream(ctx, info)
	return unconfirmedStream{w}, err
}

type unconfirmedStream struct{ router.StreamWriter }

func (unconfirmedStream) Commit(context.Context) error { return errors.New("the hub does not answer") }

// A file that is given up has a record for each route and sink that failed, and
// a later start has no doubt what became of it.
func TestJournalTellsWhereAFileWasGivenUp(t *testing.T) {
	path := journal.Path(t.TempDir(), "test.toml")
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sinks := map[string]router.Sink{"a": new(unconfirming), "b": new(landing), "c": new(unconfirming)}
	wrong := route("wrong", "b")
	wrong.Filter = filterFunc(func(string) (string, bool, error) { return "", false, errors.New("no such field") })
	err = deliver(plan(sinks, route("r", "a", "b", "c"), route("good", "b"), route("bad", "a"), wrong), router.Options{Journal: j}, func(next router.Sink) {
		info := router.StreamInfo{
			ID: router.NextID(), Event: "e", Name: "f", Path: "f", Size: 2,
			Replay: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hi")), nil },
		}
		var err error
		for info.Attempt = 1; info.Attempt <= 2; info.Attempt++ {
			err = sendStream(next, info, "hi")
		}
		info.Attempt--
		next.(router.GiverUp).GiveUp(info, err)
	})
	if err := errors.Join(err, j.Close()); err != nil {
		t.Fatal(err)
	}
	if j, err = journal.Open(path, journal.Options{}); err == nil {
		err = j.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r, err := range journal.Read(t.Context(), path, journal.Filter{Outcomes: []journal.Outcome{journal.Failed, journal.PossiblySent}}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s>%s>%s %d %s", r.Outcome, r.Source, r.Route, r.Sink, r.Attempts, r.Reason))
	}
	want := []string{
		"failed in>r>a 2 the hub does not answer",
		"failed in>r>c 2 the hub does not answer",
		"failed in>bad>a 2 the hub does not answer",
		`failed in>wrong> 2 its expressions fail on stream "f": no such field`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDeadLetters(t *testing.T) {
	sometimes := filterFunc(func(event string) (string, bool, error) {
		switch event {
		case "skip":
			return "", false, nil
		case "fail":
			return "", false, errors.New("no such field")
		}
		return "rewritten." + event, true, nil
	})
	permanent := func() *recorder { return &recorder{fail: []error{router.Permanent(errors.New("no"))}} }
	for _, test := range []struct {
		name  string
		sinks map[string]router.Sink
		event string
		drop  bool
		want  []string
	}{
		{"none of what gets through", map[string]router.Sink{"a": new(recorder), "b": new(recorder)}, "x", false, nil},
		{"none of what is not wanted", map[string]router.Sink{"a": permanent(), "b": permanent()}, "skip", false, nil},
		{"an expression fails", map[string]router.Sink{"a": new(recorder), "b": new(recorder)}, "fail", false,
			[]string{"r [] demo.fail: no such field"}},
		{"one sink fails", map[string]router.Sink{"a": new(recorder), "b": permanent()}, "x", false,
			[]string{`r [b] demo.x: sink "b": no`}},
		{"both fail", map[string]router.Sink{"a": permanent(), "b": permanent()}, "x", false,
			[]string{`r [a b] demo.x: sink "a": no; sink "b": no`}},
		{"the source has no room", map[string]router.Sink{"a": new(recorder), "b": new(recorder)}, "x", true,
			[]string{"r [] demo.x: queue full"}},
		{"it has no room for what is not wanted", map[string]router.Sink{"a": new(recorder), "b": new(recorder)}, "skip", true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dead")
			store, err := deadletter.Open(dir, deadletter.Options{})
			if err != nil {
				t.Fatal(err)
			}
			r := route("r", "a", "b")
			r.Filter = sometimes
			err = deliver(plan(test.sinks, r), router.Options{DeadLetters: store}, func(next router.Sink) {
				s := router.Signal{ID: router.NextID(), Federation: "demo", Event: test.event, Data: []byte("data")}
				if test.drop {
					next.(router.Dropper).Drop(s, errors.New("queue full"))
				} else if err := next.Signal(t.Context(), s); err != nil && !errors.Is(err, router.ErrNotTaken) {
					t.Error(err)
				}
			})
			if err := errors.Join(err, store.Close()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for l, err := range deadletter.List(dir, "") {
				if err != nil {
					t.Fatal(err)
				}
				if string(l.Data) != "data" {
					t.Errorf("the data is %q", l.Data)
				}
				got = append(got, fmt.Sprintf("%s %v %s: %s", l.Route, l.Sinks, l.FullName(), l.Error))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
