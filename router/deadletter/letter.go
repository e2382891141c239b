package deadletter

import (
	"bytes"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"imbrouter/imb/wire"
	"imbrouter/router/internal/jsonl"
)

// Letter is a signal that failed for good: the message as it came to the route,
// before its filter, so that it can go the same way once more.
type Letter struct {
	ID    string    // sorts by time; "": the store gives it one
	Time  time.Time // to the millisecond; zero: when it is added
	Route string
	// Sinks are those of the route that have not got it; none when it failed
	// before it came to them, and all are to get it.
	Sinks []string
	Error string // why it failed

	// The fields of router.Signal.
	Source, Federation, Event string
	Redirected, Relayed       bool
	Kind                      wire.Kind
	Flags                     wire.Flags
	Tick                      int32
	Data                      []byte
}

// FullName returns the event's name on a hub.
func (l Letter) FullName() string {
	if l.Federation == "" {
		return l.Event
	}
	return l.Federation + "." + l.Event
}

// Text returns the data when it is text that people can read: an IMB string or
// UTF-8.
func (l Letter) Text() (text string, ok bool) {
	data, ok := wire.NormalText(l.Data)
	if !ok || !utf8.Valid(data) {
		return "", false
	}
	text = string(data)
	unprintable := strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && !unicode.IsSpace(r) })
	return text, !unprintable
}

const (
	// maxText is how much of a letter's text is written beside its data, in
	// bytes, and how long its error may be. What is longer is cut and marked
	// with "…".
	maxText = 4 << 10
	// maxLine is longer than the line of the largest signal of IMB, 10 MiB in
	// base64.
	maxLine = 16 << 20
)

// line is a Letter in the order and form of the file.
type line struct {
	ID         string   `json:"id"`
	Time       string   `json:"time"`
	Route      string   `json:"route"`
	Sinks      []string `json:"sinks,omitempty"`
	Error      string   `json:"error"`
	Source     string   `json:"source,omitempty"`
	Federation string   `json:"federation,omitempty"`
	Event      string   `json:"event,omitempty"`
	RawEvent   []byte   `json:"raw_event,omitempty"` // an Event that is no UTF-8, which JSON cannot hold
	Redirected bool     `json:"redirected,omitempty"`
	Relayed    bool     `json:"relayed,omitempty"`
	Kind       string   `json:"kind"`
	Flags      uint32   `json:"flags,omitempty"`
	Tick       int32    `json:"tick,omitempty"`
	Size       int      `json:"size"`
	Text       string   `json:"text,omitempty"` // for people; Data is the truth
	Data       []byte   `json:"data"`
}

// MarshalJSON returns the letter as it stands in the file.
func (l Letter) MarshalJSON() ([]byte, error) {
	text, err := l.line()
	return bytes.TrimSuffix(text, []byte("\n")), err
}

func (l Letter) line() ([]byte, error) {
	out := line{
		ID: l.ID, Time: l.Time.UTC().Format(jsonl.TimeFormat), Route: l.Route, Sinks: l.Sinks, Error: jsonl.Cut(l.Error, maxText),
		Source: l.Source, Federation: l.Federation, Event: l.Event, Redirected: l.Redirected, Relayed: l.Relayed,
		Kind: l.Kind.String(), Flags: uint32(l.Flags), Tick: l.Tick, Size: len(l.Data), Data: l.Data,
	}
	if !utf8.ValidString(l.Event) {
		out.Event, out.RawEvent = "", []byte(l.Event)
	}
	if text, ok := l.Text(); ok {
		out.Text = jsonl.Cut(text, maxText)
	}
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(out)
	return buf.Bytes(), err
}

// UnmarshalJSON reads a line. Keys that it does not know are left to later
// versions of the program.
func (l *Letter) UnmarshalJSON(text []byte) error {
	var in line
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	if in.ID == "" {
		return errors.New("the letter has no id")
	}
	at, err := time.Parse(time.RFC3339, in.Time)
	if err != nil {
		return fmt.Errorf("time: %w", err)
	}
	kind, err := wire.ParseKind(in.Kind)
	if err != nil {
		return fmt.Errorf("kind: %w", err)
	}
	*l = Letter{
		ID: in.ID, Time: at, Route: in.Route, Sinks: in.Sinks, Error: in.Error,
		Source: in.Source, Federation: in.Federation, Event: in.Event + string(in.RawEvent),
		Redirected: in.Redirected, Relayed: in.Relayed, Kind: kind, Flags: wire.Flags(in.Flags), Tick: in.Tick,
		Data: in.Data,
	}
	return nil
}

var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// formatID returns a number as text that sorts as the numbers do.
func formatID(n uint64) string {
	return idEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, n))
}
