package jsonl_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imbrouter/router/internal/jsonl"
)

// readAll returns what Next tells of a text, errors in angle brackets.
func readAll(t *testing.T, text string, max int) (got []string, end int64) {
	t.Helper()
	r := jsonl.NewReader(strings.NewReader(text), max)
	for {
		line, err := r.Next()
		switch {
		case err == io.EOF:
			return got, r.End()
		case errors.Is(err, jsonl.ErrCut):
			return append(got, "<cut>"), r.End()
		case errors.Is(err, jsonl.ErrTooLong):
			got = append(got, "<too long>")
		case err != nil:
			t.Fatal(err)
		default:
			got = append(got, string(line))
		}
	}
}

func TestNext(t *testing.T) {
	long := strings.Repeat("x", 10_000) // more than the reader's buffer
	for name, c := range map[string]struct {
		text string
		max  int
		want []string
		end  int
	}{
		"nothing":               {"", 5, nil, 0},
		"lines":                 {"a\n\nbc\n", 5, []string{"a", "", "bc"}, 6},
		"cut off":               {"a\nbc", 5, []string{"a", "<cut>"}, 2},
		"as long as allowed":    {"12345\n", 5, []string{"12345"}, 6},
		"too long":              {"123456\na\n", 5, []string{"<too long>", "a"}, 9},
		"longer than a buffer":  {long + "\na\n", 20_000, []string{long, "a"}, 10_003},
		"much too long":         {long + "\na\n", 5, []string{"<too long>", "a"}, 10_003},
		"too long, and cut off": {"a\n" + long, 5, []string{"a", "<cut>"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			got, end := readAll(t, c.text, c.max)
			if !slices.Equal(got, c.want) || end != int64(c.end) {
				t.Errorf("got %.50q to %d, want %.50q to %d", got, end, c.want, c.end)
			}
		})
	}
}

// A line that was being written is read when it is whole, also when its
// beginning has become another.
func TestLineThatGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a\nhal")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := jsonl.NewReader(f, 100)
	for i, want := range []string{"a", "<cut>", "<cut>", "whole", "<EOF>"} {
		if i == 3 {
			write("a\nwhole\n")
		}
		line, err := r.Next()
		got := string(line)
		switch {
		case errors.Is(err, jsonl.ErrCut):
			got = "<cut>"
		case err != nil:
			got = "<" + err.Error() + ">"
		}
		if got != want {
			t.Errorf("step %d: %q, want %q", i, got, want)
		}
	}
}

type number int

func (n *number) UnmarshalJSON(text []byte) error {
	_, err := fmt.Sscan(string(text), n)
	return err
}

func TestValues(t *testing.T) {
	var got []string
	lines := jsonl.NewReader(strings.NewReader("1\nx\n1234567\n2\n3"), 5)
	for n, err := range jsonl.Values[number](lines, "file") {
		got = append(got, fmt.Sprint(n, " ", err))
	}
	want := []string{
		"1 <nil>", "0 file:2: expected integer", "0 file:3: the line is too long", "2 <nil>", "0 file:5: the line is cut off",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The lines and the newlines behind them are the file.
func FuzzReader(f *testing.F) {
	f.Add([]byte("a\nbc\n\nd"), uint8(10))
	f.Add([]byte("\x00\x00\n"), uint8(0))
	f.Add(bytes.Repeat([]byte("x"), 5000), uint8(200))
	f.Fuzz(func(t *testing.T, text []byte, max uint8) {
		got, end := readAll(t, string(text), int(max))
		if len(got) > 0 && got[len(got)-1] == "<cut>" {
			got = got[:len(got)-1]
		}
		want := strings.SplitAfter(string(text[:end]), "\n")
		want = want[:len(want)-1]
		if bytes.Contains(text[end:], []byte("\n")) || len(got) != len(want) {
			t.Fatalf("%d lines of %d, up to %d of %d bytes", len(got), len(want), end, len(text))
		}
		for i, line := range want {
			if line = strings.TrimSuffix(line, "\n"); len(line) > int(max) {
				line = "<too long>"
			}
			if got[i] != line {
				t.Errorf("line %d: %q, want %q", i+1, got[i], line)
			}
		}
	})
}
