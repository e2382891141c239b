package dir

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imbrouter/router"
	"imbrouter/router/filter"
)

// crashVariable makes this test program a process that receives three whole
// streams and one that is cut off, and kills itself at a step: "step folder".
const crashVariable = "DIR_SINK_TEST_CRASH"

func crashAt(at string) {
	wanted, path, _ := strings.Cut(at, " ")
	second := false
	step = func(name string) {
		if name != wanted {
			return
		}
		if name == stepKept || second {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			if err != nil {
				panic(err)
			}
			select {}
		}
		second = true
	}
	c := NewConfig()
	c.Path, c.MinFree = path, 0
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var err error
	c.name, err = filter.CompileName(c.Filename)
	must(err)
	built, err := c.Build(router.Env{Log: slog.New(slog.DiscardHandler)})
	must(err)
	s := &testSink{sink: built.(*sink)}
	must(s.Open(context.Background()))
	for i := range 3 {
		must(s.send(crashName(i), crashContents(i)))
		fmt.Println(crashName(i))
	}
	w, err := s.Stream(context.Background(), named("cut"))
	must(err)
	w.Abort(errCutOff)
	must(s.Close())
}

func crashName(i int) string     { return fmt.Sprintf("dir/file%d", i) }
func crashContents(i int) string { return strings.Repeat(fmt.Sprint(i), directSize+1) }

func TestKilledAtEachStep(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		step       string
		landed     int // how many files have their final name, acknowledged or not
		incomplete []string
	}{
		{stepCreated, 1, []string{"dir%2Ffile1"}},
		{stepWritten, 1, []string{"dir%2Ffile1"}},
		{stepSynced, 1, []string{"dir%2Ffile1"}},
		{stepPublished, 2, nil},
		{stepDirSynced, 2, nil},
		{stepLanded, 2, nil},
		{stepKept, 3, []string{"cut"}},
	}
	for _, test := range tests {
		t.Run(test.step, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "received")
			command := exec.Command(program)
			command.Env = append(os.Environ(), crashVariable+"="+test.step+" "+path)
			var stderr bytes.Buffer
			command.Stderr = &stderr
			output, err := command.Output()
			if err == nil || strings.Contains(stderr.String(), "panic") {
				t.Fatalf("the process was not killed: %v, %s", err, &stderr)
			}

			s := openAt(t, path, nil)
			files := s.files(t)
			for _, acknowledged := range strings.Fields(string(output)) {
				if _, there := files[acknowledged]; !there {
					t.Errorf("%q was acknowledged and is not there", acknowledged)
				}
			}
			if len(files) != test.landed {
				t.Errorf("%d files landed, want %d", len(files), test.landed)
			}
			for i := range 3 {
				if contents, there := files[crashName(i)]; there && contents != crashContents(i) {
					t.Errorf("%q has %d bytes that it should not have", crashName(i), len(contents))
				}
			}
			if left := s.partials(t); len(left) > 0 {
				t.Errorf("not swept: %d files", len(left))
			}
			incomplete := s.incompletes(t)
			for _, name := range test.incomplete {
				if _, there := incomplete[name]; !there {
					t.Errorf("%q is not among the incomplete files", name)
				}
				delete(incomplete, name)
				delete(incomplete, name+reasonSuffix)
			}
			if len(incomplete) > 0 {
				t.Errorf("incomplete files that should not be: %d", len(incomplete))
			}
			s.mustSend(t, "again", "again")
		})
	}
}

func TestLeftOversAreRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "received")
	partial := filepath.Join(path, partialDir)
	if err := os.MkdirAll(partial, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(partial, "1-left"), []byte("part"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path, func(c *Config) { c.Incomplete = "remove" })
	if got := tree(t, path); len(got) != 1 { // the lock
		t.Errorf("there is %v", got)
	}
	if log := s.log.String(); !strings.Contains(log, "stream=left") {
		t.Errorf("logged %s", log)
	}
}
