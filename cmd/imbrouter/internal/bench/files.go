package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Files says which files are dropped.
type Files struct {
	Size  int64 // of each
	Count int

	extra string // of the configurations
}

const (
	filePrefix  = "file-"
	readyPrefix = "ready-"
	// readyPause is the time between two small files that find out whether the
	// chain is connected.
	readyPause = 200 * time.Millisecond
	// largeFile is the size from which on files are on disk before they are
	// dropped, and are not kept until the end.
	largeFile = 16 << 20
)

const sender = `
[sources.drop]
type = "dir"
path = "drop"
[sinks.out]
type = "imb"
event = "alarms"
[routes.send]
from = ["drop"]
to = ["out"]
`

const receiver = `
[sources.in]
type = "imb"
events = ["alarms"]
[sinks.received]
type = "dir"
path = "received"
[routes.receive]
from = ["in"]
to = ["received"]
`

// Chain measures large files from folder to folder: dropped, through a hub, or
// over a router through two, received and on disk. The ceiling is the same chain
// with frames of so many bytes.
func (f Files) Chain(relayed bool, frame int, floors ...Floor) Case {
	c := Case{
		Name: fmt.Sprintf("file, %s, ceiling with %s", size(f.Size), size(frame)), Unit: "MB/s", Floors: floors,
		Product: f.product(aHub("")), Ceiling: f.ceiling(aForwarder, frame),
	}
	if relayed {
		c.Name = "relayed " + c.Name
		c.Product, c.Ceiling = f.product(aRouter(route("all", ""))), f.ceiling(aSimpleRouter(), frame)
	}
	return c
}

// WithoutSums is Chain, through a hub, with journals that hold no SHA-256.
func (f Files) WithoutSums() Case {
	f.extra = "[router]\njournal_sha256 = false\n"
	c := f.Chain(false, DefaultChunk)
	c.Name += ", no SHA-256"
	return c
}

// Small measures many small files over the same chain. The ceiling only creates
// them, writes, fsyncs and links them to their names, by 8 workers.
func (f Files) Small(floors ...Floor) Case {
	return Case{
		Name: fmt.Sprintf("files, %d of %s", f.Count, size(f.Size)), Unit: "files/s", Floors: floors,
		Product: f.product(aHub("")), Ceiling: f.land("land"),
	}
}

// SmallSafely is Small, beside the safe ceiling.
func (f Files) SmallSafely() Case {
	c := f.Small()
	c.Name += ", safe ceiling"
	c.Ceiling = f.land("keep")
	return c
}

// product drops the files into a folder of the product.
func (f Files) product(way chain) Side {
	return func(ctx context.Context, r *Round) (Sample, error) {
		landing, err := watchLanding(r)
		if err != nil {
			return Sample{}, err
		}
		defer landing.Close()
		entrance, exit, err := way(ctx, r)
		if err != nil {
			return Sample{}, err
		}
		if err := r.run("receive.toml", f.extra+connection("hub", exit)+receiver); err != nil {
			return Sample{}, err
		}
		drop, err := startSender(r, entrance, f.extra)
		if err != nil {
			return Sample{}, err
		}
		if err := awaitReady(drop, func() bool { return landing.await(ctx, readyPrefix, 1, readyPause) == nil }); err != nil {
			return Sample{}, err
		}
		return f.drop(ctx, r, landing, func(path string) error {
			return os.Rename(path, filepath.Join(drop, filepath.Base(path)))
		})
	}
}

// startSender runs the product with a folder to send from, which it returns, and
// with what else its configuration is to hold.
func startSender(r *Round, hub, extra string) (drop string, err error) {
	drop = filepath.Join(r.Folder, "drop")
	if err := os.Mkdir(drop, 0o755); err != nil {
		return "", err
	}
	return drop, r.run("send.toml", extra+connection("hub", hub)+sender)
}

// awaitReady drops small files until one has arrived: then the whole chain is
// connected.
func awaitReady(drop string, arrived func() bool) error {
	for n := range int(patience / readyPause) {
		if err := os.WriteFile(filepath.Join(drop, fmt.Sprint(readyPrefix, n)), []byte("ready?"), 0o644); err != nil {
			return err
		}
		if arrived() {
			return nil
		}
	}
	return fmt.Errorf("no file that is dropped arrives within %v", patience)
}

// ceiling names the files to the simplest sender.
func (f Files) ceiling(way chain, frame int) Side {
	return func(ctx context.Context, r *Round) (Sample, error) {
		landing, err := watchLanding(r)
		if err != nil {
			return Sample{}, err
		}
		defer landing.Close()
		entrance, exit, err := way(ctx, r)
		if err != nil {
			return Sample{}, err
		}
		if _, err := r.ceiling(ctx, "receive", exit, landing.folder); err != nil {
			return Sample{}, err
		}
		send, err := r.ceiling(ctx, "send", entrance, strconv.Itoa(frame))
		if err != nil {
			return Sample{}, err
		}
		return f.drop(ctx, r, landing, func(path string) error {
			_, err := fmt.Fprintln(send.stdin, path)
			return err
		})
	}
}

// land lets one of the simplest programs make the files by itself.
func (f Files) land(program string) Side {
	return func(ctx context.Context, r *Round) (Sample, error) {
		landing, err := watchLanding(r)
		if err != nil {
			return Sample{}, err
		}
		defer landing.Close()
		p, err := r.ceiling(ctx, program, landing.folder, strconv.Itoa(f.Count), strconv.FormatInt(f.Size, 10))
		if err != nil {
			return Sample{}, err
		}
		begin := time.Now()
		if _, err := fmt.Fprintln(p.stdin); err != nil {
			return Sample{}, err
		}
		return f.landed(ctx, landing, begin)
	}
}

// drop makes files, drops them, and waits until all have landed.
func (f Files) drop(ctx context.Context, r *Round, landing *landing, drop func(path string) error) (Sample, error) {
	r.large = f.Size >= largeFile
	made := filepath.Join(r.Folder, "made")
	if err := os.Mkdir(made, 0o755); err != nil {
		return Sample{}, err
	}
	var paths []string
	for n := range f.Count {
		path := filepath.Join(made, fmt.Sprint(filePrefix, n))
		if err := writeRandom(path, f.Size); err != nil {
			return Sample{}, err
		}
		paths = append(paths, path)
	}
	begin := time.Now()
	for _, path := range paths {
		if err := drop(path); err != nil {
			return Sample{}, err
		}
	}
	return f.landed(ctx, landing, begin)
}

// writeRandom makes a file of bytes that look random.
func writeRandom(path string, size int64) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.CopyN(file, rand.NewChaCha8([32]byte{}), size); err != nil {
		return err
	}
	if size >= largeFile { // so that it is not written while it is sent
		if err := file.Sync(); err != nil {
			return err
		}
	}
	return file.Close()
}

// landed waits until all files are there, and measures since when.
func (f Files) landed(ctx context.Context, landing *landing, begin time.Time) (Sample, error) {
	if err := landing.await(ctx, filePrefix, f.Count, patience); err != nil {
		return Sample{}, err
	}
	took := time.Since(begin).Seconds()
	for n := range f.Count {
		name := filepath.Join(landing.folder, fmt.Sprint(filePrefix, n))
		info, err := os.Stat(name)
		if err != nil {
			return Sample{}, err
		}
		if info.Size() != f.Size {
			return Sample{}, fmt.Errorf("%q has landed with %d bytes, not %d", name, info.Size(), f.Size)
		}
	}
	if f.Count == 1 {
		return Sample{Value: float64(f.Size) / 1e6 / took}, nil
	}
	return Sample{Value: float64(f.Count) / took}, nil
}

// landing is the folder in which files land, watched.
type landing struct {
	*fsnotify.Watcher
	folder string
	landed map[string]int // names by prefix
}

func watchLanding(r *Round) (*landing, error) {
	folder := filepath.Join(r.Folder, "received")
	if err := os.MkdirAll(filepath.Join(folder, partialFolder), 0o755); err != nil {
		return nil, err
	}
	w, err := fsnotify.NewBufferedWatcher(1 << 10)
	if err != nil {
		return nil, err
	}
	return &landing{Watcher: w, folder: folder, landed: map[string]int{}}, w.Add(folder)
}

// await waits until so many files with a prefix have landed, or for so long
// nothing has.
func (l *landing) await(ctx context.Context, prefix string, count int, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for l.landed[prefix] < count {
		select {
		case e := <-l.Events:
			if !e.Has(fsnotify.Create) {
				continue
			}
			if kind, _, ok := strings.Cut(filepath.Base(e.Name), "-"); ok {
				l.landed[kind+"-"]++
			}
			timer.Reset(patience)
		case err := <-l.Errors:
			return err
		case <-timer.C:
			return fmt.Errorf("%d of %d files have landed, and none for %v", l.landed[prefix], count, patience)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
