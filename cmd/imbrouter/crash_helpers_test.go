package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"imbrouter/imb"
	"imbrouter/router/failpoint"
)

// site is the folder of a test, in which real processes run: their
// configurations and logs, drop/ and received/.
type site struct {
	t       *testing.T
	dir     string
	dropped tree // every file that was put into drop/
}

func newSite(t *testing.T) *site {
	return &site{t: t, dir: t.TempDir(), dropped: tree{}}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// writeQuickstart writes the example, with a hub on a free port.
func (s *site) writeQuickstart() {
	s.t.Helper()
	example, err := os.ReadFile("../../examples/quickstart.toml")
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("quickstart.toml", strings.Replace(string(example), "127.0.0.1:4000", "127.0.0.1:0", 1))
}

// The two halves of the quickstart as configurations of their own. A hub is
// either the address of one, or "" for one in the process.

func (s *site) writeSender(hub, extra string) {
	s.t.Helper()
	s.write("sender.toml", connectionTo(hub)+`
[sources.outbox]
type = "dir"
path = "drop"
[sinks.broadcast]
type = "imb"
event = "files"
[routes.send]
from = ["outbox"]
to = ["broadcast"]
`+extra)
}

func (s *site) writeReceiver(hub string) {
	s.t.Helper()
	s.write("receiver.toml", connectionTo(hub)+`
[sources.incoming]
type = "imb"
events = ["files"]
[sinks.inbox]
type = "dir"
path = "received"
[routes.receive]
from = ["incoming"]
to = ["inbox"]
`)
}

func connectionTo(hub string) string {
	if hub == "" {
		return "[hub]\nlisten = \"127.0.0.1:0\"\n[connections.hub]\nfederation = \"demo\"\n"
	}
	return fmt.Sprintf("[connections.hub]\naddress = %q\nfederation = \"demo\"\n", hub)
}

// drop puts a file of that many bytes, which look random, into drop/.
func (s *site) drop(name string, size int) {
	s.t.Helper()
	s.beginDrop(name, size)()
}

// beginDrop is drop by a slow writer: it writes the first half, and leaves the
// other, and closing the file, to the function that it returns.
func (s *site) beginDrop(name string, size int) (finish func()) {
	s.t.Helper()
	body := randomBytes(name, size)
	path := s.path("drop/" + name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	f, err := os.Create(path)
	if err == nil {
		_, err = f.Write(body[:size/2])
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.dropped[name] = sha256.Sum256(body)
	return func() {
		s.t.Helper()
		_, err := f.Write(body[size/2:])
		if err := errors.Join(err, f.Close()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// randomBytes returns bytes that look random and depend on the name.
func randomBytes(name string, size int) []byte {
	body := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(body)
	return body
}

// tree is the contents of a folder: the hash of each file, by its path.
type tree map[string][sha256.Size]byte

// tree reads a folder, without what imbrouter keeps for itself in it.
func (s *site) tree(name string) tree {
	s.t.Helper()
	got := tree{}
	for _, file := range s.files(name, ".imbrouter") {
		h := sha256.New()
		f, err := os.Open(s.path(name + "/" + file))
		if err == nil {
			_, err = io.Copy(h, f)
			f.Close()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		got[file] = [sha256.Size]byte(h.Sum(nil))
	}
	return got
}

// files lists the files in a folder and those below it, but for what lies in
// the folders that are named. What goes away meanwhile is listed or not.
func (s *site) files(name string, without ...string) []string {
	s.t.Helper()
	var files []string
	root := s.path(name)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		for _, leftOut := range without {
			if relative == leftOut {
				return filepath.SkipDir
			}
		}
		if !entry.IsDir() {
			files = append(files, relative)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// input lists what is still to be sent, what was being moved away included.
func (s *site) input() []string {
	s.t.Helper()
	return append(s.files("drop", ".imbrouter", "sent", "failed"), s.files("drop/.imbrouter/staged")...)
}

// awaitSent waits until nothing is left to be sent, and fails the test unless
// sent/ is all that was dropped then.
func (s *site) awaitSent() {
	s.t.Helper()
	var left []string
	eventually(s.t, func() bool { left = s.input(); return len(left) == 0 }, "everything is sent; left is %q", &left)
	for _, file := range s.files("drop/failed") {
		s.t.Errorf("%q was given up", file)
	}
	sent := s.tree("drop/sent")
	for name, sum := range s.dropped {
		if got, ok := sent[name]; !ok {
			s.t.Errorf("%q is not in sent/", name)
		} else if got != sum {
			s.t.Errorf("%q is another one in sent/", name)
		}
	}
	if len(sent) > len(s.dropped) {
		s.t.Errorf("sent/ has %d files, %d were dropped", len(sent), len(s.dropped))
	}
}

// copyNumber is what is put before a file's extension when its name is taken.
var copyNumber = regexp.MustCompile(`\.\d+(\.[^./]*)$`)

// received counts how often each dropped file has been received. It fails the
// test if there is anything under a final name that is not wholly one of them.
func (s *site) received() map[string]int {
	s.t.Helper()
	copies := map[string]int{}
	for path, sum := range s.tree("received") {
		name := copyNumber.ReplaceAllString(path, "$1")
		want, ok := s.dropped[name]
		if !ok || sum != want {
			s.t.Errorf("received/%s is not what was dropped", path)
			continue
		}
		copies[name]++
	}
	return copies
}

// awaitReceived waits until each of the files has been received.
func (s *site) awaitReceived(names []string) {
	s.t.Helper()
	for _, name := range names {
		eventually(s.t, func() bool { return fileExists(s.path("received/" + name)) }, "%q is received", name)
	}
}

// partials lists what is on its way into received/.
func (s *site) partials() []string { return s.files("received/.imbrouter/partial") }

// process is the program, running.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   string        // path of its output
	ended chan struct{} // closed when it has ended and cmd.ProcessState tells how
}

// programFault is what the Go runtime writes about a broken program.
var programFault = regexp.MustCompile(`(?m)^(WARNING: DATA RACE|panic: .*|fatal error: .*)$`)

// start runs the program in the folder. It is killed, at the latest, when the
// test ends, and its log is shown if that has failed.
func (s *site) start(name string, args ...string) *process {
	s.t.Helper()
	return s.startToFail(name, "", args...)
}

// startToFail is start with a fail point, such as "send.tail:2".
func (s *site) startToFail(name, point string, args ...string) *process {
	s.t.Helper()
	cmd := s.command(args...)
	cmd.Env = append(os.Environ(), failpoint.Variable+"="+point)
	return s.startCommand(name, cmd)
}

// command returns the program, to be started in the folder.
func (s *site) command(args ...string) *exec.Cmd {
	s.t.Helper()
	program, err := exec.LookPath("imbrouter")
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = s.dir
	return cmd
}

// startCommand is start for a command that may have a standard input, output
// and error of its own: what it does not have goes to the log.
func (s *site) startCommand(name string, cmd *exec.Cmd) *process {
	s.t.Helper()
	log, err := os.CreateTemp(s.dir, name+"-*.log")
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	p := &process{t: s.t, cmd: cmd, log: log.Name(), ended: make(chan struct{})}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState tells the same
		close(p.ended)
	}()
	s.t.Cleanup(func() {
		p.kill()
		output := p.output()
		if fault := programFault.FindString(output); fault != "" {
			s.t.Errorf("%s has %s", filepath.Base(p.log), fault)
		}
		if s.t.Failed() {
			s.t.Logf("%s, which ended with %v:\n%s", filepath.Base(p.log), p.cmd.ProcessState, lastPart(output))
		}
	})
	return p
}

// startHub runs a hub on a free port and returns its address.
func (s *site) startHub() (p *process, addr string) {
	s.t.Helper()
	p = s.start("hub", "hub", "--listen", "127.0.0.1:0")
	return p, p.hubAddress()
}

// hubAddress waits until the process's hub listens, and returns its address.
func (p *process) hubAddress() string {
	p.t.Helper()
	return p.await(`hub is listening" address=(\S+)`)[1]
}

// awaitReady waits until every route is up.
func (p *process) awaitReady() { p.t.Helper(); p.await(`Ctrl-C stops it`) }

// await waits until the log has a match, and returns it with its groups.
func (p *process) await(expression string) (match []string) {
	p.t.Helper()
	re := regexp.MustCompile(expression)
	eventually(p.t, func() bool {
		ended := p.hasEnded()
		match = re.FindStringSubmatch(p.output())
		if match == nil && ended {
			p.t.Fatalf("%s ended with %v before it logged %s", filepath.Base(p.log), p.cmd.ProcessState, expression)
		}
		return match != nil
	}, "%s has %s", filepath.Base(p.log), expression)
	return match
}

// count returns how often the log has a match.
func (p *process) count(expression string) int {
	return len(regexp.MustCompile(expression).FindAllStringIndex(p.output(), -1))
}

func (p *process) output() string {
	text, _ := os.ReadFile(p.log)
	return string(text)
}

func lastPart(text string) string {
	const most = 8 << 10
	if len(text) <= most {
		return text
	}
	return "…" + text[len(text)-most:]
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails when it has ended
	<-p.ended
}

// awaitEnd waits until the process ends, and returns its exit code.
func (p *process) awaitEnd() (code int) {
	p.t.Helper()
	eventually(p.t, p.hasEnded, "%s ends", filepath.Base(p.log))
	return p.cmd.ProcessState.ExitCode()
}

// awaitCrash waits until the process dies by its fail point.
func (p *process) awaitCrash() {
	p.t.Helper()
	killed := -1 // by a signal
	if runtime.GOOS == "windows" {
		killed = 1
	}
	if code := p.awaitEnd(); code != killed {
		p.t.Fatalf("%s ended with %v, want it to be killed", filepath.Base(p.log), p.cmd.ProcessState)
	}
}

// connect returns a client of a hub.
func connect(t *testing.T, hub string) *imb.Client {
	t.Helper()
	c, err := imb.Connect(t.Context(), imb.Options{Address: hub, Federation: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(t.Context()) }) // the hub may be dead
	return c
}

// awaitSubscriber waits until a hub knows a subscriber of the event of files.
func awaitSubscriber(t *testing.T, hub string) {
	t.Helper()
	e, err := connect(t, hub).Publish("files")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, e.HasSubscribers, "somebody subscribes to %s at %s", e.Name(), hub)
}
