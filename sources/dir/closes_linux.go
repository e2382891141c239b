package dir

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// closes tells when a file in a watched folder is closed that was open for
// writing, of which fsnotify does not. What it misses costs time only: a file
// that is open is looked at again and again.
type closes struct {
	events  chan fsnotify.Event // of files, as if they were written to
	file    *os.File            // the inotify instance
	done    chan struct{}       // closed by close
	reading sync.WaitGroup

	mu   sync.Mutex
	dirs map[int32]string // by watch descriptor; nil when it has given up
}

// newCloses returns nil when the system has no more inotify instances.
func newCloses() *closes {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	c := &closes{
		events: make(chan fsnotify.Event), file: os.NewFile(uintptr(fd), "inotify"),
		done: make(chan struct{}), dirs: map[int32]string{},
	}
	c.reading.Go(c.run)
	return c
}

// add begins to watch a folder. It may fail.
func (c *closes) add(dir string) {
	c.control(func(fd int) {
		if c.dirs == nil {
			return
		}
		if wd, err := unix.InotifyAddWatch(fd, dir, unix.IN_CLOSE_WRITE|unix.IN_ONLYDIR); err == nil {
			c.dirs[int32(wd)] = dir
		}
	})
}

func (c *closes) remove(dir string) {
	c.control(func(fd int) { c.removeIf(fd, func(name string) bool { return name == dir }) })
}

// giveUp gives all watches back, for good.
func (c *closes) giveUp() {
	c.control(func(fd int) {
		c.removeIf(fd, func(string) bool { return true })
		c.dirs = nil
	})
}

func (c *closes) removeIf(fd int, is func(dir string) bool) {
	for wd, dir := range c.dirs {
		if is(dir) {
			_, _ = unix.InotifyRmWatch(fd, uint32(wd)) // fails when the folder is gone
			delete(c.dirs, wd)
		}
	}
}

// control does something with the instance, unless it is closed.
func (c *closes) control(do func(fd int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn, err := c.file.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { do(int(fd)) })
	}
}

func (c *closes) close() {
	close(c.done)
	_ = c.file.Close()
	c.reading.Wait()
}

// run reads events until close.
func (c *closes) run() {
	buf := make([]byte, 16<<10)
	for {
		n, err := c.file.Read(buf)
		if err != nil {
			return
		}
		for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			wd := int32(binary.NativeEndian.Uint32(rest))
			mask := binary.NativeEndian.Uint32(rest[4:])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
			name := string(bytes.TrimRight(rest[unix.SizeofInotifyEvent:end], "\x00"))
			rest = rest[end:]
			c.mu.Lock()
			dir := c.dirs[wd]
			if mask&unix.IN_IGNORED != 0 { // the folder is gone
				delete(c.dirs, wd)
			}
			c.mu.Unlock()
			if mask&unix.IN_CLOSE_WRITE == 0 || dir == "" || name == "" {
				continue
			}
			select {
			case c.events <- fsnotify.Event{Name: filepath.Join(dir, name), Op: fsnotify.Write}:
			case <-c.done:
				return
			}
		}
	}
}
