package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb/wire"
)

// frame is a wire.Frame that stays valid.
type frame struct {
	Command wire.Command
	Payload string
}

// readAll reads src to its end. It returns the frames, the counts, and what
// ended it.
func readAll(src io.Reader) ([]frame, wire.Stats, error) {
	r := wire.NewReader(src)
	var frames []frame
	for {
		f, err := r.Next()
		if err != nil {
			return frames, r.Stats(), err
		}
		if want := wire.AppendFrame(nil, f.Command, f.Payload); !bytes.Equal(f.Raw, want) {
			return frames, r.Stats(), fmt.Errorf("Raw is %q, want %q", f.Raw, want)
		}
		frames = append(frames, frame{f.Command, string(f.Payload)})
	}
}

const (
	heartBeat = startMagic + "\xFC\xFF\xFF\xFF\x00\x00\x00\x00"
	setState  = startMagic + "\xDE\xFF\xFF\xFF\x04\x00\x00\x00\x02\x00\x00\x00" + endMagic
	both      = startMagic + endMagic // as a payload
)

var (
	isHeartBeat = frame{wire.CmdHeartBeat, ""}
	isSetState  = frame{wire.CmdSetState, "\x02\x00\x00\x00"}
	carriesBoth = handFrame("\xF1\xFF\xFF\xFF", both+"between"+both)
	isBoth      = frame{wire.CmdEvent, both + "between" + both}
)

var readerTests = []struct {
	name   string
	stream string
	frames []frame
	err    error // io.EOF when nil
	stats  wire.Stats
}{
	{name: "nothing"},
	{name: "one frame", stream: setState, frames: []frame{isSetState}},
	{name: "no payload", stream: heartBeat + heartBeat, frames: []frame{isHeartBeat, isHeartBeat}},
	{name: "payload with both magics", stream: carriesBoth + setState, frames: []frame{isBoth, isSetState}},
	{
		name:   "an unknown command is a frame like any other",
		stream: handFrame("\x00\x00\x00\x80", "x"),
		frames: []frame{{-1 << 31, "x"}},
	},
	{
		name:   "four stray zeros after each frame without payload",
		stream: heartBeat + "\x00\x00\x00\x00" + heartBeat + "\x00\x00\x00\x00" + setState + heartBeat + "\x00\x00\x00\x00",
		frames: []frame{isHeartBeat, isHeartBeat, isSetState, isHeartBeat},
	},
	{
		name:   "three stray zeros are garbage",
		stream: heartBeat + "\x00\x00\x00" + setState,
		frames: []frame{isHeartBeat, isSetState}, stats: wire.Stats{Skipped: 3},
	},
	{
		name:   "of eight stray zeros four are garbage",
		stream: heartBeat + strings.Repeat("\x00", 8) + setState,
		frames: []frame{isHeartBeat, isSetState}, stats: wire.Stats{Skipped: 4},
	},
	{
		name:   "stray zeros after a payload are garbage",
		stream: setState + "\x00\x00\x00\x00" + setState,
		frames: []frame{isSetState, isSetState}, stats: wire.Stats{Skipped: 4},
	},
	{
		name:   "garbage before, between and after",
		stream: "GET / HTTP/1.1\r\n\r\n" + setState + "//aq" + heartBeat + "xyz",
		frames: []frame{isSetState, isHeartBeat}, stats: wire.Stats{Skipped: 18 + 4 + 3},
	},
	{
		name:   "a start magic that breaks off and begins anew",
		stream: startMagic[:5] + setState + startMagic[:1] + startMagic[:7] + setState,
		frames: []frame{isSetState, isSetState}, stats: wire.Stats{Skipped: 5 + 8},
	},
	{
		name:   "a wrong end magic drops the frame",
		stream: setState + strings.TrimSuffix(setState, endMagic) + "\x67\x34\xF1\x11" + heartBeat,
		frames: []frame{isSetState, isHeartBeat}, stats: wire.Stats{BadEnd: 1},
	},
	{
		name:   "a frame without its end swallows the next",
		stream: strings.TrimSuffix(setState, endMagic) + setState + setState,
		frames: []frame{isSetState}, stats: wire.Stats{BadEnd: 1, Skipped: uint64(len(setState) - 4)},
	},
	{
		name:   "size -1",
		stream: startMagic + "\xF1\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + setState,
		frames: []frame{isSetState}, stats: wire.Stats{BadLength: 1, Skipped: 8},
	},
	{
		name:   "size 10 MiB + 1",
		stream: startMagic + "\xF1\xFF\xFF\xFF\x01\x00\xA0\x00" + setState,
		frames: []frame{isSetState}, stats: wire.Stats{BadLength: 1, Skipped: 8},
	},
	{
		name:   "size MaxInt32",
		stream: startMagic + "\xF1\xFF\xFF\xFF\xFF\xFF\xFF\x7F" + setState,
		frames: []frame{isSetState}, stats: wire.Stats{BadLength: 1, Skipped: 8},
	},
	{
		name:   "a bad header may hold the next start magic",
		stream: startMagic + setState, // the second magic is the first's command and a size below 0
		frames: []frame{isSetState}, stats: wire.Stats{BadLength: 1},
	},
	{name: "ends in a start magic", stream: setState + startMagic[:3], frames: []frame{isSetState}, err: io.ErrUnexpectedEOF},
	{name: "ends in a header", stream: setState[:15], err: io.ErrUnexpectedEOF},
	{name: "ends in a payload", stream: setState[:18], err: io.ErrUnexpectedEOF},
	{name: "ends in an end magic", stream: setState[:23], err: io.ErrUnexpectedEOF},
	{name: "size 10 MiB that does not come", stream: startMagic + "\xF1\xFF\xFF\xFF\x00\x00\xA0\x00abc", err: io.ErrUnexpectedEOF},
}

func TestReader(t *testing.T) {
	ways := map[string]func(io.Reader) io.Reader{
		"at once":         func(r io.Reader) io.Reader { return r },
		"byte by byte":    iotest.OneByteReader,
		"half":            iotest.HalfReader,
		"EOF with bytes":  iotest.DataErrReader,
		"one, then EOF":   func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) },
		"with empty ones": func(r io.Reader) io.Reader { return &stutterReader{src: iotest.OneByteReader(r)} },
	}
	for _, tt := range readerTests {
		wantErr := tt.err
		if wantErr == nil {
			wantErr = io.EOF
		}
		want := tt.stats
		want.Frames = uint64(len(tt.frames))
		check := func(t *testing.T, how any, src io.Reader) {
			t.Helper()
			frames, stats, err := readAll(src)
			if diff := cmp.Diff(tt.frames, frames); diff != "" {
				t.Errorf("%v: frames (-want +got):\n%s", how, diff)
			}
			if err != wantErr {
				t.Errorf("%v: ended with %v, want %v", how, err, wantErr)
			}
			if diff := cmp.Diff(want, stats); diff != "" {
				t.Errorf("%v: counts (-want +got):\n%s", how, diff)
			}
		}
		t.Run(tt.name, func(t *testing.T) {
			for name, way := range ways {
				check(t, name, way(strings.NewReader(tt.stream)))
			}
			for cut := range len(tt.stream) { // two reads
				check(t, cut, io.MultiReader(strings.NewReader(tt.stream[:cut]), strings.NewReader(tt.stream[cut:])))
			}
		})
	}
}

// stutterReader reads nothing between each two reads of its source.
type stutterReader struct {
	src  io.Reader
	idle bool
}

func (s *stutterReader) Read(p []byte) (int, error) {
	if s.idle = !s.idle; s.idle {
		return 0, nil
	}
	return s.src.Read(p)
}

func TestStatsBroken(t *testing.T) {
	if got := (wire.Stats{Frames: 1000}).Broken(); got != 0 {
		t.Errorf("Broken = %d for frames in good order", got)
	}
	if got := (wire.Stats{Frames: 1000, Skipped: 1, BadEnd: 20, BadLength: 300}).Broken(); got != 321 {
		t.Errorf("Broken = %d, want 321", got)
	}
}

// TestReaderLargest: the largest payload is taken, in reads of any size.
func TestReaderLargest(t *testing.T) {
	payload := bytes.Repeat([]byte(both), wire.MaxPayload/len(both)+1)[:wire.MaxPayload]
	stream := wire.AppendFrame(nil, wire.CmdEvent, payload)
	stream = append(stream, setState...)
	r := wire.NewReader(bytes.NewReader(stream))
	f, err := r.Next()
	if err != nil || f.Command != wire.CmdEvent || !bytes.Equal(f.Payload, payload) {
		t.Fatalf("%v frame of %d bytes, error %v", f.Command, len(f.Payload), err)
	}
	if f, err = r.Next(); err != nil || f.Command != wire.CmdSetState {
		t.Fatalf("then a %v frame, error %v", f.Command, err)
	}
}

// TestReaderAllocatesWhatArrives: a header's claim costs nothing.
func TestReaderAllocatesWhatArrives(t *testing.T) {
	tests := map[string]struct {
		size    string
		arrives int
		limit   uint64
	}{
		"-1":                    {"\xFF\xFF\xFF\xFF", 100, 16 << 10},
		"10 MiB + 1":            {"\x01\x00\xA0\x00", 100, 16 << 10},
		"MaxInt32":              {"\xFF\xFF\xFF\x7F", 100, 16 << 10},
		"10 MiB, nothing came":  {"\x00\x00\xA0\x00", 100, 16 << 10},
		"10 MiB, 64 KiB came":   {"\x00\x00\xA0\x00", 64 << 10, 4 * 64 << 10},
		"10 MiB, 1 MiB came":    {"\x00\x00\xA0\x00", 1 << 20, 4 << 20},
		"10 MiB + 1, 1 MiB too": {"\x01\x00\xA0\x00", 1 << 20, 1 << 20}, // garbage: the usual buffer
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			src := strings.NewReader(startMagic + "\xF1\xFF\xFF\xFF" + tt.size + strings.Repeat("x", tt.arrives))
			var err error
			got := allocated(tt.limit, func() {
				src.Seek(0, io.SeekStart)
				_, err = wire.NewReader(src).Next()
			})
			if err != io.EOF && err != io.ErrUnexpectedEOF {
				t.Fatal(err)
			}
			if got > tt.limit {
				t.Errorf("%d bytes allocated for %d that arrived, want at most %d", got, tt.arrives, tt.limit)
			}
		})
	}
}

// TestReaderGivesMemoryBack: a connection that once carried a large frame does
// not keep its buffer for ever.
func TestReaderGivesMemoryBack(t *testing.T) {
	pr, pw := io.Pipe() // each Write is one read, so that the buffer gets empty
	r := wire.NewReader(pr)
	large := wire.AppendFrame(nil, wire.CmdEvent, make([]byte, wire.MaxPayload))
	before := heapInUse()
	written := make(chan error, 1)
	go func() {
		_, err := pw.Write(large)
		for range 1000 {
			_, err = pw.Write([]byte(heartBeat))
		}
		written <- err
	}()
	next := func() {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	next()
	if held := heapInUse() - before; held < wire.MaxPayload {
		t.Fatalf("a large frame is held in %d bytes: the test measures nothing", held)
	}
	for range 1000 {
		next()
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if held := heapInUse() - before; held > 64<<10 {
		t.Errorf("%d bytes held after many small frames", held)
	}
	runtime.KeepAlive(r)
	runtime.KeepAlive(large)
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestReaderBuffered(t *testing.T) {
	second := io.MultiReader(strings.NewReader(setState[5:]), strings.NewReader(heartBeat))
	r := wire.NewReader(io.MultiReader(strings.NewReader(carriesBoth+heartBeat+"garbage"+setState+setState[:5]), second))
	var f wire.Frame
	if r.Buffered(&f) {
		t.Fatalf("a %v frame before anything was read", f.Command)
	}
	var frames []wire.Frame
	f, err := r.Next()
	for ok := err == nil; ok; ok = r.Buffered(&f) {
		frames = append(frames, f)
	}
	// All payloads must still be valid now.
	want := []wire.Frame{
		{Command: wire.CmdEvent, Payload: []byte(isBoth.Payload)},
		{Command: wire.CmdHeartBeat, Payload: []byte{}},
		{Command: wire.CmdSetState, Payload: []byte(isSetState.Payload)},
	}
	if err != nil || !slices.EqualFunc(frames, want, sameFrame) {
		t.Fatalf("%v, error %v; want %v", frames, err, want)
	}
	if f, err := r.Next(); err != nil || f.Command != wire.CmdSetState {
		t.Fatalf("after another read: %v, %v", f, err)
	}
	if r.Buffered(&f) {
		t.Fatalf("a %v frame that nobody sent yet", f.Command)
	}
	if f, err := r.Next(); err != nil || f.Command != wire.CmdHeartBeat {
		t.Fatalf("after a third read: %v, %v", f, err)
	}
}

func sameFrame(a, b wire.Frame) bool {
	return a.Command == b.Command && bytes.Equal(a.Payload, b.Payload)
}

// TestReaderSourceErrors: what arrived with or before an error is not lost,
// and the Reader goes on when its source does, as after a deadline.
func TestReaderSourceErrors(t *testing.T) {
	refused := errors.New("refused")
	r := wire.NewReader(&scriptedReader{
		{setState + heartBeat + setState[:10], refused},
		{"", iotest.ErrTimeout},
		{setState[10:], nil},
		{"", io.EOF},
		{"", io.EOF},
	})
	for i, want := range []struct {
		command wire.Command
		err     error
	}{
		{wire.CmdSetState, nil}, {wire.CmdHeartBeat, nil}, {0, refused}, {0, iotest.ErrTimeout},
		{wire.CmdSetState, nil}, {0, io.EOF}, {0, io.EOF},
	} {
		if f, err := r.Next(); f.Command != want.command || err != want.err {
			t.Errorf("call %d: %v, %v; want %v, %v", i, f.Command, err, want.command, want.err)
		}
	}

	if _, err := wire.NewReader(idleReader{}).Next(); err != io.ErrNoProgress {
		t.Errorf("a source that reads nothing: error %v, want %v", err, io.ErrNoProgress)
	}
}

type scriptedReader []struct {
	bytes string
	err   error
}

func (s *scriptedReader) Read(p []byte) (int, error) {
	now := (*s)[0]
	*s = (*s)[1:]
	return copy(p, now.bytes), now.err
}

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

// TestReaderSteady: nothing is allocated for a frame once the buffer has its size.
func TestReaderSteady(t *testing.T) {
	for _, size := range []int{0, 140, 16 << 10, 256 << 10, 512 << 10} {
		stream := wire.AppendEvent(nil, wire.Event{Kind: wire.NormalEvent, Data: make([]byte, size)})
		r := wire.NewReader(&endlessReader{chunk: stream})
		read := func() {
			for range 200 {
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
			}
		}
		read()
		if used := allocated(1<<10, read); used > 1<<10 {
			t.Errorf("events of %d bytes: 200 of them took %d bytes", size, used)
		}
	}
}

// endlessReader repeats chunk, in reads of at most the 64 KiB that a socket gives.
type endlessReader struct {
	chunk []byte
	off   int
}

func (e *endlessReader) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), 64<<10)], e.chunk[e.off:])
	e.off = (e.off + n) % len(e.chunk)
	return n, nil
}
