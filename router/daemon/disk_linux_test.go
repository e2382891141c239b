package daemon_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/router/disktest"
)

// Faults 20 and 21: the disk of the received folder is full, or read-only. What
// comes from the hub is lost, and the log says so; what comes from a folder
// stays there. Nothing that is not whole has its final name. When the disk is in
// order again everything goes on.
func TestReceivedFolderCannotBeWritten(t *testing.T) {
	remount := func(disk string, flags uintptr) error { return unix.Mount("", disk, "", unix.MS_REMOUNT|flags, "") }
	for _, test := range []struct {
		name, options string
		spoil, mend   func(disk string) error
		cause         string
	}{
		{
			name: "full", options: "size=4m", cause: "no space left on device",
			spoil: func(disk string) error {
				err := os.WriteFile(filepath.Join(disk, "ballast"), make([]byte, 4<<20), 0o644)
				return expectFull(err)
			},
			mend: func(disk string) error { return os.Remove(filepath.Join(disk, "ballast")) },
		},
		{
			name: "no inodes", options: "nr_inodes=100", cause: "no space left on device",
			spoil: func(disk string) error {
				var err error
				for n := 0; err == nil; n++ {
					err = os.Mkdir(filepath.Join(disk, fmt.Sprint("ballast", n)), 0o755)
				}
				return expectFull(err)
			},
			mend: func(disk string) error {
				var errs []error
				for n := range 10 {
					errs = append(errs, os.Remove(filepath.Join(disk, fmt.Sprint("ballast", n))))
				}
				return errors.Join(errs...)
			},
		},
		{
			name: "read-only", options: "size=4m", cause: "read-only file system",
			spoil: func(disk string) error { return remount(disk, unix.MS_RDONLY) },
			mend:  func(disk string) error { return remount(disk, 0) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			disk := disktest.Small(t, test.options)
			received := filepath.Join(disk, "received")
			addr, _ := imbtest.StartHub(t, hub.Options{})
			d := start(t, strings.Replace(collecting, `path = "received"`, fmt.Sprintf("path = %q", received), 1)+`
[sources.drop]
type = "dir"
path = "drop"
[routes.copy]
from = ["drop"]
to = ["inbox"]
`, addr, "")
			s, body := dialSender(t, addr), strings.Repeat("x", 100_000)
			send := func(id int32, name string) {
				s.header(id, name)
				s.body(id, body)
				s.tail(id, "")
			}
			send(1, "before")
			d.awaitTree(t, received, map[string]string{"before": body})
			imbtest.Eventually(t, func() bool { return len(d.lines(`file received.* stream=before`)) == 1 }, "the first stream is done with")

			look := func() { // fault 64: a disk that takes nothing is nothing for the watchdog
				t.Helper()
				if kind, name := d.Stuck(); kind != "" {
					t.Errorf("%s %q is told to be stuck", kind, name)
				}
			}
			look()
			if err := test.spoil(disk); err != nil {
				t.Fatal(err)
			}
			send(2, "during")
			d.replace(t, "drop/file", body)
			imbtest.Eventually(t, func() bool {
				return len(d.lines(`level=ERROR msg="stream lost" .*stream=during .*sink \\"inbox\\": .*`+test.cause)) == 1
			}, "the log tells of the stream that is lost")
			look()
			imbtest.Eventually(t, func() bool {
				return len(d.lines(`level=WARN msg="the destination is away.* path=file .*sink \\"inbox\\": .*`+test.cause)) == 1
			}, "the log tells of the file that waits")
			look()
			if got := d.tree(t, "drop"); got["file"] != body {
				t.Errorf("the drop folder holds %v", shorten(&got))
			}
			if got := d.tree(t, received); len(got) != 1 {
				t.Errorf("received: %v", shorten(&got))
			}

			if err := test.mend(disk); err != nil {
				t.Fatal(err)
			}
			send(3, "after")
			d.awaitTree(t, received, map[string]string{"before": body, "after": body, "file": body})
			d.awaitTree(t, "drop/sent", map[string]string{"file": body})
			if left := d.tree(t, filepath.Join(received, ".imbrouter/partial")); len(left) > 0 {
				t.Errorf("left over: %v", shorten(&left))
			}
		})
	}
}

// expectFull is for what is done until the disk is full.
func expectFull(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return nil
	}
	return fmt.Errorf("the disk is not full: %v", err)
}
