//go:build unix

package dir

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const nobody = 65534 // user and group id

// foreignEnv names a folder that belongs to nobody, with files of root.
const foreignEnv = "DIR_TEST_FOREIGN"

// asNobody runs a test that root's rights would spoil: for root it runs this
// binary again as another user, fails or skips as that does, and returns false.
// prepare may put files of root into the folder that the test gets.
func asNobody(t *testing.T, prepare func(folder string)) bool {
	if os.Geteuid() != 0 {
		return true
	}
	base, err := os.MkdirTemp("", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	folder, binary := filepath.Join(base, "drop"), filepath.Join(base, "test")
	for _, err := range []error{
		copyFile(os.Args[0], binary), os.Mkdir(folder, 0o755), os.Chmod(base, 0o755),
		os.Chown(base, nobody, nobody), os.Chown(folder, nobody, nobody),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	prepare(folder)
	child := exec.CommandContext(t.Context(), binary, "-test.run=^"+t.Name()+"$", "-test.v")
	child.Dir = base
	child.Env = append(os.Environ(), "TMPDIR="+base, "HOME="+base, foreignEnv+"="+folder)
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := child.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("as nobody: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("as nobody: %s", out)
	}
	return false
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

func nothing(string) {}

// Fault 12.
func TestUnreadableFile(t *testing.T) {
	if !asNobody(t, nothing) {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.write("closed", "text")
		d.must(os.Chmod(d.abs("closed"), 0))
		d.write("closed folder/f", "in it")
		d.must(os.Chmod(d.abs("closed folder"), 0))
		d.write("open", "goes")
		d.start()
		wait(time.Minute)
		d.expectSent("open=goes")
		d.expectLog(1, "level=ERROR", "cannot be opened", "path=closed ", "permission denied; give the user that runs imbrouter the right to read it", "count=1\n")
		d.expectLog(1, "level=ERROR", "folder cannot be read", `path="closed folder"`)
		d.must(os.Chmod(d.abs("closed"), 0o644))
		d.must(os.Chmod(d.abs("closed folder"), 0o755))
		wait(11 * time.Second)
		d.expectSent("open=goes", "closed=text", "closed folder/f=in it")
		d.expectLog(1, "level=INFO", "no longer held up", "path=closed ", "held_up=1m")
	})
}

// Fault 2, for files of another user, of which the kernel tells nothing.
func TestFileOfAnotherUser(t *testing.T) {
	if !asNobody(t, func(folder string) {
		if err := os.WriteFile(filepath.Join(folder, "roots"), []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
	}) {
		return
	}
	folder := os.Getenv(foreignEnv)
	if folder == "" {
		t.Skip("needs root, to make a file of another user")
	}
	f, err := os.Open(filepath.Join(folder, "roots"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := openWriters(f); got != unknownWriters {
		t.Errorf("known of another user's writers: %v", got)
	}
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.path, d.config.Path = folder, folder
		d.build()
		d.start()
		wait(time.Duration(d.config.Settle) - time.Millisecond)
		d.expectSent()
		wait(time.Second)
		d.expectSent("roots=text")
	})
}

func TestFileThatCannotBeMovedIsNotSentAgain(t *testing.T) {
	if !asNobody(t, nothing) {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		d := newDrop(t)
		d.write("fixed/f", "text")
		d.must(os.Chmod(d.abs("fixed"), 0o555))
		defer os.Chmod(d.abs("fixed"), 0o755)
		d.start()
		wait(time.Minute)
		d.restart() // it remembers
		wait(time.Minute)
		d.expectSent("fixed/f=text")
		d.expectLog(1, "level=ERROR", "held up", "was sent, but cannot be put away", "count=1\n")
		d.must(os.Chmod(d.abs("fixed"), 0o755))
		wait(11 * time.Second)
		d.expectSent("fixed/f=text")
		d.expectTree("sent/fixed/f=text")
		d.expectLog(1, "level=INFO", "no longer held up", "path=fixed/f", "held_up=1m")

		// It is forgotten then: the same file, moved back, is new.
		d.stop()
		d.must(os.Rename(d.abs("sent/fixed/f"), d.abs("fixed/f")))
		d.build()
		d.start()
		wait(time.Second)
		d.expectSent("fixed/f=text", "fixed/f=text")
	})
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	if !asNobody(t, nothing) {
		return
	}
	for _, dir := range []string{"sent", "failed", "."} {
		d := newDrop(t)
		d.must(d.source.Open(t.Context()))
		d.must(d.source.Close())
		d.must(os.Chmod(d.abs(dir), 0o555))
		err := d.source.Open(t.Context())
		if err == nil || !strings.Contains(err.Error(), "cannot write to folder") || !strings.Contains(err.Error(), "ReadWritePaths=") {
			t.Errorf("Open with %s read-only returned %v", dir, err)
		}
		d.must(os.Chmod(d.abs(dir), 0o755))
	}
}
