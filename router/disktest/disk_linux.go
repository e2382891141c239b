package disktest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is an ext4 file system of 16 MiB in a file.
type Disk struct {
	Path string // of its root

	t     testing.TB
	image string
}

// New makes a disk and mounts it until the test ends.
func New(t testing.TB) *Disk {
	t.Helper()
	needRoot(t)
	d := &Disk{Path: filepath.Join(t.TempDir(), "disk"), t: t, image: filepath.Join(t.TempDir(), "image")}
	if err := errors.Join(os.WriteFile(d.image, nil, 0o644), os.Truncate(d.image, 16<<20), os.Mkdir(d.Path, 0o755)); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("mkfs.ext4", "-q", d.image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.ext4: %v %s", err, output)
	}
	d.mount()
	t.Cleanup(func() { _ = unix.Unmount(d.Path, unix.MNT_DETACH) })
	return d
}

func (d *Disk) mount() {
	d.t.Helper()
	if output, err := exec.Command("mount", "-o", "loop", d.image, d.Path).CombinedOutput(); err != nil {
		d.t.Skipf("no loop device can be mounted here: %v %s", err, output)
	}
}

// PowerOff makes the disk forget what it has not written to its file, and fail
// from then on.
func (d *Disk) PowerOff() {
	d.t.Helper()
	const ioctlShutdown, noLogFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	root, err := os.Open(d.Path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer root.Close()
	if err := unix.IoctlSetPointerInt(int(root.Fd()), ioctlShutdown, noLogFlush); err != nil {
		d.t.Skip("the file system cannot be shut down:", err)
	}
}

// PowerOn mounts the disk again as it was when the power went. Nothing may be
// open there.
func (d *Disk) PowerOn() {
	d.t.Helper()
	if err := unix.Unmount(d.Path, 0); err != nil {
		d.t.Fatal(err)
	}
	d.mount()
}
