package hub_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// TestBrokenInput: whatever a client sends beside frames, or instead of what a
// payload should hold, is counted and logged once, and the connection stays.
func TestBrokenInput(t *testing.T) {
	short := func(c wire.Command, n int) []byte { return wire.AppendFrame(nil, c, make([]byte, n)) }
	lying := func(c wire.Command, payload string) []byte { return wire.AppendFrame(nil, c, []byte(payload)) }
	badEnd := signal(0, "x")
	badEnd[len(badEnd)-1]++
	tests := map[string][]byte{
		"garbage":                   []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"wrong end magic":           badEnd,
		"negative size":             slices.Concat(signal(0, "")[:12], []byte{0xFF, 0xFF, 0xFF, 0xFF}),
		"size above 10 MiB":         slices.Concat(signal(0, "")[:12], []byte{1, 0, 0xA0, 0}),
		"largest size":              slices.Concat(signal(0, "")[:12], []byte{0xFF, 0xFF, 0xFF, 0x7F}),
		"event without payload":     short(wire.CmdEvent, 0),
		"event cut short":           short(wire.CmdEvent, 11),
		"stream header without id":  wire.AppendEvent(nil, wire.Event{Kind: wire.StreamHeader, Data: []byte{1}}),
		"stream body without id":    wire.AppendEvent(nil, wire.Event{Kind: wire.StreamBody}),
		"subscribe without payload": short(wire.CmdSubscribe, 0),
		"subscribe, negative name":  lying(wire.CmdSubscribe, "\x00\x00\x00\x00\x00\x00\x00\x00\xFF\xFF\xFF\xFF"),
		"publish, name too short":   lying(wire.CmdPublish, "\x00\x00\x00\x00\x00\x00\x00\x00\xFF\xFF\xFF\x7Fabc"),
		"publish, bytes left over":  lying(wire.CmdPublish, "\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00abc"),
		"unsubscribe":               short(wire.CmdUnsubscribe, 3),
		"unpublish":                 short(wire.CmdUnpublish, 3),
		"setClientInfo":             short(wire.CmdSetClientInfo, 4),
		"setVariable":               short(wire.CmdSetVariable, 7),
		"setVariablePrefixed":       short(wire.CmdSetVariablePrefixed, 4),
		"requestEventNames":         short(wire.CmdRequestEventNames, 4),
		"uniqueClientID":            short(wire.CmdUniqueClientID, 4),
		"endClientSession":          short(wire.CmdEndClientSession, 3),
	}
	for name, broken := range tests {
		t.Run(name, func(t *testing.T) {
			var log logBook
			h := start(t, hub.Options{Log: log.logger()})
			c := dialHub(t, h)
			c.subscribe(0, "fed.x")
			for range 3 {
				c.send(broken)
			}
			c.signal(0, "after")
			c.expect("hub 0 = client 0", `event 0 normal "after"`)
			if s := h.Stats(); s.Malformed < 3 || s.FramesIn == 0 {
				t.Errorf("%d malformed", s.Malformed)
			}
			c.close(h)
			if lines := log.lines("level=WARN", "peer=in-process"); len(lines) != 1 {
				t.Errorf("logged %q", lines)
			}
			if len(log.lines("disconnected", "malformed=3")) != 1 && len(log.lines("disconnected", "not_imb=")) != 1 {
				t.Errorf("logged %q", log.lines("disconnected"))
			}
		})
	}
}

// TestEndlessGarbage: a peer that sends 32 MiB without a frame is no client.
func TestEndlessGarbage(t *testing.T) {
	for name, garbage := range map[string][]byte{
		"zeros":           make([]byte, 1<<20),
		"start magics":    bytes.Repeat(signal(0, "")[:8], 1<<17),
		"wrong ends":      bytes.Repeat(append(signal(0, strings.Repeat("x", 1000))[:1028], "XXXX"...), 1000),
		"frames in it":    append(make([]byte, 1<<20), wire.AppendFrame(nil, wire.CmdHeartBeat, nil)...),
		"nothing but IMB": wire.AppendFrame(nil, wire.CmdHeartBeat, make([]byte, 1<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, hub.Options{})
			c := dialHub(t, h)
			c.conn.SetDeadline(time.Now().Add(time.Minute))
			sent := 0
			var err error
			for err == nil && sent < 40<<20 {
				var n int
				n, err = c.conn.Write(garbage)
				sent += n
			}
			if strings.Contains(name, "IMB") || strings.Contains(name, "frames") {
				if err != nil {
					t.Errorf("ended after %d bytes: %v", sent, err)
				}
				return
			}
			if err == nil || sent < 32<<20 || sent > 34<<20 {
				t.Errorf("ended after %d bytes: %v", sent, err)
			}
		})
	}
}
