package dir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router"
	"imbrouter/router/config"
	dirsink "imbrouter/sinks/dir"
)

// noSource is a source for configurations that are only checked.
type noSource struct{}

func (*noSource) Check(*config.Check)                     {}
func (*noSource) Traffic() config.Traffic                 { return config.Traffic{} }
func (*noSource) Build(router.Env) (router.Source, error) { panic("only checked") }

// newSink returns the sink that a folder may have beside its source.
func (d *drop) newSink() router.Sink {
	d.t.Helper()
	text := fmt.Sprintf(`
[sources.none]
type = "none"
[sinks.inbox]
type = "dir"
path = '%s'
[routes.receive]
from = ["none"]
to = ["inbox"]
`, d.path)
	c, err := config.Parse(filepath.Join(d.t.TempDir(), "test.toml"), []byte(text), config.Kinds{
		Sources: map[string]func() config.Source{"none": func() config.Source { return &noSource{} }},
		Sinks:   map[string]func() config.Sink{"dir": func() config.Sink { return dirsink.NewConfig() }},
	})
	d.must(err)
	sink, err := c.Sinks["inbox"].Build(router.Env{Name: "inbox"})
	d.must(err)
	return sink
}

// What a sink receives in the folder is sent on: each file when it is whole, and
// nothing of what the sink keeps for itself.
func TestSinkOnTheSameFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		sink := d.newSink()
		d.must(sink.(router.Opener).Open(t.Context()))
		defer sink.(router.Opener).Close()
		d.start()
		receive := func(name string) router.StreamWriter {
			w, err := sink.Stream(context.Background(), router.StreamInfo{ID: router.NextID(), Name: name, Size: -1})
			d.must(err)
			_, err = w.Write([]byte("text"))
			d.must(err)
			return w
		}
		whole, cutOff, open := receive("a/whole"), receive("cut off"), receive("open")
		defer open.Abort(context.Canceled)
		wait(10 * time.Second)
		d.expectSent()
		d.must(whole.Commit(t.Context()))
		cutOff.Abort(context.Canceled)
		wait(10 * time.Second)
		d.restart()
		wait(10 * time.Second)
		d.expectSent("a/whole=text")
		if body, err := os.ReadFile(d.abs("sent/a/whole")); err != nil || string(body) != "text" {
			t.Errorf("sent/a/whole holds %q (%v)", body, err)
		}
		for _, kept := range []string{"partial", "incomplete"} {
			files, err := filepath.Glob(d.abs(ownDir + "/" + kept + "/*"))
			if err != nil || len(files) == 0 || !strings.Contains(files[0], kept) {
				t.Errorf("the sink's %s files are %q (%v)", kept, files, err)
			}
		}
	})
}
