package dir

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"imbrouter/router/durable"
	"imbrouter/router/failpoint"
)

// A disk is what it takes to land a file, inside one folder. Names are
// slash-separated and relative to it. It is an interface so that tests can let
// each operation fail.
type disk interface {
	// Create makes a new file; fs.ErrExist when there is one.
	Create(name string) (file, error)
	// Publish gives the file of partial a name of its own. An existing name is
	// never overwritten: fs.ErrExist. The partial name may or may not be gone
	// afterwards.
	Publish(partial, name string) error
	// Rename moves a file to a name whether that exists or not.
	Rename(partial, name string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(name string) error
	// Free returns how many bytes this user may still write.
	Free() (int64, error)
}

// A file is the part of *os.File that a stream is written with.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// rootDisk is the disk of an os.Root, which lets no name and no symbolic link
// lead out of it.
type rootDisk struct{ *os.Root }

func (d rootDisk) Create(name string) (file, error) {
	f, err := d.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return &partialFile{File: f}, nil
}

// stretch is how many bytes are written before the disk begins to take them.
const stretch = 8 << 20

// partialFile is a file that goes to the disk while it is written, so that Sync at
// its end has little left to do. Whether the disk could take it all, only Sync tells.
//
// If it is larger than two stretches the system's cache lets go of it again: it would
// put everything else out of that, and where the system must get memory for it first,
// as on a virtual machine that has never used so much, that takes several times as
// long as to write it.
type partialFile struct {
	*os.File
	size    int64 // written
	started int64 // of that, what the disk has been told to take
	dropped int64 // of that, what the cache has been told to let go of
}

func (f *partialFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.size += int64(n)
	if rest := f.size - f.started; rest >= stretch {
		startWriting(f.File, f.started, rest)
		if f.started > 0 { // and by now written, or else it stays until Sync
			dropCached(f.File, f.dropped, f.started-f.dropped)
		}
		f.started, f.dropped = f.size, f.started
	}
	return n, err
}

func (f *partialFile) Sync() error {
	err := f.File.Sync()
	if err == nil && f.dropped > 0 { // after an error the cache may hold what the disk does not
		dropCached(f.File, 0, f.size)
	}
	return err
}

func (d rootDisk) Publish(partial, name string) error {
	err := d.Link(partial, name)
	if err == nil || errors.Is(err, fs.ErrExist) || !hasNoLinks(err) {
		return err
	}
	return renameNew(d.Root, partial, name)
}

func (d rootDisk) SyncDir(name string) error { return durable.SyncDir(d.Root, name) }

func (d rootDisk) Free() (int64, error) { return freeSpace(d.Root) }

// step is called after each step of the life of a file, so that a crash can
// be tried there. The steps are the constants below.
var step = func(name string) { failpoint.Reach("receive", name) }

const (
	stepCreated   = "created"    // the partial file is there
	stepWritten   = "written"    // some bytes more are in it
	stepSynced    = "synced"     // its contents are durable
	stepPublished = "published"  // it has its final name
	stepDirSynced = "dir-synced" // the final name is durable
	stepLanded    = "landed"     // the partial name is gone
	stepKept      = "kept"       // an incomplete file was moved, its reason is not written
)
