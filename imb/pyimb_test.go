package imb_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

func TestOneEventObjectForEachName(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e := c.Event("my event")
	if e.Name() != "demo.my event" || e.ShortName() != "my event" {
		t.Errorf("names are %q and %q", e.Name(), e.ShortName())
	}
	for what, other := range map[string]*imb.Event{
		"again": c.Event("my event"), "by full name": c.FullEvent("demo.my event"), "in other case": c.FullEvent("DEMO.My Event"),
	} {
		if other != e {
			t.Errorf("%s it is another object", what)
		}
	}
	if found, ok := c.LookupEvent(c.FullName("my event")); !ok || found != e {
		t.Errorf("LookupEvent returned %v, %v", found, ok)
	}
	if found, ok := c.LookupEvent("demo.unknown"); ok || found != nil {
		t.Errorf("LookupEvent of an unknown name returned %v, %v", found, ok)
	}
	foreign := c.FullEvent("other.event")
	if foreign.ShortName() != "other.event" {
		t.Errorf("short name outside of the federation is %q", foreign.ShortName())
	}
	if c.FullEvent("\xe9") == c.FullEvent("\xe8") {
		t.Error("names that are not UTF-8 are mixed up")
	}
}

func TestClientPublishAndSubscribeByShortName(t *testing.T) {
	c := connectHub(t, imb.Options{})
	calls := []struct {
		what  string
		call  func(string) (*imb.Event, error)
		makes bool // the event, if need be
	}{
		{"Unpublish", c.Unpublish, false},
		{"Unsubscribe", c.Unsubscribe, false},
		{"Publish", c.Publish, true},
		{"Subscribe", c.Subscribe, true},
	}
	for _, test := range calls {
		name := "for " + test.what
		e, err := test.call(name)
		found, ok := c.LookupEvent(c.FullName(name))
		if err != nil || e != found || ok != test.makes {
			t.Errorf("%s of a new name returned %v, %v", test.what, e, err)
		}
	}
	e := c.Event("x")
	for _, test := range calls {
		if got, err := test.call("x"); got != e || err != nil {
			t.Errorf("%s of a known name returned %v, %v", test.what, got, err)
		}
	}
}

func TestSignalsComeBackAsTheyWereSent(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e := c.Event("signals")
	var got imbtest.Collector[imb.Message]
	e.HandleAll(func(m imb.Message) {
		m.Data = bytes.Clone(m.Data)
		got.Add(m)
	})
	ready(t, c, e)
	ctx := t.Context()
	must(t, e.Signal(ctx, wire.Buffer, wire.AppendBuffer(nil, wire.BufferData{BufferID: 3, Bytes: []byte("b")})))
	must(t, e.SignalString(ctx, "héllo wörld"))
	must(t, e.SignalChangeObject(ctx, wire.ActionChange, 42, "attr"))
	must(t, e.Send(ctx, imb.Message{Kind: 77, Flags: wire.Priority | 0x8000, Tick: -5, Data: []byte{1, 2}}))
	must(t, e.Signal(ctx, wire.NormalEvent, nil))
	must(t, e.Signal(ctx, wire.NormalEvent, make([]byte, wire.MaxEventData)))

	change := wire.AppendChangeObject(nil, wire.ChangeObjectData{Action: wire.ActionChange, ObjectID: 42, Attribute: "attr"})
	want := []imb.Message{
		{Kind: wire.Buffer, Data: []byte("\x03\x00\x00\x00\x01\x00\x00\x00b")},
		{Kind: wire.NormalEvent, Data: text("héllo wörld")},
		{Kind: wire.ChangeObject, Data: change},
		{Kind: 77, Flags: wire.Priority | 0x8000, Tick: -5, Data: []byte{1, 2}},
		{Kind: wire.NormalEvent, Data: []byte{}},
		{Kind: wire.NormalEvent, Data: make([]byte, wire.MaxEventData)},
	}
	for i, m := range got.Wait(t, len(want)) {
		w := want[i]
		if m.Event != e || m.Name != "demo.signals" || m.Kind != w.Kind || m.Flags != w.Flags || m.Tick != w.Tick || !bytes.Equal(m.Data, w.Data) {
			t.Errorf("signal %d is %+v, want %+v", i, m, w)
		}
	}
}

func TestSendRefuses(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e := c.Event("e")
	must(t, e.Publish())
	filter := c.Event("f*")
	must(t, filter.Subscribe())
	ctx := t.Context()
	for _, test := range []struct {
		what string
		err  error
		want error
	}{
		{"a stream header", e.Signal(ctx, wire.StreamHeader, nil), imb.ErrStreamKind},
		{"a stream tail", e.Signal(ctx, wire.StreamTail, nil), imb.ErrStreamKind},
		{"a byte too many", e.Signal(ctx, wire.NormalEvent, make([]byte, wire.MaxEventData+1)), wire.ErrTooLarge},
		{"on an event that is not published", c.Event("other").SignalString(ctx, ""), imb.ErrNotPublished},
		{"on a wildcard", filter.SignalString(ctx, ""), imb.ErrWildcard},
		{"publishing a wildcard", filter.Publish(), imb.ErrWildcard},
		{"subscribing a name that is too long", c.Event(strings.Repeat("x", 4096)).Subscribe(), imb.ErrNameTooLong},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: error is %v, want %v", test.what, test.err, test.want)
		}
	}
}

func TestHandlersByKind(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e := c.Event("kinds")
	for _, kind := range []wire.Kind{wire.StreamHeader, wire.StreamBody, wire.StreamTail} {
		if _, err := e.Handle(kind, func(imb.Message) {}); !errors.Is(err, imb.ErrStreamKind) {
			t.Errorf("a handler for kind %v: error is %v", kind, err)
		}
	}
	var got imbtest.Collector[string]
	note := func(who string) func(imb.Message) {
		return func(m imb.Message) { got.Add(who + " " + m.Kind.String()) }
	}
	handle := func(kind wire.Kind, who string) func() {
		remove, err := e.Handle(kind, note(who))
		must(t, err)
		return remove
	}
	handle(wire.NormalEvent, "first")
	removeSecond := handle(wire.NormalEvent, "second")
	handle(wire.ChangeObject, "third")
	removeAll := e.HandleAll(note("all"))
	ready(t, c, e)

	ctx := t.Context()
	must(t, e.SignalString(ctx, ""))
	must(t, e.SignalChangeObject(ctx, wire.ActionNew, 1, ""))
	got.Wait(t, 5)
	removeSecond()
	removeSecond() // has no effect
	must(t, e.SignalString(ctx, ""))
	got.Wait(t, 7)
	removeAll()
	must(t, e.SignalString(ctx, ""))
	want := []string{
		"first normal", "second normal", "all normal", "third change_object", "all change_object",
		"first normal", "all normal",
		"first normal",
	}
	if diff := cmp.Diff(want, got.Wait(t, len(want))); diff != "" {
		t.Errorf("calls of handlers (-want +got):\n%s", diff)
	}
}

func TestHandlerRemovedByAnotherIsNotCalled(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e := c.Event("e")
	var got imbtest.Collector[string]
	var removeSecond func()
	e.HandleAll(func(imb.Message) {
		got.Add("first")
		removeSecond()
	})
	removeSecond = e.HandleAll(func(imb.Message) { got.Add("second") })
	ready(t, c, e)
	must(t, e.SignalString(t.Context(), ""))
	must(t, e.SignalString(t.Context(), ""))
	if diff := cmp.Diff([]string{"first", "first"}, got.Wait(t, 2)); diff != "" {
		t.Errorf("calls of handlers (-want +got):\n%s", diff)
	}
}

func TestUnsubscribedEventsAreNotHandled(t *testing.T) {
	c := connectHub(t, imb.Options{})
	e, other := c.Event("e"), c.Event("other")
	got, others := collectTexts(t, e), collectTexts(t, other)
	ready(t, c, e)
	ready(t, c, other)
	ctx := t.Context()
	must(t, e.SignalString(ctx, "1"))
	got.Wait(t, 1)
	must(t, e.Unsubscribe())
	must(t, e.SignalString(ctx, "2"))
	must(t, other.SignalString(ctx, "end"))
	others.Wait(t, 1)
	must(t, e.Subscribe())
	must(t, e.SignalString(ctx, "3"))
	if diff := cmp.Diff([]string{"1", "3"}, got.Wait(t, 2)); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
	if n := c.Stats().Untranslated; n != 0 {
		t.Errorf("%d events came without a translation", n)
	}
}

func TestRecordedHubIsUnderstood(t *testing.T) {
	h := newScriptedHub(t)
	c := connect(t, imb.Options{Dial: h.Dial, Retry: true, Federation: "my federation"})
	e := c.Event("my event")
	var signals imbtest.Collector[string]
	e.HandleAll(func(m imb.Message) { signals.Add(wire.Describe(m.Kind, m.Data)) })
	streams := recordStreams(e)
	must(t, e.Subscribe())

	p := h.accept()
	p.ExpectCommand(wire.CmdSetClientInfo)
	r, err := wire.ParseEventRef(p.ExpectCommand(wire.CmdSubscribe).Payload)
	if err != nil || r.ID != 0 || r.Name != "my federation.my event" {
		t.Fatalf("the first subscription is %+v, %v", r, err)
	}
	p.Send(imbtest.PyimbHub())

	want := []string{`"This string is sent"`, `"héllo wörld"`, `change object 42 "attr"`}
	if diff := cmp.Diff(want, signals.Wait(t, len(want))); diff != "" {
		t.Errorf("signals (-want +got):\n%s", diff)
	}
	bytes256 := make([]byte, 256)
	for i := range bytes256 {
		bytes256[i] = byte(i)
	}
	wantData := map[string][]byte{
		"test.bin": bytes.Repeat(bytes256, 200), "exact.bin": bytes.Repeat([]byte("x"), 32768), "empty.bin": nil,
	}
	got := streams.wait(t, len(wantData))
	for _, s := range got {
		want, ok := wantData[s.StreamName]
		if !ok || s.Err != nil || !bytes.Equal(s.Data, want) || s.Name != e.Name() || s.Event != e {
			t.Errorf("stream %q on %q ended with %v after %d bytes", s.StreamName, s.Name, s.Err, len(s.Data))
		}
	}
	if len(got) != len(wantData) {
		t.Errorf("%d streams, want %d", len(got), len(wantData))
	}
	if id, handle := c.UniqueID(); id != 1001 || handle != 1 {
		t.Errorf("unique client id is %d, handle %d", id, handle)
	}
	if s := c.Stats(); s.StreamsReceived != 3 || s.Malformed+s.Broken+s.Untranslated+s.StrayChunks != 0 {
		t.Errorf("stats are %+v", s)
	}
}
