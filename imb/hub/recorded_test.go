package hub_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"testing/iotest"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// TestRecordedConversation: what the Python client said in one session brings
// back, byte for byte, what a hub answered it, but for the unique client id.
func TestRecordedConversation(t *testing.T) {
	said := readFile(t, "testdata/pyimb.client.bin")
	answered := readFile(t, "testdata/pyimb.hub.bin")
	l := serve(t, start(t, hub.Options{}))
	for name, cut := range map[string]func(io.Reader) io.Reader{
		"in one go":          func(r io.Reader) io.Reader { return r },
		"one byte at a time": iotest.OneByteReader,
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() {
				io.Copy(conn, struct{ io.Reader }{cut(bytes.NewReader(said))})
				conn.(*net.TCPConn).CloseWrite()
			}()
			got, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			// The first two frames are the greeting and the answer.
			greeting := wire.FrameSize(8)
			id, err := wire.ParseUniqueClientID(got[wire.HeaderSize:][:8])
			if err != nil || id.ID < 0x10000000 || id.Handle == 0 {
				t.Errorf("unique client id %+v, %v", id, err)
			}
			if !bytes.Equal(got[:greeting], got[greeting:2*greeting]) {
				t.Error("the client is told two different ids")
			}
			if !bytes.Equal(got[2*greeting:], answered[2*greeting:]) {
				t.Errorf("%d bytes differ from the %d recorded", len(got), len(answered))
			}
		})
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
