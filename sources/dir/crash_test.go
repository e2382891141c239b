package dir

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/router"
)

// A test that needs a process to die starts its own binary again with these.
const (
	crashEnv       = "DIR_TEST_CRASH_AT" // name of the step
	crashFolderEnv = "DIR_TEST_FOLDER"
	crashAfterEnv  = "DIR_TEST_AFTER"
	crashSentEnv   = "DIR_TEST_SENT" // file to which the names of what was acknowledged are appended
)

// crashChild sends what is in a folder until it comes to a step, where it is killed.
func crashChild(at string) {
	step = func(name string) {
		if name == at {
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
			select {}
		}
	}
	c := NewConfig()
	c.Path, c.After, c.Parallel = os.Getenv(crashFolderEnv), os.Getenv(crashAfterEnv), 1
	source, err := c.Build(router.Env{Name: "child", Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err == nil {
		err = source.(*Source).Open(context.Background())
	}
	if err == nil {
		sink := &fakeSink{onCommit: func(info router.StreamInfo) error {
			f, err := os.OpenFile(os.Getenv(crashSentEnv), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = fmt.Fprintln(f, info.Name)
			return err
		}}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = source.Run(ctx, sink)
	}
	fmt.Fprintln(os.Stderr, "came to no step", at, err)
	os.Exit(3)
}

// Fault 14.
func TestKilledAtEachStep(t *testing.T) {
	for _, after := range []string{afterMove, afterDelete, afterKeep} {
		for _, at := range []string{"claim", "header", "body", "tail", "confirmed", "staged", "archived"} {
			if after == afterKeep && at == "staged" {
				continue // nothing is moved
			}
			t.Run(after+" "+at, func(t *testing.T) {
				d := newDrop(t)
				acknowledged := t.TempDir() + "/sent"
				names := []string{"a", "b/c", "d"}
				for _, name := range names {
					d.write(name, "body of "+name)
				}
				child := exec.CommandContext(t.Context(), os.Args[0])
				child.Env = append(os.Environ(), crashEnv+"="+at, crashFolderEnv+"="+d.path, crashAfterEnv+"="+after, crashSentEnv+"="+acknowledged)
				if out, err := child.CombinedOutput(); err == nil || child.ProcessState.ExitCode() > 0 {
					t.Fatalf("the child was not killed: %v\n%s", err, out)
				}
				first, _ := os.ReadFile(acknowledged)
				sent := strings.Fields(string(first))
				synctest.Test(t, func(t *testing.T) {
					d.t = t
					d.config.After = after
					d.build()
					d.start()
					wait(10 * time.Second)
					d.stop()
				})
				for _, info := range d.sink.got() {
					name, body, _ := strings.Cut(info, "=")
					if body != "body of "+name {
						t.Errorf("sent %q as %q", name, body)
					}
					sent = append(sent, name)
				}
				slices.Sort(sent)
				twice := len(sent) - len(names)
				if got := slices.Compact(slices.Clone(sent)); !slices.Equal(got, names) || twice > 1 {
					t.Errorf("sent %q, want each of %q, and one at most twice", sent, names)
				}
				var want []string
				for _, name := range names {
					switch after {
					case afterMove:
						want = append(want, "sent/"+name+"=body of "+name)
					case afterKeep:
						want = append(want, name+"=body of "+name)
					}
				}
				d.expectTree(want...)
			})
		}
	}
}
