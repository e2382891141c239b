package hub_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// Each benchmark runs twice: through a hub, and through the simplest forwarder
// that does what any hub must: read frames, replace the event id, and write
// them to each receiver, gathered in a buffer.

func BenchmarkSignals(b *testing.B) {
	for _, bb := range []struct{ data, receivers int }{{140, 1}, {140, 4}, {1024, 1}} {
		frame := wire.AppendEvent(nil, wire.Event{Kind: wire.NormalEvent, Data: make([]byte, bb.data)})
		b.Run(fmt.Sprintf("%dB/1to%d", bb.data, bb.receivers), func(b *testing.B) {
			compare(b, bb.receivers, len(frame), func(n int) []part { return []part{{frame, n}} })
		})
	}
}

func BenchmarkStream(b *testing.B) {
	const size = 256 << 20
	for _, body := range []int{16 << 10, 64 << 10} {
		header := wire.AppendEvent(nil, wire.Event{Kind: wire.StreamHeader, Data: wire.AppendStreamStart(nil, wire.StreamStart{StreamID: 7, Name: "big.bin"})})
		chunk := wire.AppendEvent(nil, wire.Event{Kind: wire.StreamBody, Data: wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: 7, Bytes: make([]byte, body)})})
		tail := wire.AppendEvent(nil, wire.Event{Kind: wire.StreamTail, Data: wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: 7})})
		b.Run(fmt.Sprintf("256MiB/%dKiB", body>>10), func(b *testing.B) {
			compare(b, 1, size, func(n int) []part {
				var parts []part
				for range n {
					parts = append(parts, part{header, 1}, part{chunk, size / body}, part{tail, 1})
				}
				return parts
			})
		})
	}
}

// part is a frame that is sent several times.
type part struct {
	frame []byte
	times int
}

func (p part) size() int64 { return int64(len(p.frame)) * int64(p.times) }

// send writes the frames in batches, as a client does that gathers them.
func (p part) send(w io.Writer) error {
	per := max(1, 64<<10/len(p.frame))
	var batch []byte
	for range min(per, p.times) {
		batch = append(batch, p.frame...)
	}
	for left := p.times; left > 0; left -= per {
		if _, err := w.Write(batch[:min(left, per)*len(p.frame)]); err != nil {
			return err
		}
	}
	return nil
}

// compare measures how long it takes until each receiver has everything.
func compare(b *testing.B, receivers, bytes int, work func(n int) []part) {
	for name, connect := range map[string]func(*testing.B, int) (net.Conn, []net.Conn){
		"hub": throughHub, "forwarder": throughForwarder,
	} {
		b.Run(name, func(b *testing.B) {
			from, to := connect(b, receivers)
			parts := work(b.N)
			var total int64
			for _, p := range parts {
				total += p.size()
			}
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			b.ResetTimer()
			done := make(chan error, receivers+1)
			go func() {
				for _, p := range parts {
					if err := p.send(from); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
			for _, nc := range to {
				go func() {
					_, err := io.CopyBuffer(writerOnly{io.Discard}, io.LimitReader(nc, total), make([]byte, 256<<10))
					done <- err
				}()
			}
			for range receivers + 1 {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
		})
	}
}

// writerOnly keeps io.Copy from letting io.Discard choose the buffer.
type writerOnly struct{ io.Writer }

// throughHub returns connections to a hub on which the first publishes what
// the others subscribe to.
func throughHub(b *testing.B, receivers int) (from net.Conn, to []net.Conn) {
	h := hub.New(hub.Options{})
	l := listen(b)
	go h.Serve(l)
	b.Cleanup(func() { h.Close() })
	from = dial(b, l)
	settle(b, from, 2, wire.AppendPublish(nil, wire.EventRef{Name: "bench"}))
	for range receivers {
		nc := dial(b, l)
		settle(b, nc, 2, wire.AppendSubscribe(nil, wire.EventRef{Name: "bench"}))
		to = append(to, nc)
	}
	settle(b, from, 1, nil)
	return from, to
}

// settle sends commands and asks for the unique client id, and returns when it
// has been told that often: by then everything that the hub says on the
// commands has been read.
func settle(b *testing.B, nc net.Conn, told int, commands []byte) {
	if _, err := nc.Write(wire.AppendUniqueClientID(commands, wire.UniqueClientID{})); err != nil {
		b.Fatal(err)
	}
	r := wire.NewReader(nc)
	for told > 0 {
		f, err := r.Next()
		if err != nil {
			b.Fatal(err)
		}
		if f.Command == wire.CmdUniqueClientID {
			told--
		}
	}
}

// throughForwarder returns connections to a forwarder.
func throughForwarder(b *testing.B, receivers int) (from net.Conn, to []net.Conn) {
	l := listen(b)
	var outs []*bufio.Writer
	for range receivers {
		to = append(to, dial(b, l))
		outs = append(outs, bufio.NewWriterSize(accept(b, l), 64<<10))
	}
	from = dial(b, l)
	in := bufio.NewReaderSize(accept(b, l), 64<<10)
	go func() {
		frame := make([]byte, wire.FrameSize(wire.MaxPayload))
		for {
			if _, err := io.ReadFull(in, frame[:wire.HeaderSize]); err != nil {
				return
			}
			size := wire.FrameSize(int(binary.LittleEndian.Uint32(frame[12:])))
			if _, err := io.ReadFull(in, frame[wire.HeaderSize:size]); err != nil {
				return
			}
			wire.PatchEventID(frame, 0)
			for _, out := range outs {
				out.Write(frame[:size])
				if in.Buffered() == 0 {
					out.Flush()
				}
			}
		}
	}()
	return from, to
}

func listen(b *testing.B) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l
}

func dial(b *testing.B, l net.Listener) net.Conn {
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	return nc
}

func accept(b *testing.B, l net.Listener) net.Conn {
	nc, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	return nc
}
