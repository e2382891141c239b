package imb_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/wire"
)

// streamTest is a client in a synctest bubble that records the streams that
// the test sends it.
type streamTest struct {
	*testing.T
	client *imb.Client
	hub    *scriptedHub
	peer   *peer
	event  string
	log    logRecorder
	*streamRecorder
}

func testStreams(t *testing.T, o imb.Options, test func(*streamTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &streamTest{T: t}
		o.Log, o.ReconnectMin = s.log.logger(), time.Millisecond
		o.PingInterval = time.Hour // the test does not answer
		s.client, s.hub, s.peer = connectScripted(t, o, func(c *imb.Client) {
			e := c.Event("e")
			s.event = e.Name()
			s.streamRecorder = recordStreams(e)
			must(t, e.Subscribe())
		})
		test(s)
	})
}

func (s *streamTest) header(id int32, name string) { s.peer.Send(s.peer.header(s.event, id, name)) }
func (s *streamTest) body(id int32, data string)   { s.peer.Send(s.peer.body(s.event, id, data)) }
func (s *streamTest) tail(id int32, data string)   { s.peer.Send(s.peer.tail(s.event, id, data)) }

// want checks what became of the streams so far: "name data error", where the
// error is "open" for one that has not ended.
func (s *streamTest) want(want ...string) {
	s.Helper()
	synctest.Wait()
	var got []string
	for _, r := range s.all() {
		end := "open"
		if r.Ended {
			end = "whole"
			for _, e := range []error{imb.ErrStreamCollision, imb.ErrStreamCut, imb.ErrStreamIdle, imb.ErrDisconnected, imb.ErrOverflow, errDisk} {
				if errors.Is(r.Err, e) {
					end = e.Error()
				}
			}
		}
		got = append(got, fmt.Sprintf("%s %q %s", r.StreamName, r.Data, end))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.Errorf("streams are\n%q, want\n%q", got, want)
	}
}

var (
	errDisk   = errors.New("disk full")
	collision = imb.ErrStreamCollision.Error()
	cut       = imb.ErrStreamCut.Error()
	idle      = imb.ErrStreamIdle.Error()
)

func TestStreamsInterleave(t *testing.T) {
	testStreams(t, imb.Options{}, func(s *streamTest) {
		s.header(1, "a")
		s.header(2, "b")
		s.body(1, "a1")
		s.body(2, "b1")
		s.tail(1, "a2")
		s.body(2, "b2")
		s.tail(2, "")
		s.want(`a "a1a2" whole`, `b "b1b2" whole`)
		s.header(1, "a again") // an id is free after the tail
		s.tail(1, "")
		s.want(`a "a1a2" whole`, `b "b1b2" whole`, `a again "" whole`)
		if st := s.client.Stats(); st.StreamsReceived != 3 || st.StreamsIncomplete != 0 || st.StrayChunks != 0 {
			t.Errorf("stats are %+v", st)
		}
	})
}

func TestStreamDetailsAreKept(t *testing.T) {
	testStreams(t, imb.Options{}, func(s *streamTest) {
		s.peer.Send(wire.AppendEvent(nil, wire.Event{
			ID: hubID(s.peer.ids[s.event]), Tick: 9, Kind: wire.StreamHeader, Flags: wire.Priority,
			Data: wire.AppendStreamStart(nil, wire.StreamStart{StreamID: -7, Name: "../\x00"}),
		}))
		synctest.Wait()
		got := s.all()[0].IncomingStream
		want := imb.IncomingStream{Event: s.client.Event("e"), Name: "demo.e", StreamID: -7, StreamName: "../\x00", Flags: wire.Priority, Tick: 9}
		if got != want {
			t.Errorf("the stream is %+v, want %+v", got, want)
		}
	})
}

func TestSameIDTwiceAtOnceTaintsBoth(t *testing.T) {
	testStreams(t, imb.Options{CollisionQuiet: 2 * time.Second}, func(s *streamTest) {
		s.header(1, "a")
		s.body(1, "a1")
		letPass(1900 * time.Millisecond)
		s.header(1, "b")
		s.want(`a "a1" `+collision, `b "" `+collision)
		s.body(1, "?")
		letPass(1900 * time.Millisecond)
		s.tail(1, "?") // of one of the two; the other one may go on
		letPass(1900 * time.Millisecond)
		s.header(1, "c") // has not been quiet
		s.want(`a "a1" `+collision, `b "" `+collision, `c "" `+collision)
		letPass(2 * time.Second)
		s.header(1, "d")
		s.tail(1, "d1")
		s.want(`a "a1" `+collision, `b "" `+collision, `c "" `+collision, `d "d1" whole`)
		if n := s.client.Stats().Collisions; n != 2 {
			t.Errorf("%d collisions are counted, want 2", n)
		}
		if n := s.log.count("same id"); n != 1 {
			t.Errorf("the log tells of collisions in %d lines, want 1", n)
		}
	})
}

func TestSilentStreamMakesWayForAnotherWithItsID(t *testing.T) {
	testStreams(t, imb.Options{CollisionQuiet: 2 * time.Second}, func(s *streamTest) {
		s.header(1, "a")
		s.body(1, "a1")
		letPass(2 * time.Second)
		s.header(1, "b")
		s.tail(1, "b1")
		s.want(`a "a1" `+cut, `b "b1" whole`)
	})
}

func TestSameIDOnDifferentEventsIsNoCollision(t *testing.T) {
	testStreams(t, imb.Options{}, func(s *streamTest) {
		other := s.client.Event("other")
		others := recordStreams(other)
		must(t, other.Subscribe())
		s.peer.serveUntil(wire.CmdSubscribe)
		s.header(1, "a")
		s.peer.Send(s.peer.header(other.Name(), 1, "b"), s.peer.tail(other.Name(), 1, "b1"))
		s.tail(1, "a1")
		s.want(`a "a1" whole`)
		if got := others.all(); len(got) != 1 || got[0].Err != nil || string(got[0].Data) != "b1" {
			t.Errorf("the other event's streams are %+v", got)
		}
	})
}

// Bytes of a stream whose beginning was missed do not end up in another one.
func TestChunksWithoutAHeaderAreDropped(t *testing.T) {
	testStreams(t, imb.Options{}, func(s *streamTest) {
		s.body(1, "?")
		s.header(1, "a") // while the other one is at it
		s.body(1, "?")
		s.tail(2, "?")
		s.header(2, "b") // the other one has ended
		s.tail(2, "b1")
		s.want(`a "" `+collision, `b "b1" whole`)
		if n := s.client.Stats().StrayChunks; n != 3 {
			t.Errorf("%d stray chunks are counted, want 3", n)
		}
	})
}

func TestDeclinedStream(t *testing.T) {
	testStreams(t, imb.Options{}, func(s *streamTest) {
		e := s.client.Event("e")
		remove := e.HandleStreams(func(imb.IncomingStream) imb.StreamReceiver { return nil })
		s.header(1, "a")
		s.body(1, "a1")
		s.tail(1, "")
		synctest.Wait()
		again := recordStreams(e)
		remove() // is not in force any more and changes nothing
		s.header(1, "b")
		s.tail(1, "b1")
		synctest.Wait()
		if got := again.all(); len(got) != 1 || got[0].StreamName != "b" || string(got[0].Data) != "b1" {
			t.Errorf("streams are %+v", got)
		}
		s.want()
	})
}

func TestReceiverThatFails(t *testing.T) {
	testStreams(t, imb.Options{}, func(s *streamTest) {
		s.failWrite = errDisk
		s.header(1, "a")
		s.body(1, "a1")
		s.want(`a "" disk full`)
		s.body(1, "a2")
		s.tail(1, "")
		s.want(`a "" disk full`)
	})
}

func TestSilentStreamEnds(t *testing.T) {
	testStreams(t, imb.Options{StreamIdleTimeout: 40 * time.Second}, func(s *streamTest) {
		s.header(1, "a")
		s.header(2, "b")
		for range 4 {
			letPass(30 * time.Second)
			s.body(1, ".")
			s.peer.Send(wire.AppendFrame(nil, wire.CmdHeartBeat, nil)) // the connection is no stream
		}
		s.want(`a "...." open`, `b "" `+idle)
		letPass(46 * time.Second) // an eighth more
		s.want(`a "...." `+idle, `b "" `+idle)
		s.tail(1, "late")
		s.want(`a "...." `+idle, `b "" `+idle)
	})
}

// A stream whose next bytes wait, because the handlers are slow or the queue
// is full, is not silent; and its id is not free.
func TestStreamIsNotSilentWhileHandlersAreSlow(t *testing.T) {
	testStreams(t, imb.Options{StreamIdleTimeout: 40 * time.Second, ReceiveQueue: 1000, BlockTimeout: time.Hour}, func(s *streamTest) {
		release := make(chan struct{})
		other := s.client.Event("slow")
		other.HandleAll(func(imb.Message) { <-release })
		must(t, other.Subscribe())
		s.peer.serveUntil(wire.CmdSubscribe)
		s.header(1, "a")
		s.header(2, "b")
		s.peer.Send(s.peer.event(other.Name(), wire.NormalEvent, nil))
		s.peer.Send(s.peer.body(s.event, 1, "a1"))
		big := string(make([]byte, 900))
		s.peer.Send(s.peer.body(s.event, 3, big)) // is held up
		letPass(10 * time.Minute)
		close(release)
		synctest.Wait()
		s.body(1, "a2")
		s.header(2, "c")
		s.tail(1, "")
		s.want(`a "a1a2" whole`, `b "" `+collision, `c "" `+collision)
	})
}

func TestLostConnectionEndsStreams(t *testing.T) {
	testStreams(t, imb.Options{}, func(s *streamTest) {
		s.header(1, "a")
		s.body(1, "a1")
		synctest.Wait()
		s.peer.Close()
		s.peer = s.hub.accept()
		s.peer.greet()
		s.body(1, "?")
		s.header(2, "b")
		s.tail(2, "b1")
		s.want(`a "a1" `+imb.ErrDisconnected.Error(), `b "b1" whole`)
	})
}

func TestUnsubscribeEndsStreams(t *testing.T) {
	testStreams(t, imb.Options{}, func(s *streamTest) {
		s.header(1, "a")
		s.want(`a "" open`)
		must(t, s.client.Event("e").Unsubscribe())
		s.peer.ExpectCommand(wire.CmdUnsubscribe)
		s.peer.Send(wire.AppendSetEventIDTranslation(nil, wire.Translation{HubID: hubID(s.peer.ids[s.event]), ClientID: -1}))
		s.want(`a "" ` + cut)
	})
}

func TestCloseEndsStreams(t *testing.T) {
	testStreams(t, imb.Options{}, func(s *streamTest) {
		s.header(1, "a")
		synctest.Wait()
		closeNow(t, s.client)
		s.want(`a "" ` + imb.ErrDisconnected.Error())
		if err := s.all()[0].Err; !errors.Is(err, imb.ErrClosed) && err == nil {
			t.Errorf("the stream ended with %v", err)
		}
	})
}

func TestMaxStreams(t *testing.T) {
	testStreams(t, imb.Options{MaxStreams: 2}, func(s *streamTest) {
		for id := range int32(5) {
			s.header(id, fmt.Sprint(id))
		}
		s.tail(4, "refused")
		s.tail(0, "")
		s.header(5, "5")
		s.want(`0 "" whole`, `1 "" open`, `5 "" open`)
		if n := s.client.Stats().StreamsRefused; n != 3 {
			t.Errorf("%d streams are counted as refused, want 3", n)
		}
		if n := s.log.count("too many incoming streams"); n != 1 {
			t.Errorf("the log tells of it in %d lines, want 1", n)
		}
	})
}

// A name that would fill the memory and the log is not taken, whatever becomes
// of its stream.
func TestStreamNameTooLong(t *testing.T) {
	testStreams(t, imb.Options{}, func(s *streamTest) {
		longest := strings.Repeat("x", wire.MaxStreamNameLength)
		s.header(1, longest)
		s.tail(1, "")
		s.header(2, longest+"x")
		s.body(2, "of nobody")
		s.tail(2, "")
		s.header(3, "a")
		s.header(3, strings.Repeat("x", 2<<20)) // its id is in use
		s.header(4, "b")
		s.want(longest+` "" whole`, `a "" `+collision, `b "" open`)
		if n := s.client.Stats().StreamsRefused; n != 2 {
			t.Errorf("%d streams are counted as refused, want 2", n)
		}
		if n := s.log.count("name is too long"); n != 1 {
			t.Errorf("the log tells of it in %d lines, want 1", n)
		}
		if n := s.log.count(longest); n > 0 {
			t.Errorf("%d lines of the log have it whole", n)
		}
	})
}

func TestMalformedStreamDataIsCounted(t *testing.T) {
	testStreams(t, imb.Options{}, func(s *streamTest) {
		for _, kind := range []wire.Kind{wire.StreamHeader, wire.StreamBody, wire.StreamTail} {
			s.peer.Send(s.peer.event(s.event, kind, []byte{1, 2}))
		}
		s.peer.Send(s.peer.event(s.event, wire.StreamHeader, []byte{1, 0, 0, 0, 255, 255, 255, 127}))
		s.header(1, "a")
		s.want(`a "" open`)
		if n := s.client.Stats().Malformed; n != 4 {
			t.Errorf("%d payloads are counted as malformed, want 4", n)
		}
		closeNow(t, s.client)
		if n := s.log.count("malformed"); n != 2 { // the first, and then the count of the others
			t.Errorf("the log tells of it in %d lines, want 2", n)
		}
	})
}
