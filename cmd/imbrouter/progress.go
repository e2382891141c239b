package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"imbrouter/router"
)

// progressInterval is the time between two looks at what is in transit.
const progressInterval = 200 * time.Millisecond

// progressBars draws a bar for each slow transfer below the log lines, which
// are written through it.
type progressBars struct {
	progress *mpb.Progress
	terminal io.Writer
}

func newProgressBars(terminal io.Writer) *progressBars {
	return &progressBars{
		progress: mpb.New(mpb.WithOutput(terminal), mpb.WithAutoRefresh(), mpb.WithWidth(40)),
		terminal: terminal,
	}
}

// Write writes above the bars.
func (b *progressBars) Write(p []byte) (int, error) {
	if n, err := b.progress.Write(p); err == nil {
		return n, nil
	}
	return b.terminal.Write(p) // the bars are gone
}

func (b *progressBars) close() { b.progress.Wait() }

// add draws a bar. A size below 0 is unknown.
func (b *progressBars) add(name string, size int64) *mpb.Bar {
	return b.progress.AddBar(max(size, 0),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name+"  ", decor.WCSyncSpaceR), decor.Counters(decor.SizeB1024(0), "% .1f / % .1f")),
		mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.AverageSpeed(decor.SizeB1024(0), "  % .1f")),
	)
}

// follow draws what is in transit in r until stop is called.
func (b *progressBars) follow(r *router.Router) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		bars := map[uint64]*mpb.Bar{}
		defer func() {
			for _, bar := range bars {
				bar.Abort(true)
			}
		}()
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				b.update(bars, r.Transfers())
			}
		}
	})
	return func() { close(done); running.Wait() }
}

func (b *progressBars) update(bars map[uint64]*mpb.Bar, transfers []router.Transfer) {
	alive := map[uint64]bool{}
	for _, t := range transfers {
		if !t.Slow() {
			continue
		}
		alive[t.ID] = true
		bar, ok := bars[t.ID]
		if !ok {
			bar = b.add(fmt.Sprintf("%q %q", t.Event, t.Name), t.Size)
			bars[t.ID] = bar
		}
		if t.Size < 0 {
			bar.SetTotal(t.Done+1, false)
		}
		bar.SetCurrent(t.Done)
	}
	for id, bar := range bars {
		if !alive[id] {
			bar.Abort(true)
			delete(bars, id)
		}
	}
}
