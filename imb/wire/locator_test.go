package wire_test

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"

	"imbrouter/imb/wire"
)

var datagrams = []struct {
	name, bytes string
	command     wire.Command // 0: it is none
	payload     string
}{
	{"question", startMagic + "\xAF\xFF\xFF\xFF\x00\x00\x00\x00", wire.CmdHubLocate, ""},
	{"answer", startMagic + "\xAE\xFF\xFF\xFF\x03\x00\x00\x00a:/" + endMagic, wire.CmdHubFound, "a:/"},
	{"nothing", "", 0, ""},
	{"cut in the header", startMagic + "\xAF\xFF\xFF\xFF\x00\x00\x00", 0, ""},
	{"other magic", "\x00" + startMagic[1:] + "\xAF\xFF\xFF\xFF\x00\x00\x00\x00", 0, ""},
	{"negative size", startMagic + "\xAE\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 0, ""},
	{"size that lies", startMagic + "\xAE\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 0, ""},
	{"without its end", startMagic + "\xAE\xFF\xFF\xFF\x03\x00\x00\x00a:/", 0, ""},
	{"other end", startMagic + "\xAE\xFF\xFF\xFF\x03\x00\x00\x00a:/abcd", 0, ""},
	{"two frames", startMagic + "\xAF\xFF\xFF\xFF\x00\x00\x00\x00" + startMagic + "\xAF\xFF\xFF\xFF\x00\x00\x00\x00", 0, ""},
	{"end after nothing", startMagic + "\xAF\xFF\xFF\xFF\x00\x00\x00\x00" + endMagic, 0, ""},
}

func TestParseDatagram(t *testing.T) {
	for _, tt := range datagrams {
		f, err := wire.ParseDatagram([]byte(tt.bytes))
		switch {
		case tt.command == 0 && !errors.Is(err, wire.ErrMalformed):
			t.Errorf("%s: %+v, %v", tt.name, f, err)
		case tt.command != 0 && (err != nil || f.Command != tt.command || string(f.Payload) != tt.payload || string(f.Raw) != tt.bytes):
			t.Errorf("%s: %+v, %v", tt.name, f, err)
		}
	}
	if got := wire.AppendHubLocate(nil); string(got) != datagrams[0].bytes {
		t.Errorf("the question is % x", got)
	}
	if got := wire.AppendHubFound(nil, "a:/"); string(got) != datagrams[1].bytes {
		t.Errorf("the answer is % x", got)
	}
}

// FuzzParseDatagram: what is a datagram is what the frame is encoded to.
func FuzzParseDatagram(f *testing.F) {
	for _, d := range datagrams {
		f.Add([]byte(d.bytes))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		frame, err := wire.ParseDatagram(p)
		if err != nil {
			if !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("error %v does not wrap ErrMalformed", err)
			}
			return
		}
		if again := wire.AppendFrame(nil, frame.Command, frame.Payload); !bytes.Equal(again, p) {
			t.Errorf("% x is encoded again to % x", p, again)
		}
	})
}

var hubURIs = map[string]string{ // "": it is none
	"imb://192.168.1.5:4000": "192.168.1.5:4000",
	"tcp://hub.example":      "hub.example:4000",
	"://hub:4001/path/x:9":   "hub:4001",
	"x://hub: 4002 ":         "hub:4002", // as the known clients read it
	"imb://[::1]:4003":       "[::1]:4003",
	"imb://[fe80::1%eth0]":   "[fe80::1%eth0]:4000",
	"imb://fe80::1":          "[fe80::1]:4000",
	"":                       "",
	"hub:4000":               "",
	"imb://":                 "",
	"imb://:4000":            "",
	"imb:///path":            "",
	"imb://hub:0":            "",
	"imb://hub:65536":        "",
	"imb://hub:-1":           "",
	"imb://hub:port":         "",
	"imb://user@hub:4000":    "",
	"imb://hub\n:4000":       "",
	"imb://hub two:4000":     "",
	"imb://hub\x1b[31m:4000": "",
	"imb://[::1:4000":        "",
	"imb://hub\u202e:4000":   "",
	"imb://hub\xff:4000":     "",
}

func TestParseHubURI(t *testing.T) {
	for uri, want := range hubURIs {
		got, err := wire.ParseHubURI(uri)
		if got != want || (want == "") != errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%q: %q, %v; want %q", uri, got, err, want)
		}
	}
	if _, err := wire.ParseHubURI(strings.Repeat("x", 1<<20)); len(err.Error()) > 1000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

// FuzzParseHubURI: what a uri names is an address that a hub can tell again.
func FuzzParseHubURI(f *testing.F) {
	for uri := range hubURIs {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		address, err := wire.ParseHubURI(uri)
		if err != nil {
			if !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("error %v does not wrap ErrMalformed", err)
			}
			return
		}
		if host, _, err := net.SplitHostPort(address); err != nil || host == "" {
			t.Errorf("%q names %q: %v", uri, address, err)
		}
		if again, err := wire.ParseHubURI(wire.HubURI(address)); again != address || err != nil {
			t.Errorf("%q names %q, which names %q, %v", uri, address, again, err)
		}
	})
}
