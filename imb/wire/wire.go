// Package wire encodes and decodes the IMB 3 protocol: frames and the payload
// of every command and event kind. It is pure functions over byte slices and
// one [Reader]; it opens no socket and starts no goroutine.
//
// A frame is a start magic, a command code, a payload size, the payload and,
// unless the payload is empty, an end magic. Integers are little-endian; a
// string is its length in bytes as an int32 and then its bytes.
//
// Encoding appends to a slice that the caller owns, so that many frames go
// into one buffer and one system call:
//
//	buf = wire.AppendSetClientInfo(buf, wire.SetClientInfo{OwnerID: 123, OwnerName: "my name"})
//	buf = wire.AppendEvent(buf, wire.Event{ID: 0, Kind: wire.NormalEvent, Data: wire.AppendString(nil, "hello")})
//
// Decoding does not copy: a payload is valid until the next call of
// [Reader.Next], and so is every byte slice that a Parse function cuts out of
// it. Strings are copies.
//
//	r := wire.NewReader(conn)
//	for {
//		frame, err := r.Next()
//		if err != nil {
//			return err
//		}
//		if frame.Command == wire.CmdEvent {
//			event, err := wire.ParseEvent(frame.Payload)
//			…
//		}
//	}
//
// Payloads come from the network: every Parse function checks each inner
// length and returns an error that wraps [ErrMalformed] for one that lies.
// Strings are not checked to be UTF-8, because older Windows clients send ANSI
// text; their bytes are kept as they are.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

const (
	// HeaderSize is the length of a frame's start magic, command and size.
	HeaderSize = 16
	// TrailerSize is the length of the end magic, absent after an empty payload.
	TrailerSize = 4
	// MaxPayload is the largest payload, in bytes, that the known clients take.
	MaxPayload = 10 * 1024 * 1024
	// EventHeaderSize is the length of an event's id, tick and kind, which
	// stand before its data.
	EventHeaderSize = 12
	// StreamHeaderSize is the length of the stream id before the bytes of a
	// stream body or tail.
	StreamHeaderSize = 4
	// MaxEventData is the largest data of an event.
	MaxEventData = MaxPayload - EventHeaderSize
	// DefaultPort is the TCP port of an IMB hub.
	DefaultPort = 4000
)

// startMagic opens every frame.
var startMagic = []byte{0x2F, 0x47, 0x61, 0x71, 0x95, 0xAD, 0xC5, 0xFB}

// The magics as numbers, for the path of every frame.
const (
	startMagicValue = 0xFBC5AD957161472F
	endMagicValue   = 0x10F13467
)

// EndMagic is the four bytes that close a frame. pyimb ends a payload at their
// first occurrence, so a sender of streams avoids them; see [SafeLen].
var EndMagic = []byte{0x67, 0x34, 0xF1, 0x10}

// ErrMalformed is wrapped by every error about a payload that does not hold
// what its command or kind requires.
var ErrMalformed = errors.New("malformed IMB payload")

// ErrTooLarge is for those who send payloads of a size that they do not
// control: no frame can carry one above MaxPayload. The Append functions do
// not check it.
var ErrTooLarge = errors.New("IMB payload above 10 MiB")

// Command is the code that a frame begins with. Codes are negative.
type Command int32

// The commands of IMB 3. The comment tells who sends it: c client, h hub.
const (
	CmdHeartBeat             Command = -4  // both
	CmdEndSession            Command = -5  // both; who receives it closes
	CmdFlushQueue            Command = -6  // c→h
	CmdUniqueClientID        Command = -7  // both: UniqueClientID
	CmdTimeStamp             Command = -8  // h→c: TimeStamp
	CmdEvent                 Command = -15 // both: Event
	CmdEndClientSession      Command = -21 // c→h: Int32
	CmdFlushClientQueue      Command = -22 // c→h: Int32
	CmdConnectToGateway      Command = -23 // c→h: Text
	CmdSetClientInfo         Command = -31 // c→h: SetClientInfo
	CmdSetVariable           Command = -32 // both: Variable
	CmdAllVariables          Command = -33 // c→h
	CmdSetState              Command = -34 // c→h: Int32
	CmdSetThrottle           Command = -35 // c→h: Int32
	CmdSetNoDelay            Command = -36 // c→h: Int32
	CmdSetVariablePrefixed   Command = -37 // c→h: PrefixedVariable
	CmdSetEventNameFilter    Command = -38 // c→h: Text
	CmdRequestEventNames     Command = -41 // c→h: EventNamesRequest
	CmdEventNames            Command = -42 // h→c: []EventName
	CmdSubscribe             Command = -45 // both: EventRef
	CmdUnsubscribe           Command = -46 // both: Text
	CmdPublish               Command = -47 // both: EventRef
	CmdUnpublish             Command = -48 // both: Text
	CmdSetEventIDTranslation Command = -49 // h→c: Translation
	CmdStatusEvent           Command = -52 // h→c
	CmdStatusClient          Command = -53 // h→c: StatusClient
	CmdStatusEventPlus       Command = -54 // h→c: StatusEventPlus
	CmdStatusClientPlus      Command = -55 // h→c: StatusClientPlus
	CmdStatusHub             Command = -56 // h→c: StatusHub
	CmdStatusTimer           Command = -57 // h→c
	CmdHumanReadableHeader   Command = -60 // h→c
	CmdSetMonitor            Command = -61 // c→h
	CmdResetMonitor          Command = -62 // c→h
	CmdCreateTimer           Command = -73 // c→h: CreateTimer
	CmdHubLocate             Command = -81 // UDP broadcast to a hub's port
	CmdHubFound              Command = -82 // UDP answer of a hub: HubFound
	CmdLogClear              Command = -91
	CmdLogRequest            Command = -92
	CmdLogContents           Command = -93
)

var commandNames = map[Command]string{
	CmdHeartBeat: "heartBeat", CmdEndSession: "endSession", CmdFlushQueue: "flushQueue",
	CmdUniqueClientID: "uniqueClientID", CmdTimeStamp: "timeStamp", CmdEvent: "event",
	CmdEndClientSession: "endClientSession", CmdFlushClientQueue: "flushClientQueue",
	CmdConnectToGateway: "connectToGateway", CmdSetClientInfo: "setClientInfo",
	CmdSetVariable: "setVariable", CmdAllVariables: "allVariables", CmdSetState: "setState",
	CmdSetThrottle: "setThrottle", CmdSetNoDelay: "setNoDelay",
	CmdSetVariablePrefixed: "setVariablePrefixed", CmdSetEventNameFilter: "setEventNameFilter",
	CmdRequestEventNames: "requestEventNames", CmdEventNames: "eventNames",
	CmdSubscribe: "subscribe", CmdUnsubscribe: "unsubscribe", CmdPublish: "publish",
	CmdUnpublish: "unpublish", CmdSetEventIDTranslation: "setEventIDTranslation",
	CmdStatusEvent: "statusEvent", CmdStatusClient: "statusClient",
	CmdStatusEventPlus: "statusEventPlus", CmdStatusClientPlus: "statusClientPlus",
	CmdStatusHub: "statusHUB", CmdStatusTimer: "statusTimer",
	CmdHumanReadableHeader: "humanReadableHeader", CmdSetMonitor: "setMonitor",
	CmdResetMonitor: "resetMonitor", CmdCreateTimer: "createTimer",
	CmdHubLocate: "HUBLocate", CmdHubFound: "HUBFound",
	CmdLogClear: "logClear", CmdLogRequest: "logRequest", CmdLogContents: "logContents",
}

// String returns the protocol's name of the command, or its number.
func (c Command) String() string {
	if name, ok := commandNames[c]; ok {
		return name
	}
	return strconv.Itoa(int(c))
}

// Kind says what the data of an event holds. It is the low byte of the
// kindAndFlags field. Unknown kinds are carried like any other.
type Kind uint8

// The event kinds of IMB 3.
const (
	ChangeObject                Kind = 0  // ChangeObjectData
	StreamHeader                Kind = 1  // StreamStart
	StreamBody                  Kind = 2  // StreamChunk
	StreamTail                  Kind = 3  // StreamChunk
	Buffer                      Kind = 4  // BufferData
	NormalEvent                 Kind = 5  // free bytes, by convention one string
	ChangeObjectWithData        Kind = 6  // ChangeObjectData, then free bytes
	ChildEventAdd               Kind = 11 // obsolete
	ChildEventRemove            Kind = 12 // obsolete
	LogWriteLn                  Kind = 30 // LogLine
	TimerCancel                 Kind = 40 // Text: timer name
	TimerPrepare                Kind = 41 // Text: timer name
	TimerStart                  Kind = 42 // Text: timer name
	TimerStop                   Kind = 43 // Text: timer name
	TimerReInit                 Kind = 44 // Text: timer name
	TimerAcknowledgedListAdd    Kind = 45 // TimerAcknowledger
	TimerAcknowledgedListRemove Kind = 46 // TimerAcknowledger
	TimerSetSpeed               Kind = 47 // TimerSpeed
	TimerTick                   Kind = 48 // TimerTickData
	TimerAcknowledge            Kind = 49 // TimerAcknowledgement
	TimerStatusRequest          Kind = 50
)

var kindNames = map[Kind]string{
	ChangeObject: "change_object", StreamHeader: "stream", StreamBody: "stream_body",
	StreamTail: "stream_tail", Buffer: "buffer", NormalEvent: "normal",
	ChangeObjectWithData: "change_object_data", ChildEventAdd: "child_event_add",
	ChildEventRemove: "child_event_remove", LogWriteLn: "log", TimerCancel: "timer_cancel",
	TimerPrepare: "timer_prepare", TimerStart: "timer_start", TimerStop: "timer_stop",
	TimerReInit: "timer_reinit", TimerAcknowledgedListAdd: "timer_acknowledged_list_add",
	TimerAcknowledgedListRemove: "timer_acknowledged_list_remove", TimerSetSpeed: "timer_set_speed",
	TimerTick: "timer_tick", TimerAcknowledge: "timer_acknowledge",
	TimerStatusRequest: "timer_status_request",
}

// String returns the kind's name as configurations and logs spell it, such as
// "normal" or "change_object", or its number for an unknown kind.
func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return strconv.Itoa(int(k))
}

// ParseKind is the reverse of Kind.String.
func ParseKind(text string) (Kind, error) {
	for kind, name := range kindNames {
		if name == text {
			return kind, nil
		}
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return 0, fmt.Errorf(`%q is no kind of event such as "normal", "change_object" or "stream", and no number from 0 to 255`, text)
	}
	return Kind(n), nil
}

// IsStream tells whether the kind is a part of a stream: header, body or tail.
func (k Kind) IsStream() bool { return k == StreamHeader || k == StreamBody || k == StreamTail }

// IsTimer tells whether the kind is about a timer: a tick, or what is asked of
// one.
func (k Kind) IsTimer() bool { return TimerCancel <= k && k <= TimerStatusRequest }

// Flags is the kindAndFlags field without its low byte. Bits without a name
// are reserved by the protocol and kept when a message is relayed.
type Flags uint32

// Priority asks a receiver to handle the event before others.
const Priority Flags = 0x100

// Action says what a changeObject event did to the object.
type Action int32

// The actions of a changeObject event.
const (
	ActionNew    Action = 0
	ActionDelete Action = 1
	ActionChange Action = 2
)

// String returns "new", "delete" or "change", or the number of another action.
func (a Action) String() string {
	switch a {
	case ActionNew:
		return "new"
	case ActionDelete:
		return "delete"
	case ActionChange:
		return "change"
	}
	return strconv.Itoa(int(a))
}

// ParseAction is the reverse of Action.String.
func ParseAction(text string) (Action, error) {
	for _, a := range []Action{ActionNew, ActionDelete, ActionChange} {
		if text == a.String() {
			return a, nil
		}
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf(`%q is none of "new", "delete", "change" or a number`, text)
	}
	return Action(n), nil
}

// Filter bits of a requestEventNames command.
const (
	EventNamesPublishers  int32 = 1
	EventNamesSubscribers int32 = 2
	EventNamesTimers      int32 = 4
)

var le = binary.LittleEndian
