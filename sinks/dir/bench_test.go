package dir

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"imbrouter/router"
	"imbrouter/router/filter"
)

// benchSink is a sink without the faults and the log of testSink.
func benchSink(b *testing.B) *sink {
	c := NewConfig()
	c.Path = filepath.Join(b.TempDir(), "received")
	var err error
	if c.name, err = filter.CompileName(c.Filename); err != nil {
		b.Fatal(err)
	}
	built, err := c.Build(router.Env{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	s := built.(*sink)
	if err := s.Open(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// land is a whole stream of that many pieces.
func land(s router.Sink, name string, piece []byte, pieces int) error {
	w, err := s.Stream(context.Background(), named(name))
	if err != nil {
		return err
	}
	for range pieces {
		if _, err := w.Write(piece); err != nil {
			w.Abort(err)
			return err
		}
	}
	return w.Commit(context.Background())
}

// bare does the least that makes a file durable under its final name and
// nowhere else before: create, write, fsync, link, fsync of the folder, unlink.
func bare(folder, name string, piece []byte, pieces int, syncFolder bool) error {
	partial, final := filepath.Join(folder, "partial-"+name), filepath.Join(folder, name)
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	for range pieces {
		if _, err := f.Write(piece); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Link(partial, final); err != nil {
		return err
	}
	if syncFolder {
		d, err := os.Open(folder)
		if err != nil {
			return err
		}
		defer d.Close()
		if err := d.Sync(); err != nil {
			return err
		}
	}
	return os.Remove(partial)
}

// BenchmarkLarge is one file of 1 GiB in pieces of the given size.
func BenchmarkLarge(b *testing.B) {
	const size = 1 << 30
	for _, piece := range []int{1 << 10, 16 << 10, 64 << 10} {
		data := make([]byte, piece)
		b.Run(fmt.Sprintf("sink/%dKiB", piece>>10), func(b *testing.B) {
			s := benchSink(b)
			b.SetBytes(size)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := land(s, fmt.Sprint(i), data, size/piece); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("bare/%dKiB", piece>>10), func(b *testing.B) {
			folder := b.TempDir()
			b.SetBytes(size)
			for i := 0; b.Loop(); i++ {
				if err := bare(folder, fmt.Sprint(i), data, size/piece, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSmall is files of 1 KiB, by so many committers at once.
func BenchmarkSmall(b *testing.B) {
	data := make([]byte, 1<<10)
	s, folder := benchSink(b), b.TempDir()
	for _, committers := range []int{1, 8} {
		run := func(name string, one func(name string) error) {
			b.Run(fmt.Sprintf("%s/%d", name, committers), func(b *testing.B) {
				names := make(chan string)
				var workers sync.WaitGroup
				for range committers {
					workers.Go(func() {
						for name := range names {
							if err := one(name); err != nil {
								b.Error(err)
							}
						}
					})
				}
				for b.Loop() {
					names <- fmt.Sprint(router.NextID())
				}
				close(names)
				workers.Wait()
			})
		}
		run("sink", func(name string) error { return land(s, name, data, 1) })
		run("bare", func(name string) error { return bare(folder, name, data, 1, true) })
		run("bare-no-folder-fsync", func(name string) error { return bare(folder, name, data, 1, false) })
	}
}
