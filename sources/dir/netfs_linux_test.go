package dir

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestNetworkFileSystem(t *testing.T) {
	for magic, want := range map[uint32]bool{
		unix.NFS_SUPER_MAGIC: true, unix.CIFS_SUPER_MAGIC: true, unix.SMB2_SUPER_MAGIC: true, unix.FUSE_SUPER_MAGIC: true,
		unix.EXT4_SUPER_MAGIC: false, unix.XFS_SUPER_MAGIC: false, unix.BTRFS_SUPER_MAGIC: false,
		unix.TMPFS_MAGIC: false, unix.OVERLAYFS_SUPER_MAGIC: false,
	} {
		if got := networkFileSystem(magic); got != want {
			t.Errorf("%#x: %v, want %v", magic, got, want)
		}
	}
	if onNetwork(t.TempDir()) {
		t.Error("a temporary folder is said to lie on a network")
	}
}
