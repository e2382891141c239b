package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

func TestTapJSON(t *testing.T) {
	t.Parallel()
	addr, _ := imbtest.StartHub(t, hub.Options{})
	var stdout, stderr bytes.Buffer
	code := make(chan int)
	go func() {
		code <- execute(t.Context(), []string{"tap", "--json", "--count", "6", "--hub", addr, "demo.*"}, strings.NewReader(""), &stdout, &stderr)
	}()
	awaitSubscriber(t, addr)
	e, err := connect(t, addr).Publish("files")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []imb.Message{
		{Kind: wire.NormalEvent, Data: wire.AppendString(nil, "hello"), Tick: 7, Flags: wire.Priority},
		{Kind: wire.NormalEvent, Data: wire.AppendString(nil, "")},
		{Kind: wire.NormalEvent, Data: []byte{0xFF}},
		{Kind: wire.ChangeObject, Data: wire.AppendChangeObject(nil, wire.ChangeObjectData{Action: wire.ActionNew, Attribute: ""})},
	} {
		if err := e.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.SendStream(t.Context(), "", strings.NewReader("abc"), imb.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	if code := <-code; code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	var got []map[string]any
	for lines := json.NewDecoder(&stdout); lines.More(); {
		var line map[string]any
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		if line["event"] != "demo.files" {
			t.Errorf("event is %v", line["event"])
		}
		delete(line, "event")
		got = append(got, line)
	}
	want := []map[string]any{
		{"kind": "normal", "text": "hello", "size": 9., "tick": 7., "priority": true},
		{"kind": "normal", "text": "", "size": 4.},
		{"kind": "normal", "size": 1.},
		{"kind": "change_object", "action": "new", "object_id": 0., "attribute": "", "size": 12.},
		{"kind": "stream", "stream": "", "size": 0.},
		{"kind": "stream_end", "stream": "", "size": 3.},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// A duration is text in either form of the log, with its unit.
func TestDurationsInTheLog(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		flags := logFlags{format: format, level: "info"}
		log, err := flags.logger(&cobra.Command{}, &out)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("x", "waited", 1500*time.Millisecond, slog.Group("g", "a", time.Minute))
		if !strings.Contains(out.String(), "1.5s") || !strings.Contains(out.String(), "1m0s") {
			t.Errorf("%s: %s", format, &out)
		}
	}
}
