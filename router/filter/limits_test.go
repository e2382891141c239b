package filter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/filter"
)

const tooMuch = "takes too much work or memory on this message"

// What would run for ever or eat all memory ends as an error.
func TestWorkIsBounded(t *testing.T) {
	numbers := normal("[" + strings.Repeat("7,", 2000) + "7]")
	texts := normal(`["` + strings.Repeat(`ab","`, 2000) + `"]`)
	long := normal(strings.Repeat("a", 1<<19))
	// A value at the bottom of many lists, and many values beside it: an
	// indented form of it would take gigabytes.
	deep := normal(strings.Repeat("[", 9000) + strings.Repeat("1,", 1<<12) + "1" + strings.Repeat("]", 9000))

	for _, test := range []struct {
		name   string
		signal router.Signal
		when   string
	}{
		{"nested loops", numbers, `all(json, all(json, true))`},
		{"nested loops over a range", numbers, `any(1..10000, any(1..10000, # < 0))`},
		{"nested loops in braces", numbers, `all(json, {let x = #; all(json, {let y = #; x == y})})`},
		{"a loop in a pipe", numbers, `(json | filter(any(json, # > 7)) | count(# > 0)) > 3`},
		{"long lists made in a loop", numbers, `len(map(json, json)) > 0 && len(map(json, map(json, #))) > 0`},
		{"range", numbers, `len(1..100000000) > 3`},
		{"text that doubles", long, `let a = text + text; let b = a + a; let c = b + b; let d = c + c; let e = d + d; len(e + e) > 3`},
		{"text that doubles in JSON", long, `let a = fromJSON("\"" + text + "\""); let b = a + a; let c = b + b; let d = c + c; d + d == ""`},
		{"text that grows by each term", long, "text" + strings.Repeat("+text", 200) + ` == ""`},
		{"text that grows in a loop", long, `len(map(1..100000, "x" + text)) > 3`},
		{"texts that are kept", long, `len(map(1..100000, upper(text))) > 3`},
		{"search in a loop", long, `all(1..100000, not (text contains "b"))`},
		{"search in a loop, the other way", long, `all(1..100000, not ("b" contains text) && not (text contains text + "b"))`},
		{"pattern in a loop", long, `all(1..100000, not (text matches "b"))`},
		{"pattern in a loop over bytes", long, `all(1..100000, not (data matches "b"))`},
		{"large pattern", long, `text matches "(a?){400}b"`},
		{"comparison in a loop", long, `let t = lower(text); all(1..100000, t == text)`},
		{"order in a loop", long, `let t = lower(text); all(1..100000, t <= text)`},
		{"prefix in a loop", long, `let t = lower(text); all(1..100000, t startsWith text)`},
		{"membership in a loop", texts, `all(json, "c" not in json)`},
		{"function in a loop", long, `all(1..100000, len(text) > 3)`},
		{"method in a loop", long, `all(1..100000, now.Format(text) != "")`},
		{"method by name", long, `let f = now.Format; all(1..100000, f(text) != "")`},
		{"lists that double", numbers, doubling + `x30 == y30`},
		{"lists that double, in", numbers, doubling + `x30 in y30`},
		{"lists that double, as JSON", numbers, doubling + `toJSON(x30) == ""`},
		{"lists that double, as text", numbers, doubling + `string(x30) == ""`},
		{"lists that double, max", numbers, doubling + `max(x30) == 3`},
		{"deep lists as JSON", deep, `toJSON(json) != ""`},
		{"deep lists as text", deep, `string(json) != ""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := filter.Compile(test.when, nil, filter.Limits{Work: filter.DefaultWork / 8})
			if err != nil {
				t.Fatal(err)
			}
			_, pass, err := f.Signal(test.signal)
			var e *filter.Error
			if !errors.As(err, &e) || e.Msg != tooMuch {
				t.Errorf("%v, %v", pass, err)
			}
		})
	}
}

// doubling makes lists of 2^30 others, each of which holds the one before twice.
var doubling = func() string {
	var b strings.Builder
	for _, list := range "xy" {
		fmt.Fprintf(&b, "let %c0 = [size, size]; ", list)
		for i := range 30 {
			fmt.Fprintf(&b, "let %c%d = [%c%d, %c%d]; ", list, i+1, list, i, list, i)
		}
	}
	return b.String()
}()

func TestResultsAreBounded(t *testing.T) {
	long := normal(strings.Repeat("a", 8<<20))
	for _, set := range []map[string]string{
		{"text": `text + text`},
		{"data": `text + text`},
		{"event": `text + text`},
		{"text": `replace(text, "a", "bb")`},
		{"text": `replace(text, "", text)`},
		{"text": `join(split(text[:100000], ""), text[:1000])`},
		{"text": `toJSON({"a": text[:6000000], "b": text[:6000000]})`},
	} {
		_, _, err := compile(t, "", set).Signal(long)
		var e *filter.Error
		if !errors.As(err, &e) || e.Msg != wire.ErrTooLarge.Error() && e.Msg != "gives more than 10485748 bytes" {
			t.Errorf("%v: %v", set, err)
		}
	}
	fits := normal("")
	fits.Data = make([]byte, wire.MaxEventData)
	if _, _, err := compile(t, "", map[string]string{"data": "data"}).Signal(fits); err != nil {
		t.Error(err)
	}
	object := changeObject(wire.ChangeObjectData{}, make([]byte, wire.MaxEventData-12)...)
	if _, _, err := compile(t, "", map[string]string{"attribute": `"a"`}).Signal(object); !strings.Contains(err.Error(), wire.ErrTooLarge.Error()) {
		t.Error(err)
	}
}

// What people write works on messages of every size that the wire carries.
func TestLargeMessagesPass(t *testing.T) {
	long := normal(strings.Repeat("a", wire.MaxEventData-5) + "b")
	medium := normal(strings.Repeat("a", 1<<20) + "b")
	list := normal(`[` + strings.Repeat(`{"level": 4, "name": "pump"},`, 20_000) + `{"level": 5, "name": "last"}]`)
	for _, test := range []struct {
		signal router.Signal
		when   string
	}{
		{long, `text contains "ab" && text endsWith "b" && not (text startsWith "b") && text != "b"`},
		{long, `text matches "b$" && not (text matches "^b")`},
		{medium, `text matches "a+b$"`},
		{long, `len(upper(text)) > 1000`},
		{long, `replace(text, "b", "c") endsWith "c" && text[:3] == "aaa" && indexOf(text, "b") > 3`},
		{list, `any(json, .level > 4)`},
		{list, `count(json, .name == "pump") == 20000`},
		{list, `map(filter(json, #.level > 4), #.name) == ["last"]`},
		{list, `find(json, .name contains "ast").level == json[-1].level`},
	} {
		t.Run(test.when, func(t *testing.T) {
			if _, pass, err := compile(t, test.when, nil).Signal(test.signal); !pass || err != nil {
				t.Error(pass, err)
			}
		})
	}
}

func TestWorkLimit(t *testing.T) {
	list := normal(`[` + strings.Repeat(`1,`, 99) + `1]`)
	for work, want := range map[int]bool{99: false, 101: true} {
		f, err := filter.Compile(`all(json, # == 1)`, nil, filter.Limits{Work: work})
		if err != nil {
			t.Fatal(err)
		}
		if _, pass, err := f.Signal(list); pass != want || (err == nil) != want {
			t.Errorf("%d: %v, %v", work, pass, err)
		}
	}
}
