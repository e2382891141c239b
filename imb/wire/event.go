package wire

import "math"

// Event is the payload of an event command: one occurrence with its data.
type Event struct {
	ID    int32 // the sender's own id from a client, the hub's id from a hub
	Tick  int32
	Kind  Kind
	Flags Flags
	Data  []byte
}

// AppendEvent appends a whole event frame. Data is at most MaxEventData bytes.
func AppendEvent(dst []byte, e Event) []byte {
	start := len(dst)
	dst = append(BeginEvent(dst, e.ID, e.Tick, e.Kind, e.Flags), e.Data...)
	return EndFrame(dst, start)
}

// BeginEvent appends the start of an event frame, up to its data. The caller
// appends the data and then calls EndFrame.
func BeginEvent(dst []byte, id, tick int32, kind Kind, flags Flags) []byte {
	dst, header := extend(BeginFrame(dst, CmdEvent), EventHeaderSize)
	le.PutUint32(header, uint32(id))
	le.PutUint32(header[4:], uint32(tick))
	le.PutUint32(header[8:], uint32(flags)&^0xFF|uint32(kind))
	return dst
}

// ParseEvent decodes the payload of an event frame. Data is part of p.
func ParseEvent(p []byte) (Event, error) {
	if len(p) < EventHeaderSize {
		return Event{}, named(CmdEvent, ErrMalformed)
	}
	return Event{
		ID: EventID(p), Tick: EventTick(p), Kind: EventKind(p), Flags: EventFlags(p),
		Data: p[EventHeaderSize:len(p):len(p)],
	}, nil
}

// EventID returns the id in the payload of an event frame of at least
// EventHeaderSize bytes.
func EventID(payload []byte) int32 { return int32(le.Uint32(payload)) }

// EventTick returns the tick in such a payload.
func EventTick(payload []byte) int32 { return int32(le.Uint32(payload[4:])) }

// EventKind returns the kind in such a payload.
func EventKind(payload []byte) Kind { return Kind(payload[8]) }

// EventFlags returns the flags in such a payload.
func EventFlags(payload []byte) Flags { return Flags(le.Uint32(payload[8:]) &^ 0xFF) }

// PatchEventID replaces the event id in a whole event frame, so that a hub
// passes one frame on to many without encoding it anew.
func PatchEventID(frame []byte, id int32) { le.PutUint32(frame[HeaderSize:], uint32(id)) }

// ChangeObjectData is the data of a changeObject event.
type ChangeObjectData struct {
	Action    Action
	ObjectID  int32
	Attribute string
}

// AppendChangeObject appends the data of a changeObject event.
func AppendChangeObject(dst []byte, c ChangeObjectData) []byte {
	dst = AppendInt32(dst, int32(c.Action))
	dst = AppendInt32(dst, c.ObjectID)
	return AppendString(dst, c.Attribute)
}

// ParseChangeObject decodes the data of a changeObject event. Bytes after the
// attribute, which kind ChangeObjectWithData has, are returned as rest.
func ParseChangeObject(data []byte) (c ChangeObjectData, rest []byte, err error) {
	d := NewDecoder(data)
	c = ChangeObjectData{Action: Action(d.Int32()), ObjectID: d.Int32(), Attribute: d.String()}
	rest = d.Rest()
	return c, rest, d.Err()
}

// StreamStart is the data of a stream header.
type StreamStart struct {
	StreamID int32
	Name     string // chosen by the sender: treat as hostile
}

// AppendStreamStart appends the data of a stream header.
func AppendStreamStart(dst []byte, s StreamStart) []byte {
	return AppendString(AppendInt32(dst, s.StreamID), s.Name)
}

// ParseStreamStart decodes the data of a stream header.
func ParseStreamStart(data []byte) (StreamStart, error) {
	d := NewDecoder(data)
	s := StreamStart{StreamID: d.Int32(), Name: d.String()}
	return s, named(StreamHeader, d.End())
}

// StreamChunk is the data of a stream body or tail.
type StreamChunk struct {
	StreamID int32
	Bytes    []byte
}

// AppendStreamChunk appends the data of a stream body or tail.
func AppendStreamChunk(dst []byte, s StreamChunk) []byte {
	return append(AppendInt32(dst, s.StreamID), s.Bytes...)
}

// ParseStreamChunk decodes the data of a stream body or tail. Bytes is part of data.
func ParseStreamChunk(data []byte) (StreamChunk, error) {
	d := NewDecoder(data)
	s := StreamChunk{StreamID: d.Int32()}
	s.Bytes = d.Rest()
	return s, d.Err()
}

// BufferData is the data of a buffer event.
type BufferData struct {
	BufferID int32
	Bytes    []byte
}

// AppendBuffer appends the data of a buffer event.
func AppendBuffer(dst []byte, b BufferData) []byte {
	return AppendString(AppendInt32(dst, b.BufferID), b.Bytes)
}

// ParseBuffer decodes the data of a buffer event. Bytes is part of data.
func ParseBuffer(data []byte) (BufferData, error) {
	d := NewDecoder(data)
	b := BufferData{BufferID: d.Int32(), Bytes: d.Bytes()}
	return b, named(Buffer, d.End())
}

// LogLine is the data of a logWriteLn event.
type LogLine struct {
	ClientID uint32 // 0 from a client; the hub fills it in
	Line     string
	Level    int32
}

// AppendLogLine appends the data of a logWriteLn event.
func AppendLogLine(dst []byte, l LogLine) []byte {
	dst = AppendUint32(dst, l.ClientID)
	dst = AppendString(dst, l.Line)
	return AppendInt32(dst, l.Level)
}

// ParseLogLine decodes the data of a logWriteLn event.
func ParseLogLine(data []byte) (LogLine, error) {
	d := NewDecoder(data)
	l := LogLine{ClientID: d.Uint32(), Line: d.String(), Level: d.Int32()}
	return l, named(LogWriteLn, d.End())
}

// PatchLogClientID fills the client id into the data of a logWriteLn event.
// Data of less than four bytes, which has none, is left as it is.
func PatchLogClientID(data []byte, id uint32) {
	if len(data) >= 4 {
		le.PutUint32(data, id)
	}
}

// TimerAcknowledger is the data of the events that add a client to, or remove
// it from, those whose acknowledgement a timer waits for.
type TimerAcknowledger struct {
	Timer  string
	Client string
}

// AppendTimerAcknowledger appends the data of such an event.
func AppendTimerAcknowledger(dst []byte, t TimerAcknowledger) []byte {
	return AppendString(AppendString(dst, t.Timer), t.Client)
}

// ParseTimerAcknowledger decodes the data of such an event.
func ParseTimerAcknowledger(data []byte) (TimerAcknowledger, error) {
	d := NewDecoder(data)
	t := TimerAcknowledger{Timer: d.String(), Client: d.String()}
	return t, d.End()
}

// TimerSpeed is the data of a timerSetSpeed event.
type TimerSpeed struct {
	Timer  string
	Factor float64
}

// AppendTimerSpeed appends the data of a timerSetSpeed event.
func AppendTimerSpeed(dst []byte, t TimerSpeed) []byte {
	return AppendFloat64(AppendString(dst, t.Timer), t.Factor)
}

// ParseTimerSpeed decodes the data of a timerSetSpeed event.
func ParseTimerSpeed(data []byte) (TimerSpeed, error) {
	d := NewDecoder(data)
	t := TimerSpeed{Timer: d.String(), Factor: d.Float64()}
	return t, named(TimerSetSpeed, d.End())
}

// IsTimerSpeed tells whether a timer can run at a speed factor: at 1 it runs in
// real time, at 0 in simulation time, backwards not at all.
func IsTimerSpeed(factor float64) bool { return factor >= 0 && !math.IsInf(factor, 1) }

// TimerTickData is the data of a timerTick event.
type TimerTickData struct {
	Timer     string
	Tick      int32
	TickTime  int64
	StartTime int64
}

// AppendTimerTick appends the data of a timerTick event.
func AppendTimerTick(dst []byte, t TimerTickData) []byte {
	dst = AppendString(dst, t.Timer)
	dst = AppendInt32(dst, t.Tick)
	dst = AppendInt64(dst, t.TickTime)
	return AppendInt64(dst, t.StartTime)
}

// ParseTimerTick decodes the data of a timerTick event.
func ParseTimerTick(data []byte) (TimerTickData, error) {
	d := NewDecoder(data)
	t := TimerTickData{Timer: d.String(), Tick: d.Int32(), TickTime: d.Int64(), StartTime: d.Int64()}
	return t, named(TimerTick, d.End())
}

// TimerAcknowledgement is the data of a timerAcknowledge event.
type TimerAcknowledgement struct {
	Client           string
	Timer            string
	ProposedTimeStep int32
}

// AppendTimerAcknowledgement appends the data of a timerAcknowledge event.
func AppendTimerAcknowledgement(dst []byte, t TimerAcknowledgement) []byte {
	dst = AppendString(dst, t.Client)
	dst = AppendString(dst, t.Timer)
	return AppendInt32(dst, t.ProposedTimeStep)
}

// ParseTimerAcknowledgement decodes the data of a timerAcknowledge event.
func ParseTimerAcknowledgement(data []byte) (TimerAcknowledgement, error) {
	d := NewDecoder(data)
	t := TimerAcknowledgement{Client: d.String(), Timer: d.String(), ProposedTimeStep: d.Int32()}
	return t, named(TimerAcknowledge, d.End())
}
