package bench

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

const closesAreWatched = true

// closeToWake is done with inotify itself, because fsnotify does not tell of
// closed files.
func (f Files) closeToWake(ctx context.Context, r *Round) (Sample, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return Sample{}, os.NewSyscallError("inotify_init1", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	defer context.AfterFunc(ctx, func() { events.Close() })()
	if _, err := unix.InotifyAddWatch(fd, r.Folder, unix.IN_CLOSE_WRITE); err != nil {
		return Sample{}, os.NewSyscallError("inotify_add_watch", err)
	}
	buf := make([]byte, 4<<10)
	woken := make(chan error)
	go func() { // so that somebody sleeps in the read when the file is closed
		defer close(woken)
		for {
			_, err := events.Read(buf)
			select {
			case woken <- err:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	sample, err := f.oneByOne(ctx, r.Folder, func() error { return <-woken })
	events.Close()
	for range woken {
	}
	return sample, err
}
