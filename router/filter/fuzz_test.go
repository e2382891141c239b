package filter_test

import (
	"errors"
	"testing"
	"unicode"
	"unicode/utf8"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/filter"
)

// FuzzExpression compiles arbitrary expressions and runs them on arbitrary
// messages: whatever happens is a result or an error.
func FuzzExpression(f *testing.F) {
	for _, seed := range []struct {
		text, data string
		kind       wire.Kind
	}{
		{`kind == "normal" && (json?.level ?? 0) >= 3`, `{"level": 3}`, wire.NormalEvent},
		{`any(json.xs, .a > #index) ? text | upper() : join(map(1..9, string(#)), ",")`, `{"xs": [{"a": 1}]}`, wire.NormalEvent},
		{`let a = data[1:-1]; object_id + len(a) ** 2 % 3`, "\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", wire.ChangeObject},
		{`if text matches "^a+$" { now.Format("2006") } else { replace(text, "", "xx") }`, "aaa", wire.NormalEvent},
		{`{"a": [1, nil, true, 0x1f, b"\x00"], "b": {(event): 1.5e3}}`, "", 200},
		{`text not in ["a", 'b'] and not (tick in -1..1) or text[0:1] startsWith "é" ; mtime - now`, "é", wire.NormalEvent},
		{`fromJSON(text)?.a?.[0] | toJSON() | toBase64() | fromBase64()`, `{"a":[{"b":[[]]}]}`, wire.NormalEvent},
		{`filter(json, len(#) > 0 && # != text)[0] in keys(json) || concat(json, json) == reverse(json)`, `["a"]`, wire.NormalEvent},
	} {
		f.Add(seed.text, []byte(seed.data), uint8(seed.kind))
	}
	f.Fuzz(func(t *testing.T, text string, data []byte, kind uint8) {
		s := router.Signal{Source: "s", Federation: "demo", Event: "e", Kind: wire.Kind(kind), Data: data}
		limits := filter.Limits{Work: 20_000}
		before := string(data)
		compiled := 0
		for _, field := range append(filter.Settable(), "when") {
			when, set := "", map[string]string{field: text}
			if field == "when" {
				when, set = text, nil
			}
			f, err := filter.Compile(when, set, limits)
			if err != nil {
				checkError(t, text, err)
				continue
			}
			compiled++
			out, _, err := f.Signal(s)
			checkError(t, text, err)
			if len(out.Data) > wire.MaxEventData || len(out.Event) > wire.MaxEventData {
				t.Errorf("a result of %d bytes", len(out.Data))
			}
			_, _, err = f.Stream(router.StreamInfo{Source: "s", Event: "e", Name: string(data), Path: text, Size: -1})
			checkError(t, text, err)
		}
		if string(data) != before {
			t.Error("the data was changed")
		}
	})
}

func checkError(t *testing.T, text string, err error) {
	if err == nil {
		return
	}
	var errs filter.Errors
	var e *filter.Error
	switch {
	case errors.As(err, &errs):
		e = errs[0]
	case !errors.As(err, &e):
		t.Fatalf("%T: %v", err, err)
	}
	if e.Offset < 0 || e.Offset > len(text) || e.Column != 1+utf8.RuneCountInString(text[:e.Offset]) {
		t.Errorf("offset %d, column %d of %d bytes", e.Offset, e.Column, len(text))
	}
	if len(e.Msg) == 0 || len(e.Msg) > 1000 || !utf8.ValidString(e.Msg) {
		t.Errorf("message %q", e.Msg)
	}
	for _, r := range e.Msg {
		if !unicode.IsPrint(r) {
			t.Errorf("message %q", e.Msg)
		}
	}
}
