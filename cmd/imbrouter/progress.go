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

// add draws a bar of a transfer that was begun at that time; of one whose size is
// unknown, below 0, the bytes and their rate alone.
func (b *progressBars) add(label string, size int64, begun time.Time) *mpb.Bar {
	name := decor.Name(label+"  ", decor.WCSyncSpaceR)
	speed := decor.NewAverageSpeed(decor.SizeB1024(0), "  % .1f", begun)
	if size < 0 {
		return b.progress.New(0, mpb.NopStyle(), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(name, decor.Current(decor.SizeB1024(0), "% .1f"), speed))
	}
	return b.progress.AddBar(size, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(name, decor.Counters(decor.SizeB1024(0), "% .1f / % .1f")),
		mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), speed),
	)
}

// transferLabel names a transfer. One from a folder has no event yet: the sinks
// choose it.
func transferLabel(t router.Transfer) string {
	if t.Event == "" {
		return fmt.Sprintf("sending %q from %s", t.Name, t.Source)
	}
	return fmt.Sprintf("receiving %q on %q", t.Name, t.Event)
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
			bar = b.add(transferLabel(t), t.Size, t.Started)
			bars[t.ID] = bar
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
