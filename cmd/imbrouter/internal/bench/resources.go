package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"imbrouter/imb/wire"
)

const mebibyte = 1 << 20

// StreamMemory measures the peak memory of the largest process while one file
// of so many bytes is dropped and passes two hubs with a router between. The
// file has no blocks on disk, and nobody writes it to one.
func StreamMemory(bytes int64, floors ...Floor) Case {
	product := func(ctx context.Context, r *Round) (Sample, error) {
		entrance, exit, err := aRouter(route("all", ""))(ctx, r)
		if err != nil {
			return Sample{}, err
		}
		from, err := subscriber(exit)
		if err != nil {
			return Sample{}, err
		}
		defer from.Close()
		defer context.AfterFunc(ctx, func() { from.Close() })()
		drop, err := startSender(r, entrance, "")
		if err != nil {
			return Sample{}, err
		}
		arrived := map[int32]int64{} // bytes of the streams that are under way
		var whole int64              // of the one that ended last
		tail := func() error {
			err := from.each(func(frame []byte) error {
				ends := isEvent(frame, wire.StreamTail)
				if !ends && !isEvent(frame, wire.StreamBody) {
					return nil
				}
				chunk, err := wire.ParseStreamChunk(data(frame))
				if err != nil {
					return err
				}
				arrived[chunk.StreamID] += int64(len(chunk.Bytes))
				if !ends {
					return nil
				}
				whole = arrived[chunk.StreamID]
				delete(arrived, chunk.StreamID)
				return errArrived
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
		from.patience = patience
		if err := dropEmpty(r.Folder, drop, bytes); err != nil {
			return Sample{}, err
		}
		for whole < bytes { // small ones may come before, and in between
			if err := tail(); err != nil {
				return Sample{}, err
			}
		}
		return Sample{Value: float64(r.peakMemory()) / mebibyte}, nil
	}
	return Case{Name: fmt.Sprintf("memory, a stream of %s", size(bytes)), Unit: "MiB", Product: product, Floors: floors}
}

// dropEmpty drops a file of zeros that takes no space.
func dropEmpty(from, to string, bytes int64) error {
	const name = "zeros"
	f, err := os.Create(filepath.Join(from, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(bytes); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(to, name))
}

// IdleMemory and IdleCPU measure a daemon that has so many routes, each with a
// source and a sink of its own at a hub, and nothing to do.
func IdleMemory(routes int, floors ...Floor) Case {
	return Case{
		Name: fmt.Sprintf("memory, idle, %d routes", routes), Unit: "MiB", Floors: floors,
		Product: func(ctx context.Context, r *Round) (Sample, error) {
			p, err := startIdle(ctx, r, routes)
			if err != nil {
				return Sample{}, err
			}
			return Sample{Value: float64(presentMemory(p.cmd.Process.Pid)) / mebibyte}, nil
		},
	}
}

// IdleCPU is described with IdleMemory. It looks on for a time.
func IdleCPU(routes int, during time.Duration, floors ...Floor) Case {
	return Case{
		Name: fmt.Sprintf("CPU, idle, %d routes", routes), Unit: "% of a core", Floors: floors,
		Product: func(ctx context.Context, r *Round) (Sample, error) {
			p, err := startIdle(ctx, r, routes)
			if err != nil {
				return Sample{}, err
			}
			before, begin := usedCPU(p.cmd.Process.Pid), time.Now()
			select {
			case <-ctx.Done():
				return Sample{}, context.Cause(ctx)
			case <-time.After(during):
			}
			used := usedCPU(p.cmd.Process.Pid) - before
			return Sample{Value: 100 * used.Seconds() / time.Since(begin).Seconds()}, nil
		},
	}
}

// startIdle runs a daemon with routes and waits until it has settled.
func startIdle(ctx context.Context, r *Round, routes int) (*process, error) {
	hub, err := r.hub(ctx)
	if err != nil {
		return nil, err
	}
	var config strings.Builder
	config.WriteString(connection("hub", hub.address))
	for n := range routes {
		fmt.Fprintf(&config, `
[sources.in%[1]d]
type = "imb"
events = ["in.%[1]d"]
[sinks.out%[1]d]
type = "imb"
event = "out.%[1]d"
[routes.route%[1]d]
from = ["in%[1]d"]
to = ["out%[1]d"]
`, n)
	}
	if err := r.run("idle.toml", config.String()); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(settleTime):
	}
	return r.processes[len(r.processes)-1], nil
}

// settleTime is how long a daemon gets until it counts as idle.
const settleTime = 3 * time.Second

// Connections measures what a hub needs for each connection that does nothing,
// if there are so many.
func Connections(count int, floors ...Floor) Case {
	product := func(ctx context.Context, r *Round) (Sample, error) {
		hub, err := r.hub(ctx)
		if err != nil {
			return Sample{}, err
		}
		before := presentMemory(hub.cmd.Process.Pid)
		for range count {
			conn, err := net.Dial("tcp", hub.address)
			if err != nil {
				return Sample{}, err
			}
			defer conn.Close()
			if err := ask(conn); err != nil {
				return Sample{}, err
			}
		}
		return Sample{Value: float64(presentMemory(hub.cmd.Process.Pid)-before) / 1024 / float64(count)}, nil
	}
	return Case{Name: fmt.Sprintf("hub, %d idle connections", count), Unit: "KiB each", Product: product, Floors: floors}
}

// ask subscribes to the event, and waits for the answer.
func ask(conn net.Conn) error {
	order := wire.AppendSubscribe(nil, wire.EventRef{ID: eventID, Name: federation + "." + eventName})
	if _, err := conn.Write(order); err != nil {
		return err
	}
	answer := wire.AppendSetEventIDTranslation(nil, wire.Translation{})
	for _, n := range []int{wire.FrameSize(8), len(answer)} { // the id of the client comes first
		if _, err := io.ReadFull(conn, make([]byte, n)); err != nil {
			return err
		}
	}
	return nil
}
