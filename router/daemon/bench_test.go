package daemon_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

// BenchmarkRelay relays signals that differ from one hub to another, without a
// filter.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprint("size=", size), func(b *testing.B) {
			from, _ := imbtest.StartHub(b, hub.Options{})
			to, _ := imbtest.StartHub(b, hub.Options{})
			start(b, relay, from, to)
			client := connect(b, to)
			heard, err := client.Subscribe("south.e")
			if err != nil {
				b.Fatal(err)
			}
			arrived := make(chan struct{})
			n := 0
			heard.Handle(wire.NormalEvent, func(imb.Message) {
				if n++; n == b.N {
					close(arrived)
				}
			})
			if err := client.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
			e := publish(b, connect(b, from), "north.e")
			data := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				binary.LittleEndian.PutUint64(data, uint64(i))
				if err := e.Signal(b.Context(), wire.NormalEvent, data); err != nil {
					b.Fatal(err)
				}
			}
			<-arrived
		})
	}
}
