package imb_test

import (
	"errors"
	"strings"
	"testing"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// pair returns a publisher and a subscriber on one hub.
func pair(t *testing.T) (addr string, publisher, subscriber *imb.Client) {
	t.Helper()
	addr, h := imbtest.StartHub(t, hub.Options{})
	return addr, connect(t, imb.Options{Dial: h.Dial}), connect(t, imb.Options{Dial: h.Dial})
}

// What the hub told a publisher does not outlive the publication.
func TestHasSubscribersIsForgottenWithThePublication(t *testing.T) {
	_, publisher, subscriber := pair(t)
	e, other := publisher.Event("e"), subscriber.Event("e")
	must(t, e.Publish())
	must(t, other.Subscribe())
	must(t, subscriber.Flush(t.Context()))
	must(t, publisher.Flush(t.Context()))
	if !e.HasSubscribers() {
		t.Fatal("the hub told of no subscriber")
	}
	must(t, e.Unpublish())
	must(t, publisher.Flush(t.Context()))
	must(t, other.Unsubscribe())
	must(t, subscriber.Flush(t.Context()))
	must(t, e.Publish())
	must(t, publisher.Flush(t.Context()))
	if e.HasSubscribers() {
		t.Error("nobody subscribes any more, and yet somebody is known to")
	}
}

// ended is a receiver that tells how its stream ended.
type ended chan error

func (ended) Write(p []byte) (int, error) { return len(p), nil }
func (e ended) End(err error)             { e <- err }

// A subscription that changes which Event a hub's event goes to cuts its
// streams: the hub sends their rest to nobody.
func TestStreamIsCutWhenItsEventChanges(t *testing.T) {
	for name, change := range map[string]func(exact *imb.Event) error{
		"from a wildcard to the exact name": (*imb.Event).Subscribe,
		"from the exact name to a wildcard": (*imb.Event).Unsubscribe,
	} {
		t.Run(name, func(t *testing.T) {
			_, publisher, subscriber := pair(t)
			begun, end := make(chan struct{}, 1), make(ended, 1)
			wildcard, exact := subscriber.Event("f.*"), subscriber.Event("f.a")
			for _, e := range []*imb.Event{wildcard, exact} {
				e.HandleStreams(func(imb.IncomingStream) imb.StreamReceiver {
					begun <- struct{}{}
					return end
				})
			}
			must(t, wildcard.Subscribe())
			if strings.HasPrefix(name, "from the exact") {
				must(t, exact.Subscribe())
			}
			must(t, subscriber.Flush(t.Context()))
			e := publisher.Event("f.a")
			must(t, e.Publish())
			out, err := e.OpenStream(t.Context(), "n", imb.StreamOptions{})
			must(t, err)
			<-begun
			must(t, change(exact))
			if err := <-end; !errors.Is(err, imb.ErrStreamCut) || !strings.Contains(err.Error(), "another subscription") {
				t.Errorf("the stream ended with %v", err)
			}
			out.Abort()
		})
	}
}

// Under a wildcard the hub tells that nobody publishes an event any more: the
// stream of a sender that is gone need not be waited for.
func TestSenderThatLeaves(t *testing.T) {
	_, publisher, subscriber := pair(t)
	wildcard := subscriber.Event("f.*")
	end := make(ended, 1)
	wildcard.HandleStreams(func(imb.IncomingStream) imb.StreamReceiver { return end })
	must(t, wildcard.Subscribe())
	must(t, subscriber.Flush(t.Context()))
	e := publisher.Event("f.a")
	must(t, e.Publish())
	_, err := e.OpenStream(t.Context(), "n", imb.StreamOptions{})
	must(t, err)
	must(t, publisher.Flush(t.Context()))
	closeNow(t, publisher)
	const want = `stream "n": stream was cut off: its sender has left: the hub knows no publisher of the event any more`
	if err := <-end; !errors.Is(err, imb.ErrStreamCut) || err.Error() != want {
		t.Errorf("the stream ended with %v, want %s", err, want)
	}
}

// A name that the hub would refuse is refused here, where somebody is told.
func TestNameThatIsTooLong(t *testing.T) {
	_, publisher, _ := pair(t)
	must(t, publisher.FullEvent(strings.Repeat("x", wire.MaxNameLength)).Publish())
	if err := publisher.FullEvent(strings.Repeat("x", wire.MaxNameLength+1)).Publish(); !errors.Is(err, imb.ErrNameTooLong) {
		t.Errorf("error is %v", err)
	}
}

// The events by which clients flush are nobody else's: not under a wildcard,
// nor in the list of names.
func TestFlushIsPrivate(t *testing.T) {
	addr, publisher, subscriber := pair(t)
	raw := imbtest.DialRaw(t, addr)
	raw.ExpectCommand(wire.CmdUniqueClientID)
	raw.Send(wire.AppendSubscribe(nil, wire.EventRef{Name: "*"}))
	raw.Sync()
	must(t, publisher.Flush(t.Context()))
	must(t, subscriber.Flush(t.Context()))
	if frames := raw.Sync(); len(frames) > 0 {
		t.Errorf("another client received %v %q", frames[0].Command, frames[0].Payload)
	}
	names, err := publisher.EventNames(t.Context(), "*", wire.EventNamesSubscribers)
	must(t, err)
	if len(names) > 0 {
		t.Errorf("listed: %+v", names)
	}
}
