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
	return &partialFile{File: f, passes: true}, nil
}

// passSize is how many bytes of a file are written as of any other. Who reads a
// small file soon finds it in the system's cache. A large one would put everything
// else out of that, and to get memory for it takes longer than to write it.
const passSize = 8 << 20

// partialFile is a file that goes to the disk while it is written, so that Sync at
// its end has little left to do, and if it is large past the system's cache. Whether
// the disk could take it all, only Sync tells.
type partialFile struct {
	*os.File
	size   int64 // written
	early  int64 // of that, what the disk has been told to take
	passes bool  // the system can write past its cache, as far as is known
}

func (f *partialFile) Write(p []byte) (n int, err error) {
	if f.passes && f.early >= passSize {
		n, f.passes = writePast(f.File, p)
		f.early += int64(n)
	}
	if n < len(p) {
		var k int
		k, err = f.File.Write(p[n:])
		n += k
	}
	f.size += int64(n)
	if rest := f.size - f.early; rest >= passSize {
		startWriting(f.File, f.early, rest)
		f.early = f.size
	}
	return n, err
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
