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

// BenchmarkRoute takes signals that differ along a route, with what guards it
// against loops and without.
func BenchmarkRoute(b *testing.B) {
	for _, guard := range []router.LoopGuard{router.LoopGuardOff, router.LoopGuardWarn} {
		for _, size := range []int{100, 10_000} {
			b.Run(fmt.Sprintf("guard=%s/size=%d", guard, size), func(b *testing.B) {
				plan := router.Plan{
					Sinks:  map[string]router.Sink{"out": discard{}},
					Routes: []router.Route{{Name: "relay", From: []string{"in"}, To: []string{"out"}, LoopGuard: guard}},
				}
				err := deliver(plan, router.Options{}, func(next router.Sink) {
					data := make([]byte, size)
					s := router.Signal{Federation: "north", Event: "alarms.pump", Relayed: true, Kind: wire.NormalEvent, Data: data}
					b.SetBytes(int64(size))
					b.ReportAllocs()
					b.ResetTimer()
					for i := range b.N {
						binary.LittleEndian.PutUint64(data, uint64(i))
						if err := next.Signal(b.Context(), s); err != nil {
							b.Fatal(err)
						}
					}
				})
				if err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
