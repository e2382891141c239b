package wire_test

import (
	"strings"
	"testing"

	"imbrouter/imb/wire"
)

// TestJoin: frames that follow each other directly become one slice, over
// which the bytes of none are changed; others do not.
func TestJoin(t *testing.T) {
	r := wire.NewReader(strings.NewReader(setState + carriesBoth + heartBeat + "\x00\x00\x00\x00" + setState))
	var raws [][]byte
	f, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	for ok := true; ok; ok = r.Buffered(&f) {
		raws = append(raws, f.Raw)
	}
	run := raws[0]
	for _, next := range raws[1:3] {
		joined, ok := wire.Join(run, next)
		if !ok {
			t.Fatalf("%q does not join %q", run, next)
		}
		run = joined
	}
	if want := setState + carriesBoth + heartBeat; string(run) != want {
		t.Errorf("joined to %q, want %q", run, want)
	}
	for name, pair := range map[string][2][]byte{
		"stray bytes between": {raws[2], raws[3]},
		"out of order":        {raws[1], raws[0]},
		"a frame left out":    {raws[0], raws[2]},
		"the same twice":      {raws[0], raws[0]},
		"the last one":        {raws[3], raws[0]},
		"other memory":        {raws[0], []byte(carriesBoth)},
		"nothing":             {nil, nil},
	} {
		if joined, ok := wire.Join(pair[0], pair[1]); ok {
			t.Errorf("%s: joined to %q", name, joined)
		}
	}
}
