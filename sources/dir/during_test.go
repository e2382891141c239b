package dir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router"
)

// once returns a hook that does something at the first call only.
func once(do func()) func(router.StreamInfo) error {
	var first sync.Once
	return func(router.StreamInfo) error { first.Do(do); return nil }
}

// Faults 3, 4 and 5: what happens to a file at each moment of its send.
func TestFileChangesDuringTheSend(t *testing.T) {
	const v1 = "version 1"
	type outcome struct {
		sent    []string // bodies, in order
		aborted int
		tree    []string
		log     string
	}
	for _, test := range []struct {
		name   string
		change func(d *drop)
		// what is expected when the change comes after the header, after the
		// body, and before the acknowledgement
		header, body, commit outcome
	}{
		{
			name:   "appended to",
			change: func(d *drop) { d.appendTo("f", ", more") },
			header: outcome{sent: []string{v1 + ", more"}, aborted: 1, tree: []string{"sent/f=" + v1 + ", more"}, log: "changed while it was sent"},
			body:   outcome{sent: []string{v1 + ", more"}, aborted: 1, tree: []string{"sent/f=" + v1 + ", more"}, log: "changed while it was sent"},
			commit: outcome{sent: []string{v1, v1 + ", more"}, tree: []string{"sent/f=" + v1 + ", more"}, log: "the new version is sent as well"},
		},
		{
			name:   "truncated",
			change: func(d *drop) { d.must(os.Truncate(d.abs("f"), 4)) },
			header: outcome{sent: []string{"vers"}, aborted: 1, tree: []string{"sent/f=vers"}, log: "changed while it was sent"},
			body:   outcome{sent: []string{"vers"}, aborted: 1, tree: []string{"sent/f=vers"}, log: "changed while it was sent"},
			commit: outcome{sent: []string{v1, "vers"}, tree: []string{"sent/f=vers"}, log: "the new version is sent as well"},
		},
		{
			name:   "overwritten in place with the same size",
			change: func(d *drop) { d.write("f", "VERSION 2") },
			header: outcome{sent: []string{"VERSION 2"}, aborted: 1, tree: []string{"sent/f=VERSION 2"}, log: "changed while it was sent"},
			body:   outcome{sent: []string{"VERSION 2"}, aborted: 1, tree: []string{"sent/f=VERSION 2"}, log: "changed while it was sent"},
			commit: outcome{sent: []string{v1, "VERSION 2"}, tree: []string{"sent/f=VERSION 2"}, log: "the new version is sent as well"},
		},
		{
			name:   "removed",
			change: func(d *drop) { d.must(os.Remove(d.abs("f"))) },
			header: outcome{sent: []string{v1}, log: "was removed while it was sent"},
			body:   outcome{sent: []string{v1}, log: "was removed while it was sent"},
			commit: outcome{sent: []string{v1}, log: "was removed while it was sent"},
		},
		{
			name:   "truncated and removed",
			change: func(d *drop) { d.must(os.Truncate(d.abs("f"), 0)); d.must(os.Remove(d.abs("f"))) },
			header: outcome{aborted: 1, log: "changed while it was sent"},
			body:   outcome{aborted: 1, log: "changed while it was sent"},
			commit: outcome{sent: []string{v1}, log: "changed after it was sent"},
		},
		{
			name:   "replaced by rename",
			change: func(d *drop) { d.replace("f", "version 2") },
			header: outcome{sent: []string{v1, "version 2"}, tree: []string{"sent/f=version 2"}, log: "the new version is sent as well"},
			body:   outcome{sent: []string{v1, "version 2"}, tree: []string{"sent/f=version 2"}, log: "the new version is sent as well"},
			commit: outcome{sent: []string{v1, "version 2"}, tree: []string{"sent/f=version 2"}, log: "the new version is sent as well"},
		},
		{
			name: "replaced by a folder",
			change: func(d *drop) {
				d.must(os.Remove(d.abs("f")))
				d.write("f/in", "inside")
			},
			header: outcome{sent: []string{v1, "inside"}, tree: []string{"sent/f/in=inside"}, log: "the new version is sent as well"},
			body:   outcome{sent: []string{v1, "inside"}, tree: []string{"sent/f/in=inside"}, log: "the new version is sent as well"},
			commit: outcome{sent: []string{v1, "inside"}, tree: []string{"sent/f/in=inside"}, log: "the new version is sent as well"},
		},
	} {
		for moment, want := range map[string]outcome{"header": test.header, "body": test.body, "commit": test.commit} {
			t.Run(test.name+" after the "+moment, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newDrop(t)
					change := once(func() { test.change(d) })
					switch moment {
					case "header":
						d.sink.onHeader = change
					case "body":
						d.sink.onBody = change
					case "commit":
						d.sink.onCommit = change
					}
					d.write("f", v1)
					d.start()
					wait(5 * time.Second)
					var bodies []string
					for _, c := range d.sink.committed {
						bodies = append(bodies, c.body)
					}
					if fmt.Sprint(bodies) != fmt.Sprint(want.sent) {
						t.Errorf("sent %q, want %q", bodies, want.sent)
					}
					if len(d.sink.aborted) != want.aborted {
						t.Errorf("%d streams aborted, want %d", len(d.sink.aborted), want.aborted)
					}
					d.expectTree(want.tree...)
					d.expectLog(1, want.log)
				})
			})
		}
	}
}

// Fault 3, with a writer that is still at it when the send is over.
func TestWriterOpensTheFileDuringTheSend(t *testing.T) {
	needLeases(t)
	for _, test := range []struct {
		name  string
		write string
		want  []string
	}{
		{"and changes it", ", more", []string{"f=text", "f=text, more"}},
		{"and changes nothing", "", []string{"f=text"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrop(t)
				var writer *os.File
				d.sink.onCommit = once(func() {
					var err error
					writer, err = os.OpenFile(d.abs("f"), os.O_WRONLY|os.O_APPEND, 0)
					d.must(err)
				})
				d.write("f", "text")
				d.start()
				wait(3 * time.Second)
				d.expectSent("f=text")
				d.expectTree("f=text") // not moved away under the writer's hands
				_, err := writer.WriteString(test.write)
				d.must(err)
				d.must(writer.Close())
				wait(3 * time.Second)
				d.expectSent(test.want...)
				d.expectTree(strings.Replace(test.want[len(test.want)-1], "f=", "sent/f=", 1))
			})
		})
	}
}

// Fault 5, as a race in real time.
func TestEachVersionThatArrivesIsWhole(t *testing.T) {
	d := newDrop(t)
	d.config.Watch = watchAuto
	d.build()
	d.start()
	version := func(n int) string { return strings.Repeat(fmt.Sprintf("version %d\n", n), 1000) }
	const last = 300
	for n := 1; n <= last; n++ {
		d.replace("f", version(n))
	}
	eventually(t, "the last version is sent", func() bool {
		got := d.sink.got()
		return len(got) > 0 && got[len(got)-1] == "f="+version(last)
	})
	whole := map[string]bool{}
	for n := range last + 1 {
		whole["f="+version(n)] = true
	}
	d.stop()
	sent := map[string]bool{}
	for _, s := range d.sink.got() {
		// One that came too fast to be moved in its turn goes under another name.
		_, body, _ := strings.Cut(s, "=")
		s = "f=" + body
		if !whole[s] {
			t.Fatalf("no version: %.40q…", s)
		}
		sent[s] = true
	}
	for _, s := range d.tree() {
		if name, body, _ := strings.Cut(s, "="); !sent["f="+body] {
			t.Errorf("%q was not sent", name)
		}
	}
}

func TestFailedWriteAborts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		broken := errors.New("broken pipe")
		d.sink.onBody = func(router.StreamInfo) error { return broken }
		d.config.MaxAttempts = 2
		d.build()
		d.write("f", "text")
		d.start()
		wait(10 * time.Second)
		if len(d.sink.aborted) != 2 || !errors.Is(d.sink.aborted[0].cause, broken) {
			t.Errorf("aborted %v", d.sink.aborted)
		}
	})
}

func TestBodyIsReadByTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.sink.reads = true
		body := strings.Repeat("0123456789", 100_000)
		d.write("f", body)
		d.start()
		wait(time.Second)
		d.expectSent("f=" + body)
	})
}

// The body can be had again, and it is that of the version that is sent.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		body := strings.Repeat("0123456789", 100_000)
		var replayed []byte
		d.sink.onCommit = once(func() {
			d.replace("f", "another version")
			r, err := d.sink.tried()[0].Replay()
			d.must(err)
			defer r.Close()
			replayed, err = io.ReadAll(r)
			d.must(err)
		})
		d.write("f", body)
		d.start()
		wait(time.Second)
		if string(replayed) != body {
			t.Errorf("replayed %d bytes, want %d", len(replayed), len(body))
		}
	})
}
