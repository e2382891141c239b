package wire

import "fmt"

// The payloads of the status commands, by which a hub tells those who monitor
// it. Counts are the low 32 bits of what they count.

// StatusHub is the payload of a statusHUB command.
type StatusHub struct {
	Commands, Bytes int32 // that the hub has received
}

// AppendStatusHub appends a statusHUB frame.
func AppendStatusHub(dst []byte, s StatusHub) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdStatusHub)
	dst = AppendInt32(dst, s.Commands)
	dst = AppendInt32(dst, s.Bytes)
	return EndFrame(dst, start)
}

// ParseStatusHub decodes the payload of a statusHUB frame.
func ParseStatusHub(p []byte) (StatusHub, error) {
	d := NewDecoder(p)
	s := StatusHub{Commands: d.Int32(), Bytes: d.Int32()}
	return s, named(CmdStatusHub, d.End())
}

// StatusClient is the payload of a statusClient command: the figures of one
// client.
type StatusClient struct {
	Handle                        int32 // of the client
	HeartBeat                     int32
	WrittenCommands, WrittenBytes int32 // to the client
	ReadCommands, ReadBytes       int32 // from the client
	State                         int32 // as the client tells it: StateClient
	QueueLength, MaxQueueLength   int32
}

// StateClient is the connection state of a client, in contrast to a gateway.
const StateClient int32 = 2

// AppendStatusClient appends a statusClient frame.
func AppendStatusClient(dst []byte, s StatusClient) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdStatusClient)
	for _, v := range []int32{
		s.Handle, s.HeartBeat, s.WrittenCommands, s.WrittenBytes, s.ReadCommands, s.ReadBytes,
		s.State, s.QueueLength, s.MaxQueueLength,
	} {
		dst = AppendInt32(dst, v)
	}
	return EndFrame(dst, start)
}

// ParseStatusClient decodes the payload of a statusClient frame.
func ParseStatusClient(p []byte) (StatusClient, error) {
	d := NewDecoder(p)
	s := StatusClient{
		Handle: d.Int32(), HeartBeat: d.Int32(),
		WrittenCommands: d.Int32(), WrittenBytes: d.Int32(), ReadCommands: d.Int32(), ReadBytes: d.Int32(),
		State: d.Int32(), QueueLength: d.Int32(), MaxQueueLength: d.Int32(),
	}
	return s, named(CmdStatusClient, d.End())
}

// StatusClientPlus is the payload of a statusClientPlus command: who a client is.
type StatusClientPlus struct {
	Handle    int32
	OwnerID   int32
	OwnerName string
	URI       string // of its end of the connection
	IsServer  bool   // it is a hub
	NoDelay   bool
	Throttle  int32
}

// AppendStatusClientPlus appends a statusClientPlus frame.
func AppendStatusClientPlus(dst []byte, s StatusClientPlus) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdStatusClientPlus)
	dst = AppendInt32(dst, s.Handle)
	dst = AppendInt32(dst, s.OwnerID)
	dst = AppendString(dst, s.OwnerName)
	dst = AppendString(dst, s.URI)
	dst = AppendBool(dst, s.IsServer)
	dst = AppendBool(dst, s.NoDelay)
	dst = AppendInt32(dst, s.Throttle)
	return EndFrame(dst, start)
}

// ParseStatusClientPlus decodes the payload of a statusClientPlus frame.
func ParseStatusClientPlus(p []byte) (StatusClientPlus, error) {
	d := NewDecoder(p)
	s := StatusClientPlus{
		Handle: d.Int32(), OwnerID: d.Int32(), OwnerName: d.String(), URI: d.String(),
		IsServer: d.Bool(), NoDelay: d.Bool(), Throttle: d.Int32(),
	}
	return s, named(CmdStatusClientPlus, d.End())
}

// StatusEventPlus is the payload of a statusEventPlus command: who has to do with
// an event, by handles.
type StatusEventPlus struct {
	EventID                 int32 // the hub's
	Name                    string
	Subscribers, Publishers []int32
}

// AppendStatusEventPlus appends a statusEventPlus frame.
func AppendStatusEventPlus(dst []byte, s StatusEventPlus) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdStatusEventPlus)
	dst = AppendInt32(dst, s.EventID)
	dst = AppendString(dst, s.Name)
	dst = appendInt32s(dst, s.Subscribers)
	dst = appendInt32s(dst, s.Publishers)
	return EndFrame(dst, start)
}

// ParseStatusEventPlus decodes the payload of a statusEventPlus frame.
func ParseStatusEventPlus(p []byte) (StatusEventPlus, error) {
	d := NewDecoder(p)
	s := StatusEventPlus{EventID: d.Int32(), Name: d.String(), Subscribers: d.int32s(), Publishers: d.int32s()}
	return s, named(CmdStatusEventPlus, d.End())
}

// appendInt32s appends the number of the values, then the values.
func appendInt32s(dst []byte, values []int32) []byte {
	dst = AppendInt32(dst, int32(len(values)))
	for _, v := range values {
		dst = AppendInt32(dst, v)
	}
	return dst
}

// int32s reads what appendInt32s appends.
func (d *Decoder) int32s() []int32 {
	n := d.Int32()
	if d.err == nil && (n < 0 || int(n) > len(d.rest)/4) {
		d.err = fmt.Errorf("%w: %d numbers in %d bytes", ErrMalformed, n, len(d.rest))
		d.rest = nil
	}
	if d.err != nil {
		return nil
	}
	values := make([]int32, n)
	for i := range values {
		values[i] = d.Int32()
	}
	return values
}
