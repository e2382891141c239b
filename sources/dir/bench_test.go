package dir

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"imbrouter/router"
)

// countingSink takes everything and keeps nothing.
type countingSink struct {
	want    int64
	streams atomic.Int64
	all     chan struct{} // closed when want streams were committed
}

func (s *countingSink) Signal(context.Context, router.Signal) error { return nil }
func (s *countingSink) Stream(context.Context, router.StreamInfo) (router.StreamWriter, error) {
	return s, nil
}
func (s *countingSink) Write(p []byte) (int, error) { return len(p), nil }
func (s *countingSink) Abort(error)                 {}
func (s *countingSink) Commit(context.Context) error {
	if s.streams.Add(1) == s.want {
		close(s.all)
	}
	return nil
}

// BenchmarkSmallFiles takes 2,000 files of 1 KiB that lie in a folder to a sink
// that does nothing.
func BenchmarkSmallFiles(b *testing.B) {
	const files = 2000
	body := make([]byte, 1024)
	for _, after := range []string{afterMove, afterDelete, afterKeep} {
		b.Run(after, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				c := NewConfig()
				c.Path, c.After = b.TempDir(), after
				for i := range files {
					if err := os.WriteFile(filepath.Join(c.Path, fmt.Sprint(i)), body, 0o644); err != nil {
						b.Fatal(err)
					}
				}
				source, err := c.Build(router.Env{Name: "outbox", Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					b.Fatal(err)
				}
				if err := source.(*Source).Open(b.Context()); err != nil {
					b.Fatal(err)
				}
				sink := &countingSink{want: files, all: make(chan struct{})}
				ctx, cancel := context.WithCancel(b.Context())
				ended := make(chan error, 1)
				b.StartTimer()
				go func() { ended <- source.Run(ctx, sink) }()
				<-sink.all
				b.StopTimer()
				cancel()
				if err := <-ended; err != nil {
					b.Fatal(err)
				}
				if err := source.(*Source).Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*files), "µs/file")
			b.ReportMetric(float64(b.N*files)/b.Elapsed().Seconds(), "files/s")
		})
	}
}
