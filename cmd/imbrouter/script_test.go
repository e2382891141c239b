package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// patience bounds every wait of a script. Nothing takes that long but a
// machine that does much else.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"imbrouter": main})
}

// TestScripts runs the real program in testdata/script/*.txtar. Beside the
// commands of testscript they have:
//
//	launch NAME PROGRAM ARG...  start in the background, output into NAME.log
//	terminate NAME [CODE]       send SIGTERM, and wait for exit code CODE (0)
//	hangup NAME                 send SIGHUP
//	await FILE REGEXP [VAR]     wait until the file has a match, and put its
//	                            first group into the variable
//	awaitfile PATH...           wait until the files exist
//	replace FILE OLD NEW        replace each OLD in a file, which must hold it
//	random FILE SIZE            write a file of SIZE bytes that look random
//	same FILE FILE              compare files of any content
//	examples COMMAND... [OLD=NEW...]
//	                            run each line of the examples in a command's help
//	                            with sh, which must succeed, each OLD replaced
//	running REGEXP COMMAND... [OLD=NEW...]
//	                            the same with those that run until they are
//	                            stopped, when their output has a match
//	pyimb ADDRESS               play the Python client's recorded bytes to a
//	                            hub and compare its answer with the recording
func TestScripts(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("EXAMPLES", examples)
			env.Setenv("GORACE", os.Getenv("GORACE")) // of the program, when it looks for races
			env.Values["processes"] = map[string]*exec.Cmd{}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"launch": launch, "terminate": terminate, "hangup": hangup, "await": await, "awaitfile": awaitFile,
			"replace": replace, "random": random, "same": same, "pyimb": pyimb,
			"examples": runExamples, "running": startExamples,
		},
	})
}

func need(ts *testscript.TestScript, neg, ok bool, usage string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

func processes(ts *testscript.TestScript) map[string]*exec.Cmd {
	return ts.Value("processes").(map[string]*exec.Cmd)
}

func launched(ts *testscript.TestScript, name string) *exec.Cmd {
	cmd := processes(ts)[name]
	if cmd == nil {
		ts.Fatalf("%s was not launched", name)
	}
	return cmd
}

func launch(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) >= 2, "launch NAME PROGRAM ARG...")
	name := args[0]
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	log, err := os.Create(ts.MkAbs(name + ".log"))
	ts.Check(err)
	defer log.Close()
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	processes(ts)[name] = cmd
	ts.Defer(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		text, _ := os.ReadFile(log.Name())
		ts.Logf("%s.log:\n%s", name, text)
	})
}

func fileExists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func terminate(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 1 || len(args) == 2, "terminate NAME [CODE]")
	cmd := launched(ts, args[0])
	want := 0
	if len(args) == 2 {
		want, _ = strconv.Atoi(args[1])
	}
	ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	timeout := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timeout.Stop()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != want {
		ts.Fatalf("%s ended with %v, want exit code %d", args[0], cmd.ProcessState, want)
	}
}

func hangup(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 1, "hangup NAME")
	ts.Check(launched(ts, args[0]).Process.Signal(syscall.SIGHUP))
}

// eventually waits until ok.
func eventually(t interface{ Fatalf(string, ...any) }, ok func() bool, format string, args ...any) {
	if t, ok := t.(interface{ Helper() }); ok {
		t.Helper()
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if ok() {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("in vain: "+format, args...)
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 2 || len(args) == 3, "await FILE REGEXP [VAR]")
	re, err := regexp.Compile(`(?m)` + args[1])
	ts.Check(err)
	var match [][]byte
	eventually(ts, func() bool {
		text, _ := os.ReadFile(ts.MkAbs(args[0]))
		match = re.FindSubmatch(text)
		return match != nil
	}, "waited for %s to match %s", args[0], args[1])
	if len(args) == 3 {
		ts.Setenv(args[2], string(match[1]))
	}
}

func awaitFile(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) > 0, "awaitfile PATH...")
	for _, path := range args {
		eventually(ts, func() bool { return fileExists(ts.MkAbs(path)) }, "waited for %s", path)
	}
}

func replace(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 3, "replace FILE OLD NEW")
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o644))
}

func random(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 2, "random FILE SIZE")
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	var seed [32]byte
	copy(seed[:], args[0])
	_, err = io.CopyN(f, rand.NewChaCha8(seed), size)
	ts.Check(err)
}

func same(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 2, "same FILE FILE")
	a, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	if !bytes.Equal(a, b) {
		ts.Fatalf("%s (%d bytes) and %s (%d bytes) differ", args[0], len(a), args[1], len(b))
	}
}

func runExamples(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) >= 1, "examples COMMAND... [OLD=NEW...]")
	for _, line := range examplesOf(ts, args) {
		ts.Check(ts.Exec("sh", "-c", line))
	}
}

func startExamples(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) >= 2, "running REGEXP COMMAND... [OLD=NEW...]")
	for _, line := range examplesOf(ts, args[1:]) {
		launch(ts, false, []string{"example", "sh", "-c", "exec " + line})
		await(ts, false, []string{"example.log", args[0]})
		terminate(ts, false, []string{"example"})
	}
}

// examplesOf returns the lines of a command's examples, with what is replaced.
func examplesOf(ts *testscript.TestScript, args []string) (lines []string) {
	var name, replaced []string
	for _, arg := range args {
		if before, after, ok := strings.Cut(arg, "="); ok {
			replaced = append(replaced, before, after)
		} else {
			name = append(name, arg)
		}
	}
	cmd, _, err := rootCommand().Find(name)
	ts.Check(err)
	if cmd.Example == "" {
		ts.Fatalf("the help of %s has no example", cmd.CommandPath())
	}
	example := cmd.Example
	for i := 0; i < len(replaced); i += 2 {
		if !strings.Contains(example, replaced[i]) {
			ts.Fatalf("the examples of %s do not have %q", cmd.CommandPath(), replaced[i])
		}
		example = strings.ReplaceAll(example, replaced[i], replaced[i+1])
	}
	for line := range strings.Lines(example) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

func pyimb(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, len(args) == 1, "pyimb ADDRESS")
	conn, err := net.Dial("tcp", args[0])
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	_, err = conn.Write(imbtest.PyimbClient())
	ts.Check(err)
	want, got := wire.NewReader(bytes.NewReader(imbtest.PyimbHub())), wire.NewReader(conn)
	for i := 0; ; i++ {
		w, err := want.Next()
		if err == io.EOF {
			return
		}
		ts.Check(err)
		g, err := got.Next()
		ts.Check(err)
		if w.Command != g.Command || w.Command != wire.CmdUniqueClientID && !bytes.Equal(w.Payload, g.Payload) {
			ts.Fatalf("frame %d: got %v %s, want %v %s", i, g.Command, start(g.Payload), w.Command, start(w.Payload))
		}
	}
}

func start(p []byte) string { return fmt.Sprintf("% x (%d bytes)", p[:min(len(p), 40)], len(p)) }
