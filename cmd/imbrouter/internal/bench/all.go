package bench

import "time"

// Sizes of the cases of All.
const (
	typicalPayload = 140 // bytes; a signal with a line of text
	largePayload   = 1 << 10
	smallChunk     = 16 << 10 // what the known senders of streams send at once
	DefaultChunk   = 64 << 10 // what ours sends, see chunk_size
)

// All returns every case with its floors. The amounts of work are multiplied by
// scale; below 1 it is quicker and says less.
func All(scale float64) []Case {
	many := func(n int) int { return max(1, int(float64(n)*scale)) }
	bytes := func(n int64) int64 { return max(1, int64(float64(n)*scale)) }
	signals := func(payload, subscribers, count int) Signals {
		return Signals{Payload: payload, Publishers: 1, Subscribers: subscribers, Count: many(count)}
	}
	big, small := Files{Size: bytes(1 << 30), Count: 1}, Files{Size: 1 << 10, Count: many(5000)}
	cases := []Case{
		signals(typicalPayload, 1, 4e6).Through("", ratioAtLeast(0.6)),
		signals(typicalPayload, 4, 2e6).Through("", ratioAtLeast(0.7)),
		signals(largePayload, 1, 1e6).Through("", ratioAtLeast(0.7)),
		signals(typicalPayload, 1, 1e6).Relayed(true, ratioAtLeast(0.4)),
		signals(typicalPayload, 1, 2e6).Relayed(false, ratioAtLeast(0.7)),
		signals(typicalPayload, 1, 2e6).RelayedSafely(),
		big.Chain(false, DefaultChunk, ratioAtLeast(0.9)),
		big.Chain(false, smallChunk, ratioAtLeast(1.2)),
		big.Chain(true, DefaultChunk, ratioAtLeast(0.8)),
		big.WithoutSums(), // for what the SHA-256 of both journals costs
		small.Small(ratioAtLeast(0.5)),
		small.SmallSafely(),
		signals(typicalPayload, 1, 2e4).OneByOne("", latencyRatioAtMost(1.5)),
	}
	if c, ok := (Files{Size: 1 << 10, Count: many(200)}).OneByOne(latencyAbove(time.Millisecond, 5*time.Millisecond)); ok {
		cases = append(cases, c)
	}
	cases = append(cases,
		FilterTime(many(1e6), valueAtMost(300)),
		FilterAllocations(many(1e6), valueAtMost(2)),
		RouteAllocations(many(1e6), valueAtMost(0)),
		signals(typicalPayload, 1, 2e5).ManyRoutes(1000, ratioAtLeast(0.5)),
	)
	if usageIsTold {
		cases = append(cases,
			StreamMemory(bytes(10<<30), valueAtMost(64)),
			IdleMemory(100, valueAtMost(40)),
			IdleCPU(100, time.Duration(scale*float64(10*time.Second)), valueAtMost(0.5)),
			Connections(many(1000), valueAtMost(32)),
		)
	}
	return cases
}
