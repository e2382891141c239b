package imb_test

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

const signalSize = 140

// A signal is sent, goes through a hub and a handler, without an allocation.
func TestSignalsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c := connectHub(t, imb.Options{})
	e := c.Event("e")
	arrived := make(chan struct{}, 1)
	want := 0
	handled := 0
	e.HandleAll(func(m imb.Message) {
		if handled++; handled == want {
			arrived <- struct{}{}
		}
	})
	ready(t, c, e)
	const burst = 100
	data := make([]byte, signalSize)
	roundTrip := func() {
		want = handled + burst
		for range burst {
			if err := e.Signal(t.Context(), wire.NormalEvent, data); err != nil {
				t.Fatal(err)
			}
		}
		<-arrived
	}
	for range 100 {
		roundTrip() // buffers grow
	}
	if n := testing.AllocsPerRun(100, roundTrip); n > burst/100 {
		t.Errorf("%v allocations for %d signals", n, burst)
	}
}

// BenchmarkSignals sends signals from one client through a hub to others.
func BenchmarkSignals(b *testing.B) {
	for _, subscribers := range []int{1, 4} {
		b.Run(fmt.Sprint("subscribers=", subscribers), func(b *testing.B) {
			addr, _ := imbtest.StartHub(b, hub.Options{})
			sender := connect(b, imb.Options{Address: addr})
			e := sender.Event("e")
			must(b, e.Publish())
			must(b, sender.Flush(b.Context()))
			arrived := make(chan struct{}, subscribers)
			for range subscribers {
				c := connect(b, imb.Options{Address: addr})
				heard := c.Event("e")
				n := 0
				heard.HandleAll(func(imb.Message) {
					if n++; n == b.N {
						arrived <- struct{}{}
					}
				})
				ready(b, c, heard)
			}
			data := make([]byte, signalSize)
			b.SetBytes(signalSize)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if err := e.Signal(b.Context(), wire.NormalEvent, data); err != nil {
					b.Fatal(err)
				}
			}
			for range subscribers {
				<-arrived
			}
		})
	}
}

// BenchmarkLatency sends a signal when the one before has come back.
func BenchmarkLatency(b *testing.B) {
	c := connectHub(b, imb.Options{})
	e := c.Event("e")
	arrived := make(chan struct{}, 1)
	e.HandleAll(func(imb.Message) { arrived <- struct{}{} })
	ready(b, c, e)
	data := make([]byte, signalSize)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Signal(b.Context(), wire.NormalEvent, data); err != nil {
			b.Fatal(err)
		}
		<-arrived
	}
}

const streamSize = 256 << 20

// BenchmarkStream sends one stream of 256 MiB from a client through a hub to
// another, in chunks of several sizes.
func BenchmarkStream(b *testing.B) {
	for _, chunk := range []int{16 << 10, 64 << 10, 256 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("chunk=%dKiB", chunk>>10), func(b *testing.B) {
			addr, _ := imbtest.StartHub(b, hub.Options{})
			sender, receiver := connect(b, imb.Options{Address: addr}), connect(b, imb.Options{Address: addr})
			e, heard := sender.Event("e"), receiver.Event("e")
			ended := make(chan error)
			heard.HandleStreams(func(imb.IncomingStream) imb.StreamReceiver { return &discarding{ended: ended} })
			must(b, heard.Subscribe())
			must(b, receiver.Flush(b.Context()))
			must(b, e.Publish())
			b.SetBytes(streamSize)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.SendStream(b.Context(), "x", io.LimitReader(&endless{}, streamSize), imb.StreamOptions{ChunkSize: chunk}); err != nil {
					b.Fatal(err)
				}
				if err := <-ended; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type discarding struct {
	n     int64
	ended chan<- error
}

func (d *discarding) Write(p []byte) (int, error) {
	d.n += int64(len(p))
	return len(p), nil
}

func (d *discarding) End(err error) {
	if err == nil && d.n != streamSize {
		err = fmt.Errorf("%d bytes arrived", d.n)
	}
	d.ended <- err
}

// BenchmarkForwarder is the yardstick: the same bytes as BenchmarkStream over
// loopback TCP through a program that copies them in chunks and knows no
// protocol.
func BenchmarkForwarder(b *testing.B) {
	for _, chunk := range []int{16 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("chunk=%dKiB", chunk>>10), func(b *testing.B) {
			out := listenLoopback(b)
			var received atomic.Int64
			arrived := make(chan struct{}, 1)
			go serveOne(out, func(c net.Conn) {
				buf := make([]byte, chunk)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					if received.Add(int64(n))%streamSize == 0 {
						arrived <- struct{}{}
					}
				}
			})
			in := listenLoopback(b)
			go serveOne(in, func(c net.Conn) {
				to, err := net.Dial("tcp", out.Addr().String())
				if err != nil {
					return
				}
				defer to.Close()
				// The wrappers keep the kernel from splicing.
				io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{c}, make([]byte, chunk))
			})
			c, err := net.Dial("tcp", in.Addr().String())
			must(b, err)
			defer c.Close()
			data := make([]byte, chunk)
			b.SetBytes(streamSize)
			for b.Loop() {
				for range streamSize / chunk {
					if _, err := c.Write(data); err != nil {
						b.Fatal(err)
					}
				}
				<-arrived
			}
		})
	}
}

func listenLoopback(b *testing.B) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	b.Cleanup(func() { l.Close() })
	return l
}

func serveOne(l net.Listener, serve func(net.Conn)) {
	c, err := l.Accept()
	if err == nil {
		defer c.Close()
		serve(c)
	}
}
