package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imbrouter/router/journal"
)

var typical = journal.Record{
	Outcome: journal.Sent, ID: 12345, Route: "send", Source: "outbox", Sink: "broadcast", Event: "demo.files",
	Name: "2026/05/report-04.csv", Path: "2026/05/report-04.csv", Size: 123456, Duration: 12 * time.Millisecond, Attempts: 1,
	SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
}

// BenchmarkAppend is to be compared with bare writes and fsyncs of as many bytes.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprintf("%d-callers", callers), func(b *testing.B) {
			j := open(b, pathIn(b), journal.Options{})
			fromMany(b, callers, func() error { return j.Append(b.Context(), typical) })
		})
		b.Run(fmt.Sprintf("%d-callers-bare", callers), func(b *testing.B) {
			f, err := os.OpenFile(filepath.Join(b.TempDir(), "bare"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			text, err := typical.MarshalJSON()
			if err != nil {
				b.Fatal(err)
			}
			text = append(text, '\n')
			fromMany(b, callers, func() error {
				if _, err := f.Write(text); err != nil {
					return err
				}
				return f.Sync()
			})
		})
	}
}

// fromMany does something b.N times, from some goroutines at once.
func fromMany(b *testing.B, callers int, do func() error) {
	turns := make(chan struct{})
	done := make(chan error, callers)
	for range callers {
		go func() {
			var err error
			for range turns {
				if e := do(); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for b.Loop() {
		turns <- struct{}{}
	}
	close(turns)
	for range callers {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

func BenchmarkNote(b *testing.B) {
	j := open(b, pathIn(b), journal.Options{})
	for b.Loop() {
		if err := j.Note(typical); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens a journal of one full file.
func BenchmarkOpen(b *testing.B) {
	path := pathIn(b)
	j := open(b, path, journal.Options{})
	for size := int64(0); size < 15<<20; {
		if err := j.Note(typical); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		size = info.Size()
		b.SetBytes(size)
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		j, err := journal.Open(path, journal.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
