package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// taplo is the language server that editors have for TOML. In the protocol,
// lines and columns begin at 0.
type taplo struct {
	t   *testing.T
	in  *json.Encoder
	out *json.Decoder
	id  int // of the last request
}

// longestTaplo is when a server is given up, all tests together.
const longestTaplo = 2 * time.Minute

type textPosition struct {
	Line      int `json:"line"`
	Character int `json:"character"`
}

type diagnostic struct {
	Range struct {
		Start textPosition `json:"start"`
	} `json:"range"`
	Message string `json:"message"`
}

type rpcMessage struct {
	Version string          `json:"jsonrpc"`
	ID      any             `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   any             `json:"error,omitempty"`
}

func startTaplo(t *testing.T) *taplo {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no Node.js to run the language server")
	}
	if err := exec.Command(node, "-e", `require.resolve("@taplo/lsp")`).Run(); err != nil {
		t.Skip("there is no language server: npm install --global @taplo/lsp, and set NODE_PATH to what npm root --global prints")
	}
	ctx, cancel := context.WithTimeout(t.Context(), longestTaplo)
	server := exec.CommandContext(ctx, node, "testdata/taplo/server.cjs")
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = server.Wait() // it was killed
		if t.Failed() {
			t.Logf("the server wrote:\n%s", log.String())
		}
	})
	s := &taplo{t: t, in: json.NewEncoder(in), out: json.NewDecoder(out)}
	s.call("initialize", map[string]any{
		"processId": nil, "rootUri": nil, "capabilities": map[string]any{},
		"workspaceFolders": []map[string]any{{"uri": s.uri(""), "name": "examples"}},
	}, nil)
	s.send(rpcMessage{Method: "initialized", Params: map[string]any{}})
	return s
}

func (s *taplo) send(m rpcMessage) {
	s.t.Helper()
	m.Version = "2.0"
	if err := s.in.Encode(m); err != nil {
		s.t.Fatal(err)
	}
}

// next returns the next message from the server, whose requests it answers.
func (s *taplo) next() rpcMessage {
	s.t.Helper()
	for {
		m := rpcMessage{Params: new(json.RawMessage)}
		if err := s.out.Decode(&m); errors.Is(err, io.EOF) {
			s.t.Fatalf("the server ended, or took longer than %v", longestTaplo)
		} else if err != nil {
			s.t.Fatal(err)
		}
		if m.Method == "" || m.ID == nil {
			return m
		}
		s.send(rpcMessage{ID: m.ID, Result: json.RawMessage("[]")}) // it asks for settings: there are none
	}
}

func (s *taplo) call(method string, params, result any) {
	s.t.Helper()
	s.id++
	s.send(rpcMessage{ID: s.id, Method: method, Params: params})
	for {
		m := s.next()
		if m.ID != float64(s.id) {
			continue
		}
		if m.Error != nil {
			s.t.Fatalf("%s: %v", method, m.Error)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				s.t.Fatal(err)
			}
		}
		return
	}
}

// uri is that of a file beside the examples.
func (s *taplo) uri(name string) string {
	s.t.Helper()
	path, err := filepath.Abs("../../examples/" + name)
	if err != nil {
		s.t.Fatal(err)
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// open opens a file of that name beside the examples, with another text.
func (s *taplo) open(name, text string) (document map[string]any) {
	s.t.Helper()
	uri := s.uri(name)
	s.send(rpcMessage{Method: "textDocument/didOpen", Params: map[string]any{
		"textDocument": map[string]any{"uri": uri, "languageId": "toml", "version": 1, "text": text},
	}})
	return map[string]any{"uri": uri}
}

// underlined waits until something in a document is, and returns what.
func (s *taplo) underlined(document map[string]any) []diagnostic {
	s.t.Helper()
	for {
		m := s.next()
		if m.Method != "textDocument/publishDiagnostics" {
			continue
		}
		var published struct {
			URI         string       `json:"uri"`
			Diagnostics []diagnostic `json:"diagnostics"`
		}
		if err := json.Unmarshal(*m.Params.(*json.RawMessage), &published); err != nil {
			s.t.Fatal(err)
		}
		if published.URI == document["uri"] && len(published.Diagnostics) > 0 {
			return published.Diagnostics
		}
	}
}

// TestEditor has an editor's language server use the schema that the examples
// name.
func TestEditor(t *testing.T) {
	server := startTaplo(t)
	run := func(name string, test func(t *testing.T)) {
		ok := t.Run(name, func(t *testing.T) {
			server.t = t
			test(t)
		})
		if server.t = t; !ok {
			t.FailNow() // the server may be gone
		}
	}

	examples, err := filepath.Glob("../../examples/*.toml")
	if err != nil || len(examples) == 0 {
		t.Fatal(examples, err)
	}
	for _, example := range examples {
		run("underlines one fault at the end of "+filepath.Base(example), func(t *testing.T) {
			text, err := os.ReadFile(example)
			if err != nil {
				t.Fatal(err)
			}
			wrong := string(text) + "\n[sinks.wrong]\ntype = \"log\"\nlevel = \"loud\"\n"
			got := server.underlined(server.open(filepath.Base(example), wrong))
			at := textPosition{Line: strings.Count(wrong, "\n") - 1}
			if len(got) != 1 || got[0].Range.Start != at || !strings.Contains(got[0].Message, `"loud" is not one of`) {
				t.Errorf("%+v", got)
			}
		})
	}

	for _, test := range []struct {
		name, text string   // with | for where one writes
		want       []string // among others
	}{
		{"tables", "|\n[hub]\n", []string{"connections", "router", "routes", "sinks", "sources"}},
		{"keys", "[hub]\n|\n", []string{"listen", "max_events"}},
		{"keys-of-a-part", "[sources.outbox]\ntype = \"dir\"\n|\n", []string{"path", "settle"}},
		{"fields", "[routes.a.set]\n|\n", []string{"event", "text"}},
		{"keys-of-a-test", "[[tests]]\n|\n", []string{"expect", "given", "name"}},
		{"types", "[sinks.a]\ntype = \"|\"\n", []string{`"dir"`, `"imb"`, `"log"`}},
		{"values", "[sinks.a]\ntype = \"log\"\nlevel = \"|\"\n", []string{`"debug"`, `"error"`, `"info"`, `"warn"`}},
	} {
		run("offers "+test.name, func(t *testing.T) {
			before, after, _ := strings.Cut("#:schema imbrouter.schema.json\n"+test.text, "|")
			document := server.open(test.name+".toml", before+after)
			var offered []struct{ Label string }
			server.call("textDocument/completion", map[string]any{
				"textDocument": document,
				"position":     textPosition{strings.Count(before, "\n"), len(before) - 1 - strings.LastIndex(before, "\n")},
			}, &offered)
			for _, want := range test.want {
				if !slices.ContainsFunc(offered, func(o struct{ Label string }) bool { return o.Label == want }) {
					t.Errorf("%q is not offered, but %q", want, offered)
				}
			}
		})
	}

	run("says what a key means", func(t *testing.T) {
		document := server.open("hover.toml", "#:schema imbrouter.schema.json\n[sources.outbox]\ntype = \"dir\"\nsettle = \"1s\"\n")
		var hover struct{ Contents struct{ Value string } }
		server.call("textDocument/hover", map[string]any{"textDocument": document, "position": textPosition{3, 1}}, &hover)
		if !strings.HasPrefix(hover.Contents.Value, "How long a file must not have changed before it is sent.") {
			t.Errorf("%q", hover.Contents.Value)
		}
	})
}
