package dir

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router"
	"imbrouter/router/config"
)

// limitedEnv tells a process that its namespace is its own, with a limit of its own.
const limitedEnv = "DIR_TEST_LIMITED"

// Fault 8, with a limit of the kernel: in a user namespace of its own, so that no
// other process notices.
func TestKernelsWatchLimit(t *testing.T) {
	if os.Getenv(limitedEnv) == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), limitedEnv+"=1")
		child.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}
		out, err := child.CombinedOutput()
		switch {
		case child.Process == nil:
			t.Skip("no user namespace can be made here:", err)
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		case strings.Contains(string(out), "--- SKIP"):
			t.Skipf("%s", out)
		}
		return
	}
	if err := os.WriteFile("/proc/sys/user/max_inotify_watches", []byte("3"), 0); err != nil {
		t.Skip("the limit cannot be set:", err)
	}
	d := newDrop(t)
	d.config.Watch, d.config.Rescan = watchAuto, config.Duration(time.Hour)
	d.build()
	d.must(os.MkdirAll(d.abs("a/b"), 0o755))
	d.start()
	d.write("a/b/first", "1")
	d.awaitSent(1)
	d.expectLog(0, "polled")
	for n := range 3 { // two more folders than may be watched
		d.write(fmt.Sprintf("%d/f", n), "2")
	}
	d.awaitSent(4)
	d.expectLog(1, "level=WARN", "polled", "fs.inotify.max_user_watches", "interval=100ms", "no space left on device")
}

// gatedLog is a log that waits at a line, and the source with it, which closes
// reached, until gate is closed.
type gatedLog struct {
	*logLines
	line          string // comes once
	reached, gate chan struct{}
}

func (l gatedLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p), l.line) {
		close(l.reached)
		<-l.gate
	}
	return l.logLines.Write(p)
}

// Fault 7, with the queue of the kernel: while the source is held up, more files
// are made than the queue takes events.
func TestKernelsQueueOverflows(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Skip(err)
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || limit > 40_000 {
		t.Skipf("the queue takes %s events", text)
	}
	d := newDrop(t)
	d.withEvents()
	var tried atomic.Int64
	d.sink.onHeader = func(router.StreamInfo) error { tried.Add(1); return router.ErrNotTaken }
	held := gatedLog{d.log, "only regular files", make(chan struct{}), make(chan struct{})}
	d.source.log = slog.New(slog.NewTextHandler(held, nil))
	d.must(os.Symlink("nowhere", d.abs("link")))
	d.start()
	<-held.reached
	files := limit + 2000
	for n := range files {
		d.write(fmt.Sprint(n), "")
	}
	close(held.gate)
	eventually(t, "all were found", func() bool { return tried.Load() >= int64(files) })
	if d.log.count("level=WARN", "events were lost", "overflow") == 0 {
		t.Error("no events were lost: the test shows nothing")
	}
}

// TestNoMoreOpenFiles lets the process have no file descriptors left while a file is
// sent: the log says how to get more, and not that rights are missing.
func TestNoMoreOpenFiles(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Skip(err)
	}
	limit := func(files uint64) error {
		return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: before.Max})
	}
	defer limit(before.Cur)
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.sink.onCommit = func(router.StreamInfo) error { return limit(0) }
		d.write("a/f", "text")
		d.start()
		wait(time.Minute)
		d.must(limit(before.Cur))
		d.expectSent("a/f=text")
		d.expectLog(1, "level=ERROR", "was sent, but cannot be put away", d.abs("sent"), "too many open files; raise LimitNOFILE=", "count=1\n")
		d.expectLog(0, "the right")
		wait(11 * time.Second)
		d.expectTree("sent/a/f=text")

		d.stop()
		d.must(limit(0))
		err := d.source.Open(t.Context())
		d.must(limit(before.Cur))
		if err == nil || !strings.Contains(err.Error(), "too many open files; raise LimitNOFILE=") {
			t.Errorf("Open returned %v", err)
		}
	})
}
