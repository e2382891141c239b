package dir

import "golang.org/x/sys/unix"

// Magic numbers from statfs(2) that golang.org/x/sys/unix does not name.
const (
	lustreMagic = 0x0bd00bd0
	vboxsfMagic = 0x786f4256
)

// networkFileSystem tells from a file system's magic number whether files may
// change without this machine's kernel knowing: then there are no events, and a
// lease proves nothing. FUSE counts, because most of what is mounted through it
// lies elsewhere.
func networkFileSystem(magic uint32) bool {
	switch magic {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC, unix.NCP_SUPER_MAGIC,
		unix.CEPH_SUPER_MAGIC, lustreMagic, vboxsfMagic, unix.FUSE_SUPER_MAGIC:
		return true
	}
	return false
}

// onNetwork tells whether the folder lies on a network file system.
func onNetwork(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && networkFileSystem(uint32(fs.Type))
}
