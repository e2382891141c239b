package dir

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router"
)

// needLeases skips where the kernel cannot tell that a file is open for writing.
func needLeases(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/probe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if openWriters(f) != someWriter {
		t.Skip("no leases on this system or file system: " + runtime.GOOS)
	}
}

func TestFileIsSentAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		mtime := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
		d.write("a/b/report.csv", "1;2;3")
		d.must(os.Chtimes(d.abs("a/b/report.csv"), mtime, mtime))
		d.write("empty", "")
		d.write("naïve – ☃.txt", "ü")
		d.start()
		wait(time.Second)
		d.expectSent("a/b/report.csv=1;2;3", "empty=", "naïve – ☃.txt=ü")
		d.expectTree("sent/a/b/report.csv=1;2;3", "sent/empty=", "sent/naïve – ☃.txt=ü")
		tries := d.sink.tried()
		info := tries[slices.IndexFunc(tries, func(i router.StreamInfo) bool { return i.Size == 5 })]
		if info.Path != "a/b/report.csv" || info.Name != info.Path || info.Size != 5 || !info.ModTime.Equal(mtime) ||
			info.ID == 0 || info.Source != "outbox" || info.Event != "" {
			t.Errorf("stream information %+v", info)
		}
	})
}

// Fault 1.
func TestGrowingFileIsSentOnceWhenItsWriterHasClosedIt(t *testing.T) {
	needLeases(t)
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.start()
		f := d.create("big")
		for range 10 {
			_, err := f.WriteString("0123456789")
			d.must(err)
			wait(200 * time.Millisecond)
		}
		d.must(f.Close())
		wait(time.Second)
		d.expectSent("big=" + strings.Repeat("0123456789", 10))
		if n := len(d.sink.tried()); n != 1 {
			t.Errorf("the stream was begun %d times", n)
		}
	})
}

// Fault 2.
func TestWriterThatPausesWithTheFileOpen(t *testing.T) {
	needLeases(t)
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.start()
		f := d.create("slow")
		_, err := f.WriteString("first half, ")
		d.must(err)
		wait(3 * time.Duration(d.config.Settle))
		if n := len(d.sink.tried()); n != 0 {
			t.Fatal("a file was sent that its writer has open")
		}
		_, err = f.WriteString("second half")
		d.must(err)
		d.must(f.Close())
		wait(time.Second)
		d.expectSent("slow=first half, second half")
	})
}

func TestFileThatIsHeldOpenIsTold(t *testing.T) {
	needLeases(t)
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.start()
		f := d.create("held")
		defer f.Close()
		d.write("other", "goes")
		wait(3 * time.Minute)
		d.expectSent("other=goes")
		d.expectLog(1, "held open", "path=held")
	})
}

// Fault 2, where the kernel does not tell.
func TestSettleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.source.writers = unknown
		d.start()
		settle := time.Duration(d.config.Settle)
		f := d.create("slow")
		for range 5 { // pauses shorter than the settle time
			_, err := f.WriteString("part ")
			d.must(err)
			wait(settle - 200*time.Millisecond) // less the poll interval
		}
		if n := len(d.sink.tried()); n != 0 {
			t.Fatal("a file was sent that did not settle")
		}
		d.must(f.Close())
		wait(2 * settle)
		d.expectSent("slow=part part part part part ")
		d.expectTree("sent/slow=part part part part part ")
	})
}

// Some programs write a file in several steps, and close it in between.
func TestSettleThatIsSetCountsForClosedFilesToo(t *testing.T) {
	needLeases(t)
	config, err := parse(t, "path = \"drop\"\nsettle = \"5s\"")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		config.Path, config.Watch, config.PollInterval = d.path, d.config.Watch, d.config.PollInterval
		d.config = config
		d.build()
		d.start()
		d.write("f", "")
		for range 5 {
			d.appendTo("f", "part ")
			wait(4 * time.Second)
			if n := len(d.sink.tried()); n != 0 {
				t.Fatal("a file was sent that did not settle")
			}
		}
		wait(2 * time.Second)
		d.expectSent("f=part part part part part ")
	})
}

func TestClosedFileIsSentAtOnce(t *testing.T) {
	needLeases(t)
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.start()
		d.write("f", "text")
		wait(time.Duration(d.config.PollInterval))
		d.expectSent("f=text")
	})
}

// Fault 16.
func TestFileTimesDoNotMatter(t *testing.T) {
	for _, evidence := range []struct {
		name    string
		writers func(*os.File) writers
	}{{"lease", openWriters}, {"settle", unknown}} {
		t.Run(evidence.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrop(t)
				d.source.writers = evidence.writers
				d.start()
				for name, mtime := range map[string]time.Time{
					"future": time.Now().AddDate(100, 0, 0),
					"past":   time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC),
					"epoch":  time.Unix(0, 0),
				} {
					d.write(name, name)
					d.must(os.Chtimes(d.abs(name), mtime, mtime))
				}
				// Where only time can tell, no time of the file's own lets it pass early.
				wait(time.Duration(d.config.Settle) - 200*time.Millisecond)
				if evidence.name == "settle" && len(d.sink.tried()) > 0 {
					t.Error("a file was sent before it settled")
				}
				wait(time.Second)
				d.expectSent("future=future", "past=past", "epoch=epoch")
			})
		})
	}
}

// The kernel may not count the creator of a new file as its writer yet: an empty one
// is given a moment to get its contents, and is sent after that if it gets none.
func TestNewFileWithoutAWriterYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.source.writers = func(*os.File) writers { return noWriter }
		d.write("f", "")
		d.write("empty", "")
		d.start()
		wait(emptySettle / 2)
		d.expectSent()
		d.write("f", "contents")
		wait(time.Second)
		d.expectSent("empty=", "f=contents")
	})
}
