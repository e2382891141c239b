package router_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"imbrouter/imb/wire"
	"imbrouter/router"
)

// discard is a sink that takes signals and does nothing.
type discard struct{ router.Sink }

func (discard) Signal(context.Context, router.Signal) error { return nil }

func (discard) Signals(_ context.Context, batch []router.Signal) (n int, err error) {
	return len(batch), nil
}

// BenchmarkRoute takes signals that differ along a route, one by one and in batches,
// with what guards it against loops and without.
func BenchmarkRoute(b *testing.B) {
	for _, guard := range []router.LoopGuard{router.LoopGuardOff, router.LoopGuardWarn} {
		for _, size := range []int{100, 10_000} {
			plan := router.Plan{
				Sinks:  map[string]router.Sink{"out": discard{}},
				Routes: []router.Route{{Name: "relay", From: []string{"in"}, To: []string{"out"}, LoopGuard: guard}},
			}
			bench := func(name string, send func(next router.Sink, s router.Signal, n int)) {
				b.Run(fmt.Sprintf("%s/guard=%s/size=%d", name, guard, size), func(b *testing.B) {
					err := deliver(plan, router.Options{}, func(next router.Sink) {
						s := router.Signal{Federation: "north", Event: "alarms.pump", Relayed: true, Kind: wire.NormalEvent, Data: make([]byte, size)}
						b.SetBytes(int64(size))
						b.ReportAllocs()
						b.ResetTimer()
						send(next, s, b.N)
					})
					if err != nil {
						b.Fatal(err)
					}
				})
			}
			bench("single", func(next router.Sink, s router.Signal, n int) {
				for i := range n {
					binary.LittleEndian.PutUint64(s.Data, uint64(i))
					if err := next.Signal(b.Context(), s); err != nil {
						b.Error(err)
					}
				}
			})
			bench("batches", func(next router.Sink, s router.Signal, n int) {
				batch := make([]router.Signal, 64)
				for i := range batch {
					batch[i] = s
					batch[i].Data = make([]byte, size)
				}
				for i := 0; i < n; i += len(batch) {
					for k := range batch {
						binary.LittleEndian.PutUint64(batch[k].Data, uint64(i+k))
					}
					next.(router.Passer).Pass(batch, func() {})
				}
			})
		}
	}
}
