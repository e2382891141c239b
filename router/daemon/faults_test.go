package daemon_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// The whole daemon while its drop folder changes and its hub is slow.

// Takes the address of a hub, and more keys of the sink.
const sending = `
[connections.hub]
address = "%s"
federation = "demo"
[sources.drop]
type = "dir"
path = "drop"
[routes.send]
from = ["drop"]
to = ["hub"]
[sinks.hub]
type = "imb"
event = "files"
%s
`

// write makes a file whole.
func (r running) write(t *testing.T, name, body string) {
	t.Helper()
	if err := os.WriteFile(r.Path(name), []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace puts a new file in the place of another in one step.
func (r running) replace(t *testing.T, name, body string) {
	t.Helper()
	r.write(t, "new", body)
	if err := os.Rename(r.Path("new"), r.Path(name)); err != nil {
		t.Fatal(err)
	}
}

// tree returns the files in a folder, from path to contents, without what is in
// .imbrouter. Those that go away meanwhile may be missing.
func (r running) tree(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	root := r.Path(folder)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case entry.Name() == ".imbrouter" && path != root:
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		body, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		name, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(name)] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// awaitTree waits until a folder holds exactly those files.
func (r running) awaitTree(t *testing.T, folder string, want map[string]string) {
	t.Helper()
	var got map[string]string
	imbtest.Eventually(t, func() bool { got = r.tree(t, folder); return maps.Equal(got, want) },
		"%s holds %d files: %v", folder, len(want), shorten(&got))
}

// shorten shows, when it is printed, the names and sizes of files.
func shorten(files *map[string]string) fmt.Stringer { return shortened{files} }

type shortened struct{ files *map[string]string }

func (s shortened) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(*s.files)) {
		fmt.Fprintf(&b, "%q: %d bytes, ", name, len((*s.files)[name]))
	}
	return b.String()
}

// bodies subscribes to demo.files, and collects the bodies of the streams that
// arrive whole.
func bodies(t *testing.T, addr string) *imbtest.Collector[string] {
	t.Helper()
	c := connect(t, addr)
	e, err := c.Subscribe("demo.files")
	if err != nil {
		t.Fatal(err)
	}
	got := new(imbtest.Collector[string])
	e.HandleStreams(func(imb.IncomingStream) imb.StreamReceiver { return &body{got: got} })
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return got
}

type body struct {
	got *imbtest.Collector[string]
	bytes.Buffer
}

func (b *body) End(err error) {
	if err == nil {
		b.got.Add(b.String())
	}
}

// changes are what may happen to drop/file, which holds v1, while it is sent,
// with what it holds afterwards: "" for nothing.
var changes = []struct {
	name   string
	change func(t *testing.T, d running, v1 string)
	v2     func(v1 string) string
}{
	{
		name: "appended to",
		change: func(t *testing.T, d running, _ string) {
			f, err := os.OpenFile(d.Path("drop/file"), os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("more")
			}
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		},
		v2: func(v1 string) string { return v1 + "more" },
	},
	{
		name: "truncated",
		change: func(t *testing.T, d running, _ string) {
			if err := os.Truncate(d.Path("drop/file"), 10); err != nil {
				t.Fatal(err)
			}
		},
		v2: func(v1 string) string { return v1[:10] },
	},
	{
		name:   "replaced",
		change: func(t *testing.T, d running, v1 string) { d.replace(t, "drop/file", "another "+v1) },
		v2:     func(v1 string) string { return "another " + v1 },
	},
	{
		name: "removed",
		change: func(t *testing.T, d running, _ string) {
			if err := os.Remove(d.Path("drop/file")); err != nil {
				t.Fatal(err)
			}
		},
		v2: func(string) string { return "" },
	},
}

// Faults 3 to 5, while the network stands still in the middle of the file: what
// arrives as a whole stream is a version that the file had, and the last one
// arrives.
func TestFileChangesWhileTheNetworkStandsStill(t *testing.T) {
	v1 := strings.Repeat("0123456789abcdef", 640<<10) // more than the queue and the buffers of sockets take
	for _, test := range changes {
		t.Run(test.name, func(t *testing.T) {
			addr, _ := imbtest.StartHub(t, hub.Options{})
			got := bodies(t, addr)
			proxy := imbtest.NewProxy(t, addr)
			d := start(t, sending, proxy.Addr(), `queue = "64KiB"`)
			imbtest.Eventually(t, func() bool { return proxy.Connections() == 1 }, "the router is connected")
			d.write(t, "drop/first", "all is well")
			d.awaitTree(t, "drop/sent", map[string]string{"first": "all is well"})

			proxy.Stall()
			d.replace(t, "drop/file", v1)
			var done int64
			imbtest.Eventually(t, func() bool {
				for _, transfer := range d.Router().Transfers() {
					done = transfer.Done
				}
				return done > 0
			}, "the file is being sent")
			if done >= int64(len(v1)) {
				proxy.Resume()
				t.Skip("the buffers of sockets take all of the file here")
			}
			test.change(t, d, v1)
			proxy.Resume()

			v2, want := test.v2(v1), map[string]string{"first": "all is well"}
			whole := []string{"all is well", v1, v2}
			if v2 == "" { // the open file is sent to its end
				whole = whole[:2]
			} else {
				want["file"] = v2
			}
			last := whole[len(whole)-1]
			imbtest.Eventually(t, func() bool {
				return len(d.lines(fmt.Sprintf("msg=sent .* path=file size=%d ", len(last)))) == 1
			}, "the last version is sent")
			d.awaitTree(t, "drop/sent", want)
			imbtest.Eventually(t, func() bool { return slices.Contains(got.All(), last) }, "the last version arrives")
			for i, body := range got.All() {
				if !slices.Contains(whole, body) {
					t.Errorf("stream %d of %d bytes is no version of the file", i, len(body))
				}
			}
			if left := d.tree(t, "drop"); len(left) != len(want) {
				t.Errorf("left in the folder: %v", shorten(&left))
			}
		})
	}
}

// playedHub is the daemon's connection to a hub that the test plays, so that
// things happen between two frames.
type playedHub struct {
	*imbtest.RawConn
	subscribed map[int32]bool
}

func playHub(l *imbtest.RawListener) *playedHub {
	h := &playedHub{RawConn: l.Accept(), subscribed: map[int32]bool{}}
	h.Send(wire.AppendUniqueClientID(nil, wire.UniqueClientID{ID: 0x10000001, Handle: 1}))
	return h
}

// serve answers the next frame as a hub does.
func (h *playedHub) serve() wire.Frame {
	f := h.Next()
	switch f.Command {
	case wire.CmdSubscribe:
		ref, _ := wire.ParseEventRef(f.Payload)
		h.subscribed[ref.ID] = true
		h.Send(wire.AppendSetEventIDTranslation(nil, wire.Translation{HubID: ref.ID, ClientID: ref.ID}))
	case wire.CmdUniqueClientID:
		h.Send(wire.AppendUniqueClientID(nil, wire.UniqueClientID{ID: 0x10000001, Handle: 1}))
	case wire.CmdEvent:
		if h.subscribed[wire.EventID(f.Payload)] {
			h.Send(f.Raw)
		}
	}
	return f
}

// stream serves up to the tail of a stream, and returns the whole body.
func (h *playedHub) stream(t *testing.T) string {
	t.Helper()
	var body []byte
	for {
		f := h.serve()
		if f.Command != wire.CmdEvent || !wire.EventKind(f.Payload).IsStream() {
			continue
		}
		e, err := wire.ParseEvent(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == wire.StreamHeader {
			body = nil
			continue
		}
		chunk, err := wire.ParseStreamChunk(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		body = append(body, chunk.Bytes...)
		if e.Kind == wire.StreamTail {
			return string(body)
		}
	}
}

// Faults 3 to 5, when all of the file is sent and the hub has not confirmed it:
// the version that was sent is not the one that is there, so that one is sent
// as well.
func TestFileChangesBeforeTheHubConfirms(t *testing.T) {
	const v1 = "version 1, which is whole"
	for _, test := range changes {
		t.Run(test.name, func(t *testing.T) {
			addr, _ := imbtest.StartHub(t, hub.Options{})
			proxy := imbtest.NewProxy(t, addr)
			d := start(t, sending, proxy.Addr(), "")
			l := imbtest.ListenRaw(t)
			proxy.SetTarget(l.Addr())
			proxy.Reset()
			h := playHub(l)
			d.replace(t, "drop/file", v1)
			if got := h.stream(t); got != v1 {
				t.Fatalf("sent %q", got)
			}
			test.change(t, d, v1)
			if sent := d.tree(t, "drop/sent"); len(sent) > 0 {
				t.Errorf("sent/ holds %q before the hub has confirmed anything", sent)
			}
			want := map[string]string{}
			if v2 := test.v2(v1); v2 != "" {
				want["file"] = v2
				if got := h.stream(t); got != v2 {
					t.Errorf("then sent %q, want %q", got, v2)
				}
			}
			h.serve() // the question whether the hub has it
			imbtest.Eventually(t, func() bool {
				return d.logged("the new version is sent as well") || d.logged("the file was removed while it was sent")
			}, "the log tells of the change")
			d.awaitTree(t, "drop/sent", want)
		})
	}
}

// Fault 5: a file is replaced again and again. Every version that arrives is
// whole, and the last one does.
func TestFileIsReplacedAgainAndAgain(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	got := bodies(t, addr)
	d := start(t, sending, addr, "")
	const versions = 300
	version := func(n int) string { return strings.Repeat(fmt.Sprintf("%d,", n), 1+n*100%100_000) }
	for n := range versions {
		d.replace(t, "drop/file", version(n))
	}
	last := version(versions - 1)
	imbtest.Eventually(t, func() bool { return slices.Contains(got.All(), last) }, "the last version arrives")
	imbtest.Eventually(t, func() bool { return len(d.tree(t, "drop")) == len(d.tree(t, "drop/sent")) }, "all is sent")
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	arrived := map[string]bool{}
	for _, body := range got.All() {
		var n int
		if _, err := fmt.Sscanf(body, "%d,", &n); err != nil || body != version(n) {
			t.Errorf("%d bytes that begin with %.20q are no version", len(body), body)
		}
		arrived[body] = true
	}
	for name, body := range d.tree(t, "drop/sent") {
		if !arrived[body] {
			t.Errorf("sent/%s did not arrive", name)
		}
	}
	t.Logf("%d of %d versions arrived", len(arrived), versions)
}

// Fault 9, with the events of the system: the folder is removed and made again.
func TestDropFolderIsRemovedAndMadeAgain(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	got := bodies(t, addr)
	d := start(t, strings.Replace(sending, `path = "drop"`, "path = \"drop\"\nrescan = \"1h\"", 1), addr, "")
	if err := os.RemoveAll(d.Path("drop")); err != nil {
		t.Fatal(err)
	}
	imbtest.Eventually(t, func() bool { return d.logged("the folder is gone") }, "the log tells that the folder is gone")
	if err := os.MkdirAll(d.Path("drop/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.write(t, "drop/sub/at once", "1")
	imbtest.Eventually(t, func() bool { return d.logged("the folder is back") }, "the log tells that it is back")
	got.Wait(t, 1)
	d.write(t, "drop/later", "2")
	got.Wait(t, 2)
	d.awaitTree(t, "drop/sent", map[string]string{"sub/at once": "1", "later": "2"})
}

// Fault 42: a hub that takes a file slowly is waited for. What has been read of
// the file and is not at the hub fits into the queue and the buffers of sockets.
func TestSlowHub(t *testing.T) {
	const size, most = 32 << 20, 12 << 20
	addr, h := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	proxy.Throttle(16 << 20)
	d := start(t, sending, proxy.Addr(), `queue = "1MiB"`)
	imbtest.Eventually(t, func() bool { return proxy.Connections() == 1 }, "the router is connected")
	d.write(t, "large", "")
	if err := errors.Join(os.Truncate(d.Path("large"), size), os.Rename(d.Path("large"), d.Path("drop/large"))); err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse)
	}
	runtime.GC()
	before := heap()
	var ahead, used int64
	imbtest.Eventually(t, func() bool {
		for _, transfer := range d.Router().Transfers() {
			ahead = max(ahead, transfer.Done-int64(h.Stats().BytesIn))
		}
		used = max(used, heap()-before)
		return d.logged("msg=sent")
	}, "the file is sent")
	t.Logf("at most %d KiB ahead of the hub, with %d KiB of memory", ahead>>10, used>>10)
	if ahead < 1<<20 {
		t.Error("the hub was never behind: the test measures nothing")
	}
	if ahead > most || used > most {
		t.Errorf("want at most %d KiB of each", most>>10)
	}
}
