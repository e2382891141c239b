package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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

// Who does not read what tap prints misses signals, and is told how many.
func TestTapTellsWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	addr, _ := imbtest.StartHub(t, hub.Options{})
	stdout, out := io.Pipe()
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	code := make(chan int)
	go func() {
		code <- execute(ctx, []string{"tap", "--hub", addr, "demo.*"}, strings.NewReader(""), out, stderr)
	}()
	awaitSubscriber(t, addr)
	e, err := connect(t, addr).Publish("files")
	if err != nil {
		t.Fatal(err)
	}
	const sent = 100 // MiB, much more than all queues on the way hold
	for range sent {
		if err := e.Signal(t.Context(), wire.NormalEvent, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.SignalString(t.Context(), "the end"); err != nil {
		t.Fatal(err)
	}
	shown := 0
	for lines := bufio.NewScanner(stdout); lines.Scan() && !strings.Contains(lines.Text(), "the end"); {
		shown++
	}
	stop()
	if code := <-code; code != 0 {
		t.Errorf("exit code %d", code)
	}
	text, err := os.ReadFile(stderr.Name())
	if err != nil {
		t.Fatal(err)
	}
	leftOut := 0
	if told := regexp.MustCompile(`(?m)^(\d+) signals were left out`).FindSubmatch(text); told != nil {
		leftOut, _ = strconv.Atoi(string(told[1]))
	}
	if leftOut == 0 || shown+leftOut != sent {
		t.Errorf("%d shown, %d left out, of %d: %s", shown, leftOut, sent, text)
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
