//go:build unix

package dir

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Fault 11.
func TestOnlyRegularFilesAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		secret := filepath.Join(t.TempDir(), "secret")
		d.must(os.WriteFile(secret, []byte("secret"), 0o600))
		d.must(os.Symlink(secret, d.abs("link out")))
		d.must(os.Symlink("file", d.abs("link in")))
		d.must(os.Symlink(filepath.Dir(secret), d.abs("link to a folder")))
		d.must(os.Symlink("nowhere", d.abs("dangling")))
		d.must(syscall.Mkfifo(d.abs("fifo"), 0o644))
		var listen net.ListenConfig
		l, err := listen.Listen(t.Context(), "unix", d.abs("socket"))
		d.must(err)
		defer l.Close()
		skipped := 6
		if err := syscall.Mknod(d.abs("device"), syscall.S_IFCHR|0o666, 1<<8|3); err == nil { // a second /dev/null, as root only
			skipped++
		}
		d.write("file", "text")
		d.start()
		wait(time.Minute)
		d.expectSent("file=text")
		d.expectLog(skipped, "level=WARN", "only regular files")
		for name, kind := range map[string]string{
			`"link out"`: `"symbolic link"`, `"link in"`: `"symbolic link"`, `"link to a folder"`: `"symbolic link"`,
			"dangling": `"symbolic link"`, "fifo": "FIFO", "socket": "socket",
		} {
			d.expectLog(1, "only regular files", "path="+name+" ", "type="+kind)
		}
		// A path that becomes a file is one.
		d.replace("fifo", "now a file")
		wait(time.Second)
		d.expectSent("file=text", "fifo=now a file")
	})
}
