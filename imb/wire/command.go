package wire

import "fmt"

// UniqueClientID is the identity that a hub gives a connection. A client may
// ask for it by sending zeros.
type UniqueClientID struct {
	ID     uint32
	Handle uint32
}

// AppendUniqueClientID appends a uniqueClientID frame.
func AppendUniqueClientID(dst []byte, u UniqueClientID) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdUniqueClientID)
	dst = AppendUint32(dst, u.ID)
	dst = AppendUint32(dst, u.Handle)
	return EndFrame(dst, start)
}

// ParseUniqueClientID decodes the payload of a uniqueClientID frame.
func ParseUniqueClientID(p []byte) (UniqueClientID, error) {
	d := NewDecoder(p)
	u := UniqueClientID{ID: d.Uint32(), Handle: d.Uint32()}
	return u, named(CmdUniqueClientID, d.End())
}

// TimeStamp is a hub's clock.
type TimeStamp struct {
	Time      int64 // absolute, in the hub's own unit
	Tick      int32
	TickDelta int32
}

// AppendTimeStamp appends a timeStamp frame.
func AppendTimeStamp(dst []byte, t TimeStamp) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdTimeStamp)
	dst = AppendInt64(dst, t.Time)
	dst = AppendInt32(dst, t.Tick)
	dst = AppendInt32(dst, t.TickDelta)
	return EndFrame(dst, start)
}

// ParseTimeStamp decodes the payload of a timeStamp frame.
func ParseTimeStamp(p []byte) (TimeStamp, error) {
	d := NewDecoder(p)
	t := TimeStamp{Time: d.Int64(), Tick: d.Int32(), TickDelta: d.Int32()}
	return t, named(CmdTimeStamp, d.End())
}

// SetClientInfo tells a hub who a client is.
type SetClientInfo struct {
	OwnerID   int32
	OwnerName string
}

// AppendSetClientInfo appends a setClientInfo frame.
func AppendSetClientInfo(dst []byte, s SetClientInfo) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdSetClientInfo)
	dst = AppendInt32(dst, s.OwnerID)
	dst = AppendString(dst, s.OwnerName)
	return EndFrame(dst, start)
}

// ParseSetClientInfo decodes the payload of a setClientInfo frame.
func ParseSetClientInfo(p []byte) (SetClientInfo, error) {
	d := NewDecoder(p)
	s := SetClientInfo{OwnerID: d.Int32(), OwnerName: d.String()}
	return s, named(CmdSetClientInfo, d.End())
}

// Variable is a name with a value that a hub keeps. An empty value removes it.
type Variable struct {
	Name  string
	Value []byte
}

// AppendSetVariable appends a setVariable frame.
func AppendSetVariable(dst []byte, v Variable) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdSetVariable)
	dst = AppendString(dst, v.Name)
	dst = AppendString(dst, v.Value)
	return EndFrame(dst, start)
}

// ParseSetVariable decodes the payload of a setVariable frame. Value is part of p.
func ParseSetVariable(p []byte) (Variable, error) {
	d := NewDecoder(p)
	v := Variable{Name: d.String(), Value: d.Bytes()}
	return v, named(CmdSetVariable, d.End())
}

// Prefixes of a PrefixedVariable.
const (
	PrefixUniqueClientID int32 = 0
	PrefixClientHandle   int32 = 1
)

// PrefixedVariable is a variable whose name the hub completes: it puts the
// sender's unique client id or handle, as eight upper-case hexadecimal digits,
// before it.
type PrefixedVariable struct {
	Prefix int32
	Variable
}

// AppendSetVariablePrefixed appends a setVariablePrefixed frame.
func AppendSetVariablePrefixed(dst []byte, v PrefixedVariable) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdSetVariablePrefixed)
	dst = AppendInt32(dst, v.Prefix)
	dst = AppendString(dst, v.Name)
	dst = AppendString(dst, v.Value)
	return EndFrame(dst, start)
}

// ParseSetVariablePrefixed decodes the payload of a setVariablePrefixed frame.
// Value is part of p.
func ParseSetVariablePrefixed(p []byte) (PrefixedVariable, error) {
	d := NewDecoder(p)
	v := PrefixedVariable{Prefix: d.Int32(), Variable: Variable{Name: d.String(), Value: d.Bytes()}}
	return v, named(CmdSetVariablePrefixed, d.End())
}

// EventNamesRequest asks a hub for the events that it knows.
type EventNamesRequest struct {
	Filter string // a name, or a prefix that ends in "*"
	Bits   int32  // which counts to fill in: EventNamesPublishers and the like
}

// AppendRequestEventNames appends a requestEventNames frame.
func AppendRequestEventNames(dst []byte, r EventNamesRequest) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdRequestEventNames)
	dst = AppendString(dst, r.Filter)
	dst = AppendInt32(dst, r.Bits)
	return EndFrame(dst, start)
}

// ParseRequestEventNames decodes the payload of a requestEventNames frame.
func ParseRequestEventNames(p []byte) (EventNamesRequest, error) {
	d := NewDecoder(p)
	r := EventNamesRequest{Filter: d.String(), Bits: d.Int32()}
	return r, named(CmdRequestEventNames, d.End())
}

// EventName is a hub's answer about one event.
type EventName struct {
	Name                            string
	Publishers, Subscribers, Timers int32
}

// eventNameMinSize is what an EventName with an empty name takes: it bounds
// the number of names that a payload can hold, whatever its count claims.
const eventNameMinSize = 16

// AppendEventNames appends an eventNames frame. The caller keeps the sum of
// the names within MaxPayload.
func AppendEventNames(dst []byte, names []EventName) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdEventNames)
	dst = AppendInt32(dst, int32(len(names)))
	for _, n := range names {
		dst = AppendString(dst, n.Name)
		dst = AppendInt32(dst, n.Publishers)
		dst = AppendInt32(dst, n.Subscribers)
		dst = AppendInt32(dst, n.Timers)
	}
	return EndFrame(dst, start)
}

// ParseEventNames decodes the payload of an eventNames frame.
func ParseEventNames(p []byte) ([]EventName, error) {
	d := NewDecoder(p)
	count := int(d.Int32())
	if count < 0 || count > len(p)/eventNameMinSize {
		return nil, named(CmdEventNames, fmt.Errorf("%w: count %d in %d bytes", ErrMalformed, count, len(p)))
	}
	names := make([]EventName, count)
	for i := range names {
		names[i] = EventName{Name: d.String(), Publishers: d.Int32(), Subscribers: d.Int32(), Timers: d.Int32()}
	}
	if err := d.End(); err != nil {
		return nil, named(CmdEventNames, err)
	}
	return names, nil
}

// EventRef is the payload of subscribe and publish: a name, and the id that
// the sender gives it.
type EventRef struct {
	ID        int32
	EntryType int32 // 0
	Name      string
}

// AppendSubscribe appends a subscribe frame.
func AppendSubscribe(dst []byte, r EventRef) []byte { return appendEventRef(dst, CmdSubscribe, r) }

// AppendPublish appends a publish frame.
func AppendPublish(dst []byte, r EventRef) []byte { return appendEventRef(dst, CmdPublish, r) }

func appendEventRef(dst []byte, c Command, r EventRef) []byte {
	start := len(dst)
	dst = BeginFrame(dst, c)
	dst = AppendInt32(dst, r.ID)
	dst = AppendInt32(dst, r.EntryType)
	dst = AppendString(dst, r.Name)
	return EndFrame(dst, start)
}

// ParseEventRef decodes the payload of a subscribe or publish frame.
func ParseEventRef(p []byte) (EventRef, error) {
	d := NewDecoder(p)
	r := EventRef{ID: d.Int32(), EntryType: d.Int32(), Name: d.String()}
	return r, d.End()
}

// AppendText appends a frame whose payload is one string, such as unsubscribe.
func AppendText(dst []byte, c Command, text string) []byte {
	start := len(dst)
	dst = AppendString(BeginFrame(dst, c), text)
	return EndFrame(dst, start)
}

// ParseText decodes a payload that is one string: that of unsubscribe,
// unpublish, setEventNameFilter, connectToGateway, and of most timer events.
func ParseText(p []byte) (string, error) {
	d := NewDecoder(p)
	s := d.String()
	return s, d.End()
}

// AppendInt32Frame appends a frame whose payload is one int32, such as setState.
func AppendInt32Frame(dst []byte, c Command, v int32) []byte {
	start := len(dst)
	dst = AppendInt32(BeginFrame(dst, c), v)
	return EndFrame(dst, start)
}

// ParseInt32 decodes a payload that is one int32: that of setState,
// setThrottle, setNoDelay, endClientSession and flushClientQueue.
func ParseInt32(p []byte) (int32, error) {
	d := NewDecoder(p)
	v := d.Int32()
	return v, d.End()
}

// Translation tells a client under which of its own ids a hub's event goes.
type Translation struct {
	HubID    int32
	ClientID int32 // below 0: the translation is removed
}

// AppendSetEventIDTranslation appends a setEventIDTranslation frame.
func AppendSetEventIDTranslation(dst []byte, t Translation) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdSetEventIDTranslation)
	dst = AppendInt32(dst, t.HubID)
	dst = AppendInt32(dst, t.ClientID)
	return EndFrame(dst, start)
}

// ParseSetEventIDTranslation decodes the payload of a setEventIDTranslation frame.
func ParseSetEventIDTranslation(p []byte) (Translation, error) {
	d := NewDecoder(p)
	t := Translation{HubID: d.Int32(), ClientID: d.Int32()}
	return t, named(CmdSetEventIDTranslation, d.End())
}

// CreateTimer asks a hub for a timer whose ticks are events.
type CreateTimer struct {
	EventID      int32
	Name         string
	StartTime    int64 // UTC or relative, in 100 ns FILETIME ticks
	ResolutionMS int32
	SpeedFactor  float64
	RepeatCount  int32 // RepeatForever for an endless one
}

// RepeatForever is the repeat count of an endless timer.
const RepeatForever int32 = 2147483647

// AppendCreateTimer appends a createTimer frame.
func AppendCreateTimer(dst []byte, t CreateTimer) []byte {
	start := len(dst)
	dst = BeginFrame(dst, CmdCreateTimer)
	dst = AppendInt32(dst, t.EventID)
	dst = AppendString(dst, t.Name)
	dst = AppendInt64(dst, t.StartTime)
	dst = AppendInt32(dst, t.ResolutionMS)
	dst = AppendFloat64(dst, t.SpeedFactor)
	dst = AppendInt32(dst, t.RepeatCount)
	return EndFrame(dst, start)
}

// ParseCreateTimer decodes the payload of a createTimer frame.
func ParseCreateTimer(p []byte) (CreateTimer, error) {
	d := NewDecoder(p)
	t := CreateTimer{
		EventID: d.Int32(), Name: d.String(), StartTime: d.Int64(),
		ResolutionMS: d.Int32(), SpeedFactor: d.Float64(), RepeatCount: d.Int32(),
	}
	return t, named(CmdCreateTimer, d.End())
}

// named says in err what was being decoded. Payloads that several commands or
// kinds share do without: their caller knows which one it is.
func named(what fmt.Stringer, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
