package dir

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// What is wrong with the folder is wrong with every file in it: the log does not
// grow with their number, and none is forgotten.
func TestTroubleOfManyFilesIsToldInFewLines(t *testing.T) {
	const files = 50
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.start()
		d.must(os.Remove(d.abs("sent")))
		d.write("sent", "in the way")
		for i := range files {
			d.write(fmt.Sprintf("f%02d", i), "text")
		}
		wait(retellInterval / 2)
		d.expectLog(maxTroubles, "level=ERROR", "held up; it is tried again")
		d.expectLog(1, "level=ERROR", "held up", "count=1 next=\"told only with their number, for up to a minute\"")
		d.must(os.Remove(d.abs("sent")))
		wait(retellInterval)
		if n := len(d.tree()); n != files {
			t.Errorf("%d files in the folder", n)
		}
		d.expectLog(files, "level=INFO", "no longer held up")

		d.must(os.RemoveAll(d.abs("sent")))
		d.write("sent", "in the way")
		d.write("g", "text")
		wait(time.Second)
		d.expectLog(1, "level=ERROR", "held up; it is tried again", "path=g ", fmt.Sprintf("untold=%d", files-maxTroubles))
		for i := range maxTroubles {
			d.write(fmt.Sprint("h", i), "text")
		}
		wait(time.Second)
		d.stop()
		d.expectLog(1, "level=ERROR", "more files are held up or were not sent", "untold=1\n")
	})
}
