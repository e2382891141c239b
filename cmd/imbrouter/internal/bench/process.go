package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// startTimeout is how long a process may take until it listens.
	startTimeout = 20 * time.Second
	// stopTimeout is how long a process may take to stop in good order.
	stopTimeout = 20 * time.Second
	// keptLines is how many lines of a process's log are kept for an error.
	keptLines = 10
)

// Round is one round of one side: its folder and its processes.
type Round struct {
	Folder    string // empty at first
	large     bool   // its folder is removed at once, for want of space
	program   string
	life      context.Context         // of the processes
	fail      context.CancelCauseFunc // ends the context of the side
	processes []*process
}

// process is one child. It logs JSON to its standard error.
type process struct {
	name    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	ready   chan struct{} // closed when it has told of an address
	address string
	logged  chan struct{} // closed at the end of its log
	lines   []string      // the last of that
}

// start runs the program with arguments in the round's folder. When it ends
// before the round does, so does the context of the side.
func (r *Round) start(args ...string) (*process, error) {
	p := &process{
		name: strings.Join(args[:min(len(args), 3)], " "), cmd: exec.CommandContext(r.life, r.program, args...),
		ready: make(chan struct{}), logged: make(chan struct{}),
	}
	p.cmd.Args[0] = "imbrouter" // the executable may be a test's, which goes by that
	p.cmd.Dir = r.Folder
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	r.processes = append(r.processes, p)
	go func() {
		p.readLog(stderr)
		close(p.logged)
		r.fail(fmt.Errorf("%s has ended", p.name))
	}()
	return p, nil
}

// startReady is start for a process that logs an address when it is ready.
func (r *Round) startReady(ctx context.Context, args ...string) (p *process, err error) {
	if p, err = r.start(args...); err != nil {
		return nil, err
	}
	select {
	case <-p.ready:
		return p, nil
	case <-time.After(startTimeout):
		err = fmt.Errorf("was not ready within %v", startTimeout)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("%s: %w", p.name, err)
}

// hub starts a hub of the product.
func (r *Round) hub(ctx context.Context) (*process, error) {
	return r.startReady(ctx, "hub", "--listen", "127.0.0.1:0", "--log-format", "json")
}

// run starts the product with a configuration.
func (r *Round) run(name, config string) error {
	if err := os.WriteFile(filepath.Join(r.Folder, name), []byte(config), 0o644); err != nil {
		return err
	}
	_, err := r.start("run", name, "--log-format", "json", "--log-level", "warn")
	return err
}

// ceiling starts one of the simplest programs, see Ceiling.
func (r *Round) ceiling(ctx context.Context, args ...string) (*process, error) {
	return r.startReady(ctx, append([]string{"bench", "ceiling"}, args...)...)
}

func (p *process) readLog(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		p.lines = append(p.lines[max(0, len(p.lines)-keptLines+1):], lines.Text())
		var line struct{ Address string }
		if p.address == "" && json.Unmarshal(lines.Bytes(), &line) == nil && line.Address != "" {
			p.address = line.Address
			close(p.ready)
		}
	}
	_, _ = io.Copy(io.Discard, stderr) // after a line that is too long
}

// peakMemory returns the most bytes that one of the processes has had resident.
func (r *Round) peakMemory() (peak int64) {
	for _, p := range r.processes {
		peak = max(peak, peakMemory(p.cmd.Process.Pid))
	}
	return peak
}

// end stops the round's processes, the last first. When err is not nil it
// becomes the error, and tells what the processes have logged.
func (r *Round) end(err error) (cpu time.Duration, memory int64, _ error) {
	memory = r.peakMemory()
	for _, p := range slices.Backward(r.processes) {
		if stopErr := p.stop(); err == nil {
			err = stopErr
		}
		cpu += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	}
	if err == nil {
		return cpu, memory, nil
	}
	for _, p := range r.processes {
		for _, line := range p.lines {
			err = fmt.Errorf("%w\n  %s: %s", err, p.name, line)
		}
	}
	return cpu, memory, err
}

// stop ends the process in good order where the system can ask it to, and
// otherwise in any. The ceilings end with their standard input.
func (p *process) stop() error {
	_ = p.stdin.Close()
	if p.cmd.Process.Signal(os.Interrupt) != nil { // has ended, or this is Windows
		_ = p.cmd.Process.Kill()
	}
	kill := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	<-p.logged
	err := p.cmd.Wait()
	if !kill.Stop() {
		return fmt.Errorf("%s did not stop within %v", p.name, stopTimeout)
	}
	if code := p.cmd.ProcessState.ExitCode(); code > 0 {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}
