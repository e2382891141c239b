package dir

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router"
)

// Who moves a file back from failed/ may well move all that lies there.
func TestNotesThatComeBackAreNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.sink.onHeader = func(router.StreamInfo) error { return router.Permanent(errors.New("too bad")) }
		d.write("a/report.csv", "1")
		d.start()
		wait(time.Second)
		d.must(os.Rename(d.abs("failed/a/report.csv"), d.abs("a/report.csv")))
		wait(time.Second) // it failed again, and has two notes
		d.stop()
		d.sink = &fakeSink{}
		for _, name := range []string{"report.csv", "report.csv.reason.txt", "report.csv.reason.2.txt"} {
			d.must(os.Rename(d.abs("failed/a/"+name), d.abs("a/"+name)))
		}
		d.build()
		d.start()
		wait(time.Second)
		d.expectSent("a/report.csv=1")
		d.expectTree("sent/a/report.csv=1")
		d.expectLog(2, "level=INFO", "removed the note", "path=a/report.csv.reason.")
	})
}

func TestReasonFilesOfOthersAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.start()
		elsewhere := strings.Replace(d.source.folder.noteHead(), d.path, "/var/spool/drop", 1)
		d.write("notes.reason.txt", "This file could not be sent.\n")
		d.write("empty.reason.txt", "")
		d.write("x.reason.txt", elsewhere) // of another folder, which this one collects
		d.write("notes.txt", d.source.folder.noteHead())
		wait(time.Second)
		d.expectSent("notes.reason.txt=This file could not be sent.\n", "empty.reason.txt=", "x.reason.txt="+elsewhere,
			"notes.txt="+d.source.folder.noteHead())
	})
}
