package dir

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imbrouter/router/config"
)

// disk is a file system on a file, from which the power can be taken.
type disk struct {
	t           *testing.T
	image, path string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	d := &disk{t, filepath.Join(t.TempDir(), "image"), filepath.Join(t.TempDir(), "disk")}
	if err := errors.Join(os.WriteFile(d.image, nil, 0o644), os.Truncate(d.image, 16<<20), os.Mkdir(d.path, 0o755)); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("mkfs.ext4", "-q", d.image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.ext4: %v %s", err, output)
	}
	d.mount()
	t.Cleanup(func() { _ = unix.Unmount(d.path, unix.MNT_DETACH) })
	return d
}

func (d *disk) mount() {
	d.t.Helper()
	if output, err := exec.Command("mount", "-o", "loop", d.image, d.path).CombinedOutput(); err != nil {
		d.t.Skipf("no loop device can be mounted here: %v %s", err, output)
	}
}

// powerOff makes the file system forget what it has not written to its device.
func (d *disk) powerOff() {
	d.t.Helper()
	const ioctlShutdown, noLogFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	root, err := os.Open(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer root.Close()
	if err := unix.IoctlSetPointerInt(int(root.Fd()), ioctlShutdown, noLogFlush); err != nil {
		d.t.Skip("the file system cannot be shut down:", err)
	}
}

func (d *disk) powerOn() {
	d.t.Helper()
	if err := unix.Unmount(d.path, 0); err != nil {
		d.t.Fatal(err)
	}
	d.mount()
}

// Fault 66: the power fails when files have been sent and dealt with. Each is
// whole afterwards, in the place where it was, and is not sent again.
func TestPowerCut(t *testing.T) {
	for _, after := range []string{afterMove, afterDelete, afterKeep} {
		t.Run(after, func(t *testing.T) {
			disk := newDisk(t)
			d := newDrop(t)
			d.path = filepath.Join(disk.path, "drop")
			d.config.Path, d.config.After = d.path, after
			d.config.PollInterval = config.Duration(10 * time.Millisecond)
			d.must(os.Mkdir(d.path, 0o755))
			archived := make(chan struct{}, 100)
			defer func(old func(string)) { step = old }(step)
			step = func(name string) {
				if name == "archived" {
					archived <- struct{}{}
				}
			}
			var want []string
			for cut := range 4 {
				d.build()
				d.start()
				for n := range 3 {
					name, body := fmt.Sprintf("%d/%d/f", cut, n), strings.Repeat(fmt.Sprint(n), 20_000)
					d.write(name, body)
					switch after {
					case afterMove:
						want = append(want, "sent/"+name+"="+body)
					case afterKeep:
						want = append(want, name+"="+body)
					}
				}
				for range 3 {
					<-archived
				}
				disk.powerOff()
				d.stop()
				disk.powerOn()
				d.expectTree(want...)
			}
			d.build()
			d.start()
			d.must(os.WriteFile(d.abs("last"), nil, 0o644))
			<-archived
			if n := len(d.sink.got()); n != 4*3+1 {
				t.Errorf("%d files were sent, want %d", n, 4*3+1)
			}
		})
	}
}
