package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"imbrouter/imb/wire"
)

// idlePause is the time between two files that are dropped one at a time.
const idlePause = 20 * time.Millisecond

// OneByOne measures how long it takes from the close of a file in the drop
// folder until a subscriber has its last byte, while nothing else is done. The
// ceiling is how long it takes until a process that watches the folder wakes
// up. It returns false where that cannot be measured: elsewhere than on Linux.
func (f Files) OneByOne(floors ...Floor) (Case, bool) {
	return Case{
		Name:    fmt.Sprintf("file, %s, idle", size(f.Size)),
		Product: f.closeToTail, Ceiling: f.closeToWake, Floors: floors,
	}, closesAreWatched
}

func (f Files) closeToTail(ctx context.Context, r *Round) (Sample, error) {
	hub, err := r.hub(ctx)
	if err != nil {
		return Sample{}, err
	}
	from, err := subscriber(hub.address)
	if err != nil {
		return Sample{}, err
	}
	defer from.Close()
	defer context.AfterFunc(ctx, func() { from.Close() })()
	drop, err := startSender(r, hub.address, "")
	if err != nil {
		return Sample{}, err
	}
	tail := func() error {
		err := from.each(func(frame []byte) error {
			if isEvent(frame, wire.StreamTail) {
				return errArrived
			}
			return nil
		}, nil)
		if err != errArrived {
			return err
		}
		return nil
	}
	from.patience = readyPause
	if err := awaitReady(drop, func() bool { return tail() == nil }); err != nil {
		return Sample{}, err
	}
	for tail() == nil { // of those that came late
	}
	from.patience = patience
	return f.oneByOne(ctx, drop, tail)
}

// oneByOne writes files into a folder and waits for each to arrive.
func (f Files) oneByOne(ctx context.Context, folder string, arrive func() error) (Sample, error) {
	var latency []time.Duration
	body := make([]byte, f.Size)
	for n := range f.Count {
		select {
		case <-ctx.Done():
			return Sample{}, context.Cause(ctx)
		case <-time.After(idlePause):
		}
		file, err := os.Create(filepath.Join(folder, fmt.Sprint(filePrefix, n)))
		if err != nil {
			return Sample{}, err
		}
		if _, err := file.Write(body); err != nil {
			return Sample{}, err
		}
		closing := time.Now()
		if err := file.Close(); err != nil {
			return Sample{}, err
		}
		if err := arrive(); err != nil {
			return Sample{}, err
		}
		latency = append(latency, time.Since(closing))
	}
	return Sample{Latency: latency}, nil
}
