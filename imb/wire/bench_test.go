package wire_test

import (
	"fmt"
	"testing"

	"imbrouter/imb/wire"
)

// benchmarkSizes are those of a small signal, of the body that the known
// senders of streams use, and of a large one.
var benchmarkSizes = []int{140, 16 << 10, 256 << 10}

func BenchmarkReader(b *testing.B) {
	for _, size := range benchmarkSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			stream := wire.AppendEvent(nil, wire.Event{Kind: wire.NormalEvent, Data: make([]byte, size)})
			r := wire.NewReader(&endlessReader{chunk: stream})
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	for _, size := range benchmarkSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			event := wire.Event{Kind: wire.NormalEvent, Data: make([]byte, size)}
			buf := wire.AppendEvent(nil, event)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf = wire.AppendEvent(buf[:0], event)
			}
		})
	}
}
