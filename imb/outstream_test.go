package imb_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// rawReceiver subscribes an event at a hub and sees the frames that arrive.
func rawReceiver(t *testing.T, addr, event string) *imbtest.RawConn {
	r := imbtest.DialRaw(t, addr)
	r.Send(wire.AppendSubscribe(nil, wire.EventRef{ID: 0, Name: event}))
	for r.Next().Command != wire.CmdSetEventIDTranslation {
	}
	return r
}

// nextStream returns the events of the next stream, up to its tail.
func nextStream(r *imbtest.RawConn) []wire.Event {
	var events []wire.Event
	for {
		f := r.Next()
		if f.Command != wire.CmdEvent {
			continue // a notice about publishers
		}
		e, _ := wire.ParseEvent(f.Payload)
		if events = append(events, e); e.Kind == wire.StreamTail {
			return events
		}
	}
}

// recordedStreams returns the events of the streams that pyimb sent.
func recordedStreams(t *testing.T) [][]wire.Event {
	var streams [][]wire.Event
	r := wire.NewReader(bytes.NewReader(imbtest.PyimbClient()))
	for {
		f, err := r.Next()
		if err == io.EOF {
			return streams
		}
		must(t, err)
		if f.Command != wire.CmdEvent {
			continue
		}
		e, err := wire.ParseEvent(bytes.Clone(f.Payload))
		must(t, err)
		if e.Kind == wire.StreamHeader {
			streams = append(streams, nil)
		}
		if e.Kind.IsStream() {
			last := &streams[len(streams)-1]
			*last = append(*last, e)
		}
	}
}

// withoutIDs blanks what a sender and a hub choose.
func withoutIDs(events []wire.Event) []wire.Event {
	var out []wire.Event
	for _, e := range events {
		e.ID = 0
		e.Data = append(make([]byte, wire.StreamHeaderSize), e.Data[wire.StreamHeaderSize:]...)
		out = append(out, e)
	}
	return out
}

func TestSendStreamSendsWhatPyimbSends(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	c := connect(t, imb.Options{Address: addr})
	e := c.Event("e")
	must(t, e.Publish())
	receiver := rawReceiver(t, addr, e.Name())
	ids := make(map[int32]bool)
	for _, want := range recordedStreams(t) {
		start, err := wire.ParseStreamStart(want[0].Data)
		must(t, err)
		var data []byte
		for _, part := range want[1:] {
			data = append(data, part.Data[wire.StreamHeaderSize:]...)
		}
		told := int32(0)
		n, err := e.SendStream(t.Context(), start.Name, iotest.OneByteReader(bytes.NewReader(data)), imb.StreamOptions{OnID: func(id int32) { told = id }})
		if n != int64(len(data)) || err != nil {
			t.Errorf("SendStream returned %d, %v", n, err)
		}
		got := nextStream(receiver)
		if diff := cmp.Diff(withoutIDs(want), withoutIDs(got)); diff != "" {
			t.Errorf("stream %q (-want +got):\n%s", start.Name, diff)
		}
		for _, part := range got {
			if chunk, _ := wire.ParseStreamChunk(part.Data); chunk.StreamID != told || told <= 0 {
				t.Errorf("a part of stream %q has id %d, OnID was told %d", start.Name, chunk.StreamID, told)
			}
		}
		ids[told] = true
	}
	if len(ids) != 3 {
		t.Errorf("the three streams have the ids %v", ids)
	}
}

func TestStreamOptions(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	c := connect(t, imb.Options{Address: addr})
	e := c.Event("e")
	must(t, e.Publish())
	receiver := rawReceiver(t, addr, e.Name())
	_, err := e.SendStream(t.Context(), "x", strings.NewReader("0123456789"), imb.StreamOptions{ChunkSize: 4, Flags: wire.Priority | 0x400, Tick: 12})
	must(t, err)
	var sizes []int
	for _, part := range nextStream(receiver) {
		if part.Flags != wire.Priority|0x400 || part.Tick != 12 {
			t.Errorf("a part has flags %x, tick %d", part.Flags, part.Tick)
		}
		sizes = append(sizes, len(part.Data)-wire.StreamHeaderSize)
	}
	if diff := cmp.Diff([]int{5, 4, 4, 2}, sizes); diff != "" { // the header's is the name
		t.Errorf("sizes of the parts (-want +got):\n%s", diff)
	}
	for _, size := range []int{-1, wire.MaxEventData - wire.StreamHeaderSize + 1} {
		if _, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{ChunkSize: size}); !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("chunk size %d: error is %v", size, err)
		}
	}
	if _, err := e.OpenStream(t.Context(), strings.Repeat("x", wire.MaxStreamNameLength+1), imb.StreamOptions{}); !errors.Is(err, imb.ErrNameTooLong) {
		t.Errorf("a name that no receiver takes: error is %v", err)
	}
	if _, err := c.Event("other").OpenStream(t.Context(), "x", imb.StreamOptions{}); !errors.Is(err, imb.ErrNotPublished) {
		t.Errorf("an event that is not published: error is %v", err)
	}
}

// No payload holds the end magic, wherever it stands in the body.
func TestEndMagicIsSplit(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	c := connect(t, imb.Options{Address: addr})
	e := c.Event("e")
	must(t, e.Publish())
	receiver := rawReceiver(t, addr, e.Name())
	const chunk = 16
	for at := range chunk + 2 {
		data := slices.Concat(make([]byte, at), wire.EndMagic, wire.EndMagic, make([]byte, at%5), wire.EndMagic)
		for what, send := range map[string]func(imb.StreamOptions) error{
			"SendStream": func(o imb.StreamOptions) error {
				_, err := e.SendStream(t.Context(), "x", bytes.NewReader(data), o)
				return err
			},
			"Write": func(o imb.StreamOptions) error {
				s, err := e.OpenStream(t.Context(), "x", o)
				must(t, err)
				if _, err := s.Write(data); err != nil {
					return err
				}
				return s.Close(t.Context())
			},
		} {
			must(t, send(imb.StreamOptions{ChunkSize: chunk}))
			var got []byte
			for _, part := range nextStream(receiver)[1:] {
				if bytes.Contains(part.Data, wire.EndMagic) {
					t.Errorf("%s, magic at %d: %v carries it", what, at, part.Kind)
				}
				if len(part.Data) > chunk+wire.StreamHeaderSize {
					t.Errorf("%s, magic at %d: %v has %d bytes", what, at, part.Kind, len(part.Data))
				}
				got = append(got, part.Data[wire.StreamHeaderSize:]...)
			}
			if !bytes.Equal(got, data) {
				t.Errorf("%s, magic at %d: received %x, want %x", what, at, got, data)
			}
			must(t, send(imb.StreamOptions{ChunkSize: 1000, AllowEndMagic: true}))
			whole := false
			for _, part := range nextStream(receiver) {
				whole = whole || bytes.Equal(part.Data[wire.StreamHeaderSize:], data)
			}
			if !whole {
				t.Errorf("%s, magic at %d: split although it is allowed", what, at)
			}
		}
	}
}

func TestWriteSendsAtOnce(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e := c.Event("e")
	streams := recordStreams(e)
	ready(t, c, e)
	s, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{})
	must(t, err)
	arrived := func(want string) {
		t.Helper()
		must(t, c.Flush(t.Context()))
		imbtest.Eventually(t, func() bool {
			all := streams.all()
			return len(all) == 1 && string(all[0].Data) == want
		}, "%q has arrived", want)
	}
	arrived("")
	io.WriteString(s, "one")
	arrived("one")
	n, err := s.ReadFrom(strings.NewReader("two"))
	if n != 3 || err != nil {
		t.Errorf("ReadFrom returned %d, %v", n, err)
	}
	arrived("one") // waits for more, or for the tail
	io.WriteString(s, "three")
	arrived("onetwothree")
	s.ReadFrom(strings.NewReader("four"))
	must(t, s.Close(t.Context()))
	if got := streams.wait(t, 1)[0]; string(got.Data) != "onetwothreefour" || got.Err != nil {
		t.Errorf("received %+v", got)
	}
}

// Whatever goes wrong, there is no tail.
func TestBrokenStreamsGetNoTail(t *testing.T) {
	errRead := errors.New("bad sector")
	for _, test := range []struct {
		what string
		send func(*testing.T, *imb.Event) error
		want error
	}{
		{"the reader fails", func(t *testing.T, e *imb.Event) error {
			n, err := e.SendStream(t.Context(), "x", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(errRead)), imb.StreamOptions{ChunkSize: 1})
			if n != 3 {
				t.Errorf("SendStream returned %d", n)
			}
			return err
		}, errRead},
		{"the reader of ReadFrom fails, and Close comes nevertheless", func(t *testing.T, e *imb.Event) error {
			s, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{})
			must(t, err)
			if _, err := s.ReadFrom(iotest.ErrReader(errRead)); !errors.Is(err, errRead) {
				t.Errorf("ReadFrom returned %v", err)
			}
			return s.Close(t.Context())
		}, errRead},
		{"the reader never gets on", func(t *testing.T, e *imb.Event) error {
			_, err := e.SendStream(t.Context(), "x", stuck{}, imb.StreamOptions{})
			return err
		}, io.ErrNoProgress},
		{"ctx ends", func(t *testing.T, e *imb.Event) error {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := e.SendStream(ctx, "x", readerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }), imb.StreamOptions{})
			return err
		}, context.Canceled},
		{"it is aborted", func(t *testing.T, e *imb.Event) error {
			s, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{})
			must(t, err)
			io.WriteString(s, "abc")
			s.Abort()
			s.Abort() // has no effect
			if _, err := s.Write([]byte("d")); !errors.Is(err, imb.ErrStreamEnded) {
				t.Errorf("Write returned %v", err)
			}
			return s.Close(t.Context())
		}, imb.ErrStreamEnded},
		{"the event is unpublished", func(t *testing.T, e *imb.Event) error {
			s, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{})
			must(t, err)
			must(t, e.Unpublish())
			_, err = io.WriteString(s, "abc")
			if cerr := s.Close(t.Context()); !errors.Is(cerr, imb.ErrNotPublished) {
				t.Errorf("Close returned %v", cerr)
			}
			return err
		}, imb.ErrNotPublished},
	} {
		t.Run(test.what, func(t *testing.T) {
			addr, _ := imbtest.StartHub(t, hub.Options{})
			receiver := connect(t, imb.Options{Address: addr})
			streams := recordStreams(receiver.Event("e"))
			end := collectTexts(t, receiver.Event("e"))
			ready(t, receiver, receiver.Event("e"))

			c := connect(t, imb.Options{Address: addr})
			e := c.Event("e")
			must(t, e.Publish())
			if err := test.send(t, e); !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			must(t, e.Publish())
			must(t, e.SignalString(t.Context(), "end"))
			end.Wait(t, 1)
			if all := streams.all(); len(all) != 1 || all[0].Ended {
				t.Errorf("received %+v", all)
			}
		})
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestClosedStreamIsClosed(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e := c.Event("e")
	streams := recordStreams(e)
	ready(t, c, e)
	s, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{})
	must(t, err)
	must(t, s.Close(t.Context()))
	if err := s.Close(t.Context()); !errors.Is(err, imb.ErrStreamEnded) {
		t.Errorf("the second Close returned %v", err)
	}
	if _, err := s.ReadFrom(strings.NewReader("x")); !errors.Is(err, imb.ErrStreamEnded) {
		t.Errorf("ReadFrom returned %v", err)
	}
	s.Abort() // does nothing
	if got := streams.wait(t, 1); got[0].Err != nil || len(got[0].Data) != 0 {
		t.Errorf("received %+v", got)
	}
}

func TestStreamIDsAreNotUsedAgain(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e := c.Event("e")
	must(t, e.Publish())
	last := make(map[int32]int) // when an id was used last
	for i := range 3000 {
		s, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{})
		must(t, err)
		before, used := last[s.ID()]
		if used && i-before <= 1000 || s.ID() <= 0 || !wire.SafeStreamID(s.ID()) {
			t.Fatalf("stream %d has id %d, used %v by stream %d", i, s.ID(), used, before)
		}
		last[s.ID()] = i
		must(t, s.Close(t.Context()))
	}
}

func TestStreamWithoutAConnection(t *testing.T) {
	h := newScriptedHub(t)
	c := connect(t, imb.Options{Dial: h.Dial, Retry: true})
	e := c.Event("e")
	must(t, e.Publish())
	if _, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{}); !errors.Is(err, imb.ErrNotConnected) {
		t.Errorf("OpenStream returned %v", err)
	}
	if err := c.SetVariable(t.Context(), "x", nil); !errors.Is(err, imb.ErrNotConnected) {
		t.Errorf("SetVariable returned %v", err)
	}
	if _, err := c.EventNames(t.Context(), "*", 0); !errors.Is(err, imb.ErrNotConnected) {
		t.Errorf("EventNames returned %v", err)
	}
}

// A stream that waits for room fails as soon as its connection is lost, though
// the queue stays full.
func TestWaitingStreamFailsWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, p := connectScripted(t, imb.Options{SendQueue: 1000}, nil)
		e := c.Event("e")
		must(t, e.Publish())
		p.serveUntil(wire.CmdPublish)
		s, err := e.OpenStream(t.Context(), "x", imb.StreamOptions{})
		must(t, err)
		p.ExpectEvent(wire.StreamHeader)
		must(t, e.Signal(t.Context(), wire.NormalEvent, make([]byte, 5000)))
		wrote := make(chan error, 1)
		go func() {
			_, err := s.Write(make([]byte, 10))
			wrote <- err
		}()
		synctest.Wait()
		if len(wrote) != 0 {
			t.Fatalf("Write found room in a full queue: %v", <-wrote)
		}
		p.Close()
		synctest.Wait()
		if len(wrote) == 0 {
			t.Fatal("Write waits although the connection is lost")
		}
		if err := <-wrote; !errors.Is(err, imb.ErrDisconnected) {
			t.Errorf("Write returned %v", err)
		}
	})
}
