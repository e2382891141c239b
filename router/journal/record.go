package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"imbrouter/router/internal/jsonl"
)

// Outcome says what became of a file or stream.
type Outcome string

// The outcomes that this program writes. A reader may meet others.
const (
	Sent         Outcome = "sent"           // the hub has it
	SentToNobody Outcome = "sent_to_nobody" // the hub has it, and knows no subscriber
	Received     Outcome = "received"       // it is on the disk under its final name
	Failed       Outcome = "failed"         // it is given up
	Incomplete   Outcome = "incomplete"     // it ended before its end
	Skipped      Outcome = "skipped"        // it is not kept, because its name is taken
	// Unconfirmed is written right before the end of a stream is sent. When
	// nothing follows it, the program ended before the confirmation came.
	Unconfirmed Outcome = "unconfirmed"
	// PossiblySent is what Open makes of each Unconfirmed that nothing follows.
	PossiblySent Outcome = "possibly_sent"
)

// Outcomes are those that this program writes, in the order of a transfer.
var Outcomes = []Outcome{Unconfirmed, Sent, SentToNobody, PossiblySent, Received, Skipped, Incomplete, Failed}

// Record is what became of one file or stream at one sink of a route. Run, ID,
// Route and Sink together name the delivery: what is written later about it
// replaces what was written before.
type Record struct {
	Time    time.Time // to the millisecond; zero: when it is written
	Outcome Outcome
	Run     string // of the process, see Journal.Run; "": this one
	ID      uint64 // of the delivery in its run
	// Names of the configuration. Sink is "" for what concerns a whole route.
	Route, Source, Sink string
	Event               string        // full name
	Name                string        // of the stream
	Path                string        // of the source's file, or as which it landed
	Size                int64         // bytes, −1 when unknown
	SHA256              string        // hex; "" when unknown
	Duration            time.Duration // of the transfer
	Attempts            int
	Reason              string // why it is no success
}

// delivery is what names a delivery, see Record.
type delivery struct {
	run         string
	id          uint64
	route, sink string
}

// SameDelivery tells whether two records are of one message on its way through one
// route to one sink.
func (r Record) SameDelivery(other Record) bool { return r.delivery() == other.delivery() }

func (r Record) delivery() delivery { return delivery{r.Run, r.ID, r.Route, r.Sink} }

const (
	// maxText is the longest text in a record, in bytes: names come from the
	// network. What is longer is cut and marked with "…".
	maxText = 4 << 10
	// maxLine is longer than a line with every text that long, and escaped.
	maxLine = 256 << 10
)

// line is a Record in the order and form of the file.
type line struct {
	Time     string  `json:"time"`
	Outcome  Outcome `json:"outcome"`
	Route    string  `json:"route,omitempty"`
	Source   string  `json:"source,omitempty"`
	Sink     string  `json:"sink,omitempty"`
	Event    string  `json:"event,omitempty"`
	Name     string  `json:"name,omitempty"`
	Path     string  `json:"path,omitempty"`
	Size     int64   `json:"size"`
	SHA256   string  `json:"sha256,omitempty"`
	Duration string  `json:"duration,omitempty"`
	Attempts int     `json:"attempts,omitempty"`
	Reason   string  `json:"reason,omitempty"`
	Run      string  `json:"run"`
	ID       uint64  `json:"id"`
}

// MarshalJSON returns the record as it stands in the file. Bytes of a name that
// are no UTF-8 become U+FFFD.
func (r Record) MarshalJSON() ([]byte, error) {
	text, err := appendLine(nil, r)
	return bytes.TrimSuffix(text, []byte("\n")), err
}

func appendLine(dst []byte, r Record) ([]byte, error) {
	cut := func(text string) string { return jsonl.Cut(text, maxText) }
	l := line{
		Time: r.Time.UTC().Format(jsonl.TimeFormat), Outcome: r.Outcome, Route: cut(r.Route), Source: cut(r.Source),
		Sink: cut(r.Sink), Event: cut(r.Event), Name: cut(r.Name), Path: cut(r.Path), Size: r.Size,
		SHA256: cut(r.SHA256), Attempts: r.Attempts, Reason: cut(r.Reason), Run: cut(r.Run), ID: r.ID,
	}
	if r.Duration != 0 {
		l.Duration = r.Duration.String()
	}
	buf := bytes.NewBuffer(dst)
	out := json.NewEncoder(buf)
	out.SetEscapeHTML(false)
	err := out.Encode(l)
	return buf.Bytes(), err
}

// UnmarshalJSON reads a line. Keys that it does not know are left to later
// versions of the program.
func (r *Record) UnmarshalJSON(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, l.Time)
	if err != nil {
		return fmt.Errorf("time: %w", err)
	}
	if l.Outcome == "" {
		return errors.New("the record has no outcome")
	}
	var duration time.Duration
	if l.Duration != "" {
		if duration, err = time.ParseDuration(l.Duration); err != nil {
			return fmt.Errorf("duration: %w", err)
		}
	}
	*r = Record{
		Time: at, Outcome: l.Outcome, Run: l.Run, ID: l.ID, Route: l.Route, Source: l.Source, Sink: l.Sink,
		Event: l.Event, Name: l.Name, Path: l.Path, Size: l.Size, SHA256: l.SHA256, Duration: duration,
		Attempts: l.Attempts, Reason: l.Reason,
	}
	return nil
}
