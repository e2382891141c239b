package dir

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router/config"
)

// newKeep makes a folder whose files are kept after they were sent.
func newKeep(t *testing.T) *drop {
	d := newDrop(t)
	d.config.After = afterKeep
	d.config.PollInterval = config.Duration(time.Second)
	d.build()
	return d
}

func TestKeptFilesAreSentOnceForEachVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newKeep(t)
		d.write("a", "1")
		d.write("b/c", "2")
		d.write("not \xff UTF-8", "3")
		d.start()
		wait(time.Minute)
		d.restart()
		wait(time.Minute)
		d.write("a", "new")
		wait(time.Minute)
		d.restart()
		wait(time.Minute)
		d.expectSent("a=1", "a=new", "b/c=2", "not \xff UTF-8=3")
		d.expectTree("a=new", "b/c=2", "not \xff UTF-8=3")
	})
}

func TestKeptFileThatLeavesAndComesBackIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newKeep(t)
		outside := filepath.Join(t.TempDir(), "a")
		d.write("a", "1")
		d.start()
		wait(time.Minute)
		d.must(os.Rename(d.abs("a"), outside))
		wait(time.Minute)
		d.must(os.Rename(outside, d.abs("a")))
		wait(time.Minute)
		d.expectSent("a=1", "a=1")
	})
}

// Fault 15.
func TestDamagedListOfSentFiles(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func([]byte) []byte
		again  []string // what is sent again
	}{
		{"cut off", func(b []byte) []byte { return b[:len(b)-5] }, []string{"c=3"}},
		{"newline cut off", func(b []byte) []byte { return b[:len(b)-1] }, []string{"c=3"}},
		{"bytes flipped in the middle", func(b []byte) []byte {
			lines := bytes.SplitAfter(b, []byte("\n"))
			for i := range len(lines[1]) - 1 {
				lines[1][i] ^= 0x40
			}
			return bytes.Join(lines, nil)
		}, []string{"b=2"}},
		{"all bytes flipped", func(b []byte) []byte {
			for i := range b {
				b[i] ^= 0x80
			}
			return b
		}, []string{"a=1", "b=2", "c=3"}},
		{"zeros, as after a power cut", func(b []byte) []byte { return make([]byte, 200_000) }, []string{"a=1", "b=2", "c=3"}},
		{"another program's", func([]byte) []byte { return []byte("{\"a\": 1}\n[]\n\n") }, []string{"a=1", "b=2", "c=3"}},
		{"intact", func(b []byte) []byte { return b }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newKeep(t)
				for i, name := range []string{"a", "b", "c"} {
					d.write(name, fmt.Sprint(i+1))
					d.must(os.Chtimes(d.abs(name), time.Unix(int64(i), 0), time.Unix(int64(i), 0)))
				}
				d.config.Parallel = 1
				d.build()
				d.start()
				wait(time.Minute)
				d.stop()
				state, err := os.ReadFile(d.abs(stateFile))
				d.must(err)
				damaged := test.damage(bytes.Clone(state))
				d.must(os.WriteFile(d.abs(stateFile), damaged, 0o644))
				d.sink = &fakeSink{}
				for range 2 { // the second start finds everything in order
					d.build()
					d.start()
					wait(time.Minute)
					d.stop()
				}
				d.expectSent(test.again...)
				aside, err := os.ReadFile(d.abs(ownDir + "/sent.damaged.jsonl"))
				if test.again == nil {
					if err == nil {
						t.Error("a list that was in order was set aside")
					}
				} else if !bytes.Equal(aside, damaged) {
					t.Errorf("set aside %q (%v), want %q", aside, err, damaged)
				}
			})
		})
	}
}

func TestDamagedListIsTold(t *testing.T) {
	d := newKeep(t)
	d.must(os.Mkdir(d.abs(ownDir), 0o755))
	d.must(os.WriteFile(d.abs(stateFile), []byte("garbage\n"), 0o644))
	d.must(d.source.Open(t.Context()))
	d.must(d.source.Close())
	d.expectLog(1, "level=WARN", "damaged", "sent.damaged.jsonl", "damaged_lines=1")
}

// What could not be written for a while is written when it can be.
func TestListOfSentFilesCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newKeep(t)
		d.start()
		wait(time.Second)
		list := d.source.folder.sent
		d.must(list.file.Close()) // no line can be written any more
		d.must(os.Mkdir(d.abs(stateFile+".new"), 0o755))
		d.write("a", "1")
		d.write("b", "2")
		wait(time.Minute)
		d.expectLog(2, "level=ERROR", "the list of sent files cannot be written")
		if state, err := os.ReadFile(d.abs(stateFile)); err != nil || len(state) > 0 {
			t.Errorf("the list holds %q (%v)", state, err)
		}
		d.must(os.Remove(d.abs(stateFile + ".new")))
		wait(2 * time.Second)
		d.expectLog(1, "level=INFO", "the list of sent files is written again", "files=2")
		d.write("c", "3")
		wait(time.Minute)
		d.restart()
		wait(time.Minute)
		d.expectSent("a=1", "b=2", "c=3")
	})
}

func TestListOfSentFilesStaysSmall(t *testing.T) {
	d := newKeep(t)
	var state bytes.Buffer
	for i := range maxDeadLines + 10 { // one file, changed again and again
		fmt.Fprintf(&state, "{\"path\":\"a\",\"size\":%d,\"mtime_ns\":0,\"inode\":0}\n", i)
	}
	d.must(os.Mkdir(d.abs(ownDir), 0o755))
	d.must(os.WriteFile(d.abs(stateFile), state.Bytes(), 0o644))
	d.must(d.source.Open(t.Context()))
	d.must(d.source.folder.sent.add("b", version{size: 1}))
	d.must(d.source.folder.sent.add("c", version{size: 1}))
	d.must(d.source.folder.sent.forget("b"))
	d.must(d.source.Close())
	small, err := os.ReadFile(d.abs(stateFile))
	d.must(err)
	if lines := bytes.Count(small, []byte("\n")); lines > 5 {
		t.Errorf("%d lines for 2 files", lines)
	}
	d.must(d.source.Open(t.Context()))
	defer d.source.Close()
	list := d.source.folder.sent
	if !list.has("a", version{size: maxDeadLines + 9}) || !list.has("c", version{size: 1}) || list.has("b", version{size: 1}) {
		t.Errorf("the list holds %q", small)
	}
}

func FuzzSentLog(f *testing.F) {
	f.Add([]byte(`{"path":"a","size":1,"mtime_ns":2,"inode":3}` + "\n"))
	f.Add([]byte(`{"raw_path":"/w==","size":1,"mtime_ns":2,"inode":3}` + "\n" + `{"path":"a","forget":true}` + "\n"))
	f.Fuzz(func(t *testing.T, state []byte) {
		d := newKeep(t)
		d.must(os.Mkdir(d.abs(ownDir), 0o755))
		d.must(os.WriteFile(d.abs(stateFile), state, 0o644))
		d.must(d.source.Open(t.Context()))
		v := version{1, 2, 3}
		d.must(d.source.folder.sent.add("new \xff", v))
		known := len(d.source.folder.sent.records)
		d.must(d.source.Close())
		// Whatever was there, what is written now can be read.
		d.build()
		d.must(d.source.Open(t.Context()))
		defer d.source.Close()
		d.expectLog(0, "damaged")
		if list := d.source.folder.sent; !list.has("new \xff", v) || len(list.records) != known {
			t.Errorf("%d records, had %d", len(list.records), known)
		}
	})
}
