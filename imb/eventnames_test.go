package imb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb"
	"imbrouter/imb/wire"
)

func TestEventNames(t *testing.T) {
	c := connectHub(t, imb.Options{})
	ready(t, c, c.Event("a"))
	must(t, c.Event("b").Publish())
	both := wire.EventNamesPublishers | wire.EventNamesSubscribers
	var queries sync.WaitGroup
	for filter, want := range map[string][]wire.EventName{
		"demo.*": {{Name: "demo.a", Publishers: 1, Subscribers: 1}, {Name: "demo.b", Publishers: 1}},
		"demo.b": {{Name: "demo.b", Publishers: 1}},
		"none.*": nil,
	} {
		queries.Go(func() {
			for range 10 {
				got, err := c.EventNames(t.Context(), filter, both)
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("%q: error %v (-want +got):\n%s", filter, err, diff)
				}
			}
		})
	}
	queries.Wait()
}

// The answer to a question that nobody waits for any more is not taken for
// that to the next one; and a hub may answer in several frames, or not at all.
func TestEventNamesOfAHubThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, p := connectScripted(t, imb.Options{}, nil)
		type answer struct {
			names []wire.EventName
			err   error
		}
		ask := func(ctx context.Context) <-chan answer {
			got := make(chan answer, 1)
			go func() {
				names, err := c.EventNames(ctx, "*", 0)
				got <- answer{names, err}
			}()
			return got
		}
		names := func(names ...string) []byte {
			var all []wire.EventName
			for _, n := range names {
				all = append(all, wire.EventName{Name: n})
			}
			return wire.AppendEventNames(nil, all)
		}
		ctx, cancel := context.WithCancel(t.Context())
		first := ask(ctx)
		p.ExpectCommand(wire.CmdRequestEventNames)
		cancel()
		if a := <-first; !errors.Is(a.err, context.Canceled) {
			t.Errorf("the first question is answered with %+v", a)
		}
		second := ask(t.Context())
		synctest.Wait()
		p.Send(names("first"))
		p.serve() // the token after the first question
		p.ExpectCommand(wire.CmdRequestEventNames)
		p.Send(names("second", "and"), names("third"))
		p.serve()
		if a := <-second; a.err != nil || len(a.names) != 3 || a.names[0].Name != "second" {
			t.Errorf("the second question is answered with %+v", a)
		}
		p.Send(names("nobody asked"))
		synctest.Wait()
		third := ask(t.Context())
		p.ExpectCommand(wire.CmdRequestEventNames)
		p.serve()
		if a := <-third; !errors.Is(a.err, imb.ErrNoAnswer) {
			t.Errorf("the third question is answered with %+v", a)
		}
		fourth := ask(t.Context())
		p.ExpectCommand(wire.CmdRequestEventNames)
		p.Close()
		if a := <-fourth; !errors.Is(a.err, imb.ErrDisconnected) {
			t.Errorf("the fourth question is answered with %+v", a)
		}
	})
}
