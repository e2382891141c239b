package wire

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// NormalText returns the text that the data of a normal event holds: by
// convention one string, or else the whole data when that is UTF-8. Text is
// part of data.
func NormalText(data []byte) (text []byte, ok bool) {
	d := NewDecoder(data)
	if text := d.Bytes(); d.End() == nil {
		return text, true
	}
	if utf8.Valid(data) {
		return data, true
	}
	return nil, false
}

// maxDescribed bounds, in bytes, the text that Describe quotes.
const maxDescribed = 1024

// Describe tells in one line, for people, what the data of an event holds:
// quoted text, the fields of the kind, or a size in bytes. It returns the size
// for data that does not hold what its kind requires, too.
func Describe(kind Kind, data []byte) string {
	switch kind {
	case NormalEvent:
		if text, ok := NormalText(data); ok {
			return quote(string(text))
		}
	case ChangeObject, ChangeObjectWithData:
		if c, rest, err := ParseChangeObject(data); err == nil {
			s := fmt.Sprintf("%v object %d %s", c.Action, c.ObjectID, quote(c.Attribute))
			if len(rest) > 0 {
				s += fmt.Sprintf(" and %d bytes", len(rest))
			}
			return s
		}
	case Buffer:
		if b, err := ParseBuffer(data); err == nil {
			return fmt.Sprintf("buffer %d, %d bytes", b.BufferID, len(b.Bytes))
		}
	case LogWriteLn:
		if l, err := ParseLogLine(data); err == nil {
			return fmt.Sprintf("client %08X level %d %s", l.ClientID, l.Level, quote(l.Line))
		}
	case StreamHeader:
		if s, err := ParseStreamStart(data); err == nil {
			return fmt.Sprintf("stream %08X %s", uint32(s.StreamID), quote(s.Name))
		}
	case TimerTick:
		if t, err := ParseTimerTick(data); err == nil {
			return fmt.Sprintf("timer %s tick %d", quote(t.Timer), t.Tick)
		}
	case TimerCancel, TimerPrepare, TimerStart, TimerStop, TimerReInit:
		if name, err := ParseText(data); err == nil {
			return "timer " + quote(name)
		}
	case TimerAcknowledgedListAdd, TimerAcknowledgedListRemove:
		if t, err := ParseTimerAcknowledger(data); err == nil {
			return fmt.Sprintf("timer %s client %s", quote(t.Timer), quote(t.Client))
		}
	case TimerSetSpeed:
		if t, err := ParseTimerSpeed(data); err == nil {
			return fmt.Sprintf("timer %s speed %v", quote(t.Timer), t.Factor)
		}
	case TimerAcknowledge:
		if t, err := ParseTimerAcknowledgement(data); err == nil {
			return fmt.Sprintf("timer %s client %s step %d", quote(t.Timer), quote(t.Client), t.ProposedTimeStep)
		}
	}
	return fmt.Sprintf("%d bytes", len(data))
}

func quote(s string) string {
	if len(s) > maxDescribed {
		return fmt.Sprintf("%q and %d bytes more", s[:maxDescribed], len(s)-maxDescribed)
	}
	return strconv.Quote(s)
}
