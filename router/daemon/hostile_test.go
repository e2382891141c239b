package daemon_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// The whole daemon under streams that are broken, and clients that misbehave.

// Takes the address of a hub, and more keys of the sink.
const collecting = `
[connections.hub]
address = "%s"
federation = "demo"
[sources.hub]
type = "imb"
events = ["files"]
[routes.receive]
from = ["hub"]
to = ["inbox"]
[sinks.inbox]
type = "dir"
path = "received"
min_free = "0B"
%s
`

// rawSender publishes demo.files and sends any part of any stream.
type rawSender struct{ *imbtest.RawConn }

func dialSender(t *testing.T, addr string) rawSender {
	t.Helper()
	s := rawSender{imbtest.DialRaw(t, addr)}
	s.Send(wire.AppendPublish(nil, wire.EventRef{ID: 1, Name: "demo.files"}))
	s.Sync()
	return s
}

// header, body and tail send a part of a stream, and return when the hub has
// handled it.

func (s rawSender) header(id int32, name string) {
	s.part(wire.StreamHeader, wire.AppendStreamStart(nil, wire.StreamStart{StreamID: id, Name: name}))
}

func (s rawSender) body(id int32, text string) { s.chunk(wire.StreamBody, id, text) }
func (s rawSender) tail(id int32, text string) { s.chunk(wire.StreamTail, id, text) }

func (s rawSender) chunk(kind wire.Kind, id int32, text string) {
	s.part(kind, wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: id, Bytes: []byte(text)}))
}

func (s rawSender) part(kind wire.Kind, data []byte) {
	s.Send(wire.AppendEvent(nil, wire.Event{ID: 1, Kind: kind, Data: data}))
	s.Sync()
}

// lines returns the lines of the log that match.
func (r running) lines(expression string) []string {
	re := regexp.MustCompile(expression)
	var lines []string
	for line := range strings.Lines(r.Logged.String()) {
		if re.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// incomplete is what is kept of a stream, and what the reason beside it has to
// tell.
type incomplete struct{ body, cause string }

// awaitIncomplete waits until that many files are among the incomplete ones,
// and checks them.
func (r running) awaitIncomplete(t *testing.T, want map[string]incomplete) {
	t.Helper()
	var got map[string]string
	imbtest.Eventually(t, func() bool {
		got = r.tree(t, "received/.imbrouter/incomplete")
		return len(got) >= 2*len(want)
	}, "%d files and their reasons are among the incomplete ones: %v", len(want), shorten(&got))
	for name, part := range want {
		reason := name + ".reason.txt"
		imbtest.Eventually(t, func() bool {
			got = r.tree(t, "received/.imbrouter/incomplete")
			return got[name] == part.body && strings.Contains(got[reason], part.cause)
		}, "of %q is kept %q, for the reason %q: %v", name, part.body, part.cause, shorten(&got))
	}
	if len(got) != 2*len(want) {
		t.Errorf("too many incomplete files: %v", shorten(&got))
	}
}

// Fault 26: two streams have one id at once, of two senders or of one. No byte
// of either is taken for a file, and the log tells which streams they were.
func TestStreamsWithOneID(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	d := start(t, collecting, addr, "")
	a, b := dialSender(t, addr), dialSender(t, addr)
	a.header(7, "a.bin")
	a.body(7, "of a")
	b.header(7, "b.bin")
	b.body(7, "of b")
	a.body(7, "of a")
	b.tail(7, "of b")
	a.tail(7, "of a")
	a.header(8, "c.bin")
	a.body(8, "of c")
	a.header(8, "d.bin") // header twice
	a.tail(8, "of d")
	b.header(9, "good.bin")
	b.tail(9, "good")

	d.awaitTree(t, "received", map[string]string{"good.bin": "good"})
	const cause = "two streams with the same id at once"
	d.awaitIncomplete(t, map[string]incomplete{
		"a.bin": {"of a", cause}, "b.bin": {"", cause}, "c.bin": {"of c", cause}, "d.bin": {"", cause},
	})
	for _, name := range []string{"a.bin", "b.bin", "c.bin", "d.bin"} {
		imbtest.Eventually(t, func() bool {
			return len(d.lines(`level=ERROR msg="stream lost" .*stream=`+name+` .*`+cause)) == 1
		}, "the log tells that %s is lost", name)
	}
}

// Fault 27: parts without a header are dropped by the hub, which says who sends
// them, and how many.
func TestPartsOfAStreamWithoutItsHeader(t *testing.T) {
	d := start(t, "[hub]\nlisten = \"127.0.0.1:0\"\n"+strings.Replace(collecting, `address = "%s"`, "", 1), "")
	s := dialSender(t, d.HubAddress())
	s.body(7, "x")
	s.tail(7, "x")
	s.tail(8, "x")
	s.header(9, "good.bin")
	s.tail(9, "good")
	s.Close()
	d.awaitTree(t, "received", map[string]string{"good.bin": "good"})
	d.awaitIncomplete(t, nil)
	imbtest.Eventually(t, func() bool { return len(d.lines(`client disconnected" .*headless=3`)) == 1 }, "the log tells how many")
	if n := len(d.lines(`level=WARN msg="client sends a part of a stream without its header.* peer=127\.0\.0\.1:\d+ .*stream=7`)); n != 1 {
		t.Errorf("%d lines tell of the first part without a header", n)
	}
}

// Fault 25: streams that do not end, or too late.
func TestStreamsWithoutAnEnd(t *testing.T) {
	for _, test := range []struct {
		name  string
		keys  string
		after func(s rawSender, toRouter *imbtest.Proxy)
		want  incomplete
	}{
		{
			name: "no tail", keys: `idle_timeout = "200ms"`,
			after: func(rawSender, *imbtest.Proxy) {},
			want:  incomplete{"begun", "silent for too long"},
		},
		{
			name: "the sender's connection is lost", keys: `idle_timeout = "200ms"`,
			after: func(s rawSender, _ *imbtest.Proxy) { s.Close() },
			want:  incomplete{"begun", "silent for too long"},
		},
		{
			name:  "the receiver's connection is lost",
			after: func(_ rawSender, toRouter *imbtest.Proxy) { toRouter.Reset() },
			want:  incomplete{"begun", "lost the connection"},
		},
		{
			name: "endless", keys: `max_size = "50KiB"`,
			after: func(s rawSender, _ *imbtest.Proxy) {
				for range 20 {
					s.body(7, strings.Repeat("x", 5<<10))
				}
			},
			want: incomplete{"begun" + strings.Repeat("x", 45<<10), "larger than max_size"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			addr, _ := imbtest.StartHub(t, hub.Options{})
			proxy := imbtest.NewProxy(t, addr)
			d := start(t, collecting, proxy.Addr(), test.keys)
			s := dialSender(t, addr)
			s.header(7, "file.bin")
			s.body(7, "begun")
			imbtest.Eventually(t, func() bool {
				transfers := d.Router().Transfers()
				return len(transfers) == 1 && transfers[0].Done == int64(len("begun"))
			}, "the router has the beginning")
			test.after(s, proxy)
			d.awaitIncomplete(t, map[string]incomplete{"file.bin": test.want})
			imbtest.Eventually(t, func() bool {
				return len(d.lines(`level=(WARN|ERROR) .*stream=file\.bin .*`+test.want.cause)) == 1
			}, "the log tells of it, in one line")
			// The next one is received, and late bytes do not matter.
			imbtest.Eventually(t, func() bool { return proxy.Connections() == 1 }, "the router is connected")
			next := dialSender(t, addr)
			imbtest.Eventually(t, func() bool {
				next.header(8, "next.bin")
				next.tail(8, "next")
				return d.tree(t, "received")["next.bin"] == "next"
			}, "the next stream is received")
			if got := d.tree(t, "received"); got["file.bin"] != "" {
				t.Errorf("received: %v", shorten(&got))
			}
		})
	}
}

// Fault 52: of those who receive a large file one reads nothing. It alone is
// disconnected, and named; the others get all of the file, not much later.
func TestSlowConsumerOfTheHubInside(t *testing.T) {
	d := start(t, `
[hub]
listen = "127.0.0.1:0"
queue = "256KiB"
slow_consumer_timeout = "2s"
`+strings.NewReplacer(
		`address = "%s"`, "",
		`events = ["files"]`, "events = [\"files\"]\nqueue = \"32MiB\"", // so that a slow disk makes no slow consumer
	).Replace(collecting), "")
	addr := d.HubAddress()
	sleeper := imbtest.DialRaw(t, addr)
	sleeper.Send(
		wire.AppendSetClientInfo(nil, wire.SetClientInfo{OwnerName: "sleeper"}),
		wire.AppendSubscribe(nil, wire.EventRef{ID: 1, Name: "demo.files"}),
	)
	sleeper.Sync()
	got := bodies(t, addr)

	body := strings.Repeat("0123456789abcdef", 1<<20)
	begun := time.Now()
	c := connect(t, addr)
	_, err := publish(t, c, "demo.files").SendStream(t.Context(), "large.bin", strings.NewReader(body), imb.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if arrived := got.Wait(t, 1)[0]; arrived != body {
		t.Errorf("%d bytes arrived at another subscriber", len(arrived))
	}
	t.Logf("took %v", time.Since(begun).Round(time.Millisecond))
	d.awaitTree(t, "received", map[string]string{"large.bin": body})
	slow := d.lines(`level=WARN msg="client disconnected: its queue has been more than half full`)
	if len(slow) != 1 || !strings.Contains(slow[0], "owner=sleeper") || !strings.Contains(slow[0], "peer=127.0.0.1:") {
		t.Errorf("disconnected as slow: %q", slow)
	}
	sleeper.ExpectClosed()
}
