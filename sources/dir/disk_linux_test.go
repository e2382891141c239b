package dir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"imbrouter/router/disktest"
)

// A disk that is full cuts a line off. What comes after it, when there is room
// again, is remembered.
func TestListOfSentFilesOnAFullDisk(t *testing.T) {
	disk := disktest.Small(t, "size=256k")
	d := newKeep(t)
	d.path = filepath.Join(disk, "drop")
	d.config.Path = d.path
	d.build()
	d.must(d.source.Open(t.Context()))
	list, v := d.source.folder.sent, version{1, 2, 3}
	var names []string
	add := func() error {
		names = append(names, fmt.Sprint(len(names), strings.Repeat("x", 300)))
		return list.add(names[len(names)-1], v)
	}
	d.must(add()) // there is room for some more in its block
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal("the disk is not full:", err)
	}
	var err error
	for err == nil {
		err = add()
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	d.must(os.Remove(ballast))
	d.must(add())
	d.must(d.source.Close())

	d.build()
	d.must(d.source.Open(t.Context()))
	defer d.source.Close()
	for _, name := range names {
		if !d.source.folder.sent.has(name, v) {
			t.Errorf("%.5q… is forgotten", name)
		}
	}
	d.expectLog(0, "damaged")
}
