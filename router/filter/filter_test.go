package filter_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/filter"
)

var noLimits filter.Limits

func normal(text string) router.Signal {
	return router.Signal{
		Source: "incoming", Federation: "demo", Event: "alarms.fire", Kind: wire.NormalEvent,
		Tick: 7, Data: wire.AppendString(nil, text),
	}
}

func changeObject(c wire.ChangeObjectData, rest ...byte) router.Signal {
	return router.Signal{
		Event: "objects", Kind: wire.ChangeObjectWithData, Flags: wire.Priority,
		Data: append(wire.AppendChangeObject(nil, c), rest...),
	}
}

func compile(t testing.TB, when string, set map[string]string) *filter.Filter {
	t.Helper()
	f, err := filter.Compile(when, set, noLimits)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFields(t *testing.T) {
	alarm := normal(`{"level": 4, "id": 9007199254740993, "share": 0.5, "tags": ["a", "b"]}`)
	plain := normal("hello")
	object := changeObject(wire.ChangeObjectData{Action: wire.ActionDelete, ObjectID: -3, Attribute: "speed"}, 1, 2)
	short := changeObject(wire.ChangeObjectData{})
	short.Data = short.Data[:5]
	utf8 := router.Signal{Event: "bare", Kind: wire.NormalEvent, Data: []byte("bare text")}
	binary := router.Signal{Event: "bare", Kind: wire.NormalEvent, Data: []byte{0xFF, 0xFE, 0x00}}
	ansi := normal("caf\xe9")
	line := router.Signal{Kind: wire.LogWriteLn, Data: wire.AppendLogLine(nil, wire.LogLine{Line: "text"})}

	for _, test := range []struct {
		signal router.Signal
		when   string
	}{
		{alarm, `event == "alarms.fire" && federation == "demo" && full_event == "demo.alarms.fire"`},
		{alarm, `source == "incoming" && kind == "normal" && tick == 7 && !priority`},
		{alarm, `(json?.level ?? 0) >= 3`},
		{alarm, `json.level == 4 && json.level / 2 == 2 && string(json.level) == "4"`},
		{alarm, `json.id == 9007199254740993`}, // a float64 would be one less
		{alarm, `json.share == 0.5 && json.tags[1] == "b" && "a" in json.tags`},
		{alarm, `json.none == nil && json?.none?.deeper == nil`},
		{alarm, `any(json.tags, # == "b") && all(json.tags, len(#) == 1) && count(json.tags, # > "a") == 1`},
		{alarm, `text startsWith "{" && size == len(data) && stream == "" && path == "" && mtime.IsZero()`},
		{alarm, `text matches "level.*[0-9]" && !(text matches "^x")`},
		{alarm, `action == "" && object_id == 0 && attribute == ""`},
		{alarm, `now.Year() >= 2020`},
		{plain, `text == "hello" && json == nil && (json?.level ?? 0) == 0`},
		{normal("[1] [2]"), `json == nil`},
		{normal(`3.0`), `json == 3`},
		{normal(`1e400`), `json > 1e300`},
		{normal(``), `text == "" && json == nil && size == 4`},
		{object, `kind == "change_object_data" && action == "delete" && object_id == -3 && attribute == "speed"`},
		{object, `priority && text == "" && json == nil && federation == "" && full_event == "objects"`},
		{object, `data[-1] == 2`},
		{short, `action == "" && object_id == 0 && attribute == "" && size == 5`},
		{utf8, `text == "bare text"`},
		{binary, `text == "" && json == nil && size == 3`},
		{ansi, `len(text) == 4 && text startsWith "caf"`},
		{line, `kind == "log" && text == ""`},
		{router.Signal{Kind: 200}, `kind == "200"`},
		{changeObject(wire.ChangeObjectData{Action: 9}), `action == "9"`},
	} {
		_, pass, err := compile(t, test.when, nil).Signal(test.signal)
		if !pass || err != nil {
			t.Errorf("%s: %v, %v", test.when, pass, err)
		}
	}
}

func TestFieldsOfStreams(t *testing.T) {
	modified := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	file := router.StreamInfo{
		Source: "outbox", Federation: "demo", Event: "files", Name: "in/a.csv", Path: "in/a.csv",
		Size: 1 << 40, ModTime: modified, Tick: 3, Flags: wire.Priority,
	}
	for _, when := range []string{
		`kind == "stream" && stream == "in/a.csv" && path == stream && size == 1099511627776`,
		`event == "files" && full_event == "demo.files" && source == "outbox" && tick == 3 && priority`,
		`text == "" && json == nil && len(data) == 0 && action == "" && object_id == 0 && attribute == ""`,
		`mtime.Year() == 2026 && now > mtime && mtime < date("2026-03-02")`,
	} {
		if _, pass, err := compile(t, when, nil).Stream(file); !pass || err != nil {
			t.Errorf("%s: %v, %v", when, pass, err)
		}
	}
	unknown := router.StreamInfo{Size: -1}
	if _, pass, err := compile(t, `size == -1 && path == "" && mtime.IsZero()`, nil).Stream(unknown); !pass || err != nil {
		t.Error(pass, err)
	}
}

func TestSetSignal(t *testing.T) {
	type set = map[string]string
	big := changeObject(wire.ChangeObjectData{Action: wire.ActionNew, ObjectID: 5, Attribute: "speed"}, 1, 2, 3)
	for _, test := range []struct {
		name   string
		in     router.Signal
		set    set
		change func(*router.Signal) // what is expected to be different
	}{
		{"event", normal("x"), set{"event": `"tno." + event`}, func(s *router.Signal) { s.Event = "tno.alarms.fire" }},
		{"federation", normal("x"), set{"federation": `""`}, func(s *router.Signal) { s.Federation, s.Redirected = "", true }},
		{"tick and priority", normal("x"), set{"tick": `tick - 8`, "priority": `true`},
			func(s *router.Signal) { s.Tick, s.Flags = -1, wire.Priority }},
		{"priority off, other flags kept", router.Signal{Flags: wire.Priority | 0x400}, set{"priority": `false`},
			func(s *router.Signal) { s.Flags = 0x400 }},
		{"text", normal("fire"), set{"text": `upper(text) + "!"`}, func(s *router.Signal) { s.Data = wire.AppendString(nil, "FIRE!") }},
		{"text of bare UTF-8", router.Signal{Kind: wire.NormalEvent, Data: []byte("fire")}, set{"text": `text`},
			func(s *router.Signal) { s.Data = wire.AppendString(nil, "fire") }},
		{"data", normal("x"), set{"data": `"bare"`}, func(s *router.Signal) { s.Data = []byte("bare") }},
		{"data of bytes", normal("x"), set{"data": `data[:2]`}, func(s *router.Signal) { s.Data = s.Data[:2] }},
		{"data and text", normal("x"), set{"data": `"bare"`, "text": `"last"`},
			func(s *router.Signal) { s.Data = wire.AppendString(nil, "last") }},
		{"all see the incoming message", normal("x"), set{"event": `"a"`, "text": `event + text`},
			func(s *router.Signal) { s.Event, s.Data = "a", wire.AppendString(nil, "alarms.firex") }},
		{"json", normal(`{"b": 1, "a": [true]}`), set{"text": `toJSON({"was": json, "n": json.b + 1})`},
			func(s *router.Signal) { s.Data = wire.AppendString(nil, `{"n":2,"was":{"a":[true],"b":1}}`) }},
		{"object", big, set{"action": `"change"`, "object_id": `object_id * 2`, "attribute": `attribute + "!"`},
			func(s *router.Signal) {
				s.Data = append(wire.AppendChangeObject(nil,
					wire.ChangeObjectData{Action: wire.ActionChange, ObjectID: 10, Attribute: "speed!"}), 1, 2, 3)
			}},
		{"action by number", big, set{"action": `"-7"`}, func(s *router.Signal) {
			s.Data = append(wire.AppendChangeObject(nil, wire.ChangeObjectData{Action: -7, ObjectID: 5, Attribute: "speed"}), 1, 2, 3)
		}},
		{"what the kind does not have", normal("x"), set{"action": `"new"`, "object_id": `1`, "attribute": `"a"`, "stream": `"s"`},
			func(*router.Signal) {}},
		{"nor is it evaluated", big, set{"text": `upper(json.message)`}, func(*router.Signal) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := string(test.in.Data)
			got, pass, err := compile(t, "", test.set).Signal(test.in)
			if err != nil || !pass {
				t.Fatal(pass, err)
			}
			want := test.in
			test.change(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if string(test.in.Data) != before {
				t.Error("the incoming data was changed")
			}
		})
	}
}

func TestSetStream(t *testing.T) {
	in := router.StreamInfo{Federation: "demo", Event: "files", Name: "a.csv", Path: "a.csv", Size: 3}
	f := compile(t, `stream endsWith ".csv"`, map[string]string{
		"event": `event + "." + source`, "federation": `"other"`, "stream": `"x/" + path`, "tick": `size`, "priority": `true`,
		"text": `json.none.none`, "data": `json.none.none`, "action": `json.none.none`,
	})
	in.Source = "outbox"
	got, pass, err := f.Stream(in)
	if err != nil || !pass {
		t.Fatal(pass, err)
	}
	want := in
	want.Event, want.Federation, want.Redirected = "files.outbox", "other", true
	want.Name, want.Tick, want.Flags = "x/a.csv", 3, wire.Priority
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	in.Name = "a.txt"
	if _, pass, err := f.Stream(in); pass || err != nil {
		t.Error("another stream passes", err)
	}
}

// What a filter gives must not change when the caller uses its buffer again.
func TestResultsOutliveTheBuffer(t *testing.T) {
	in := normal("the text")
	got, _, err := compile(t, "", map[string]string{"event": "text", "federation": "text[4:]", "text": "text"}).Signal(in)
	if err != nil {
		t.Fatal(err)
	}
	clear(in.Data)
	if got.Event != "the text" || got.Federation != "text" || string(got.Data) != string(normal("the text").Data) {
		t.Errorf("%+v", got)
	}

	in = normal("not a number")
	_, _, err = compile(t, "int(text) > 3", nil).Signal(in)
	if err == nil {
		t.Fatal("no error")
	}
	before := err.Error()
	clear(in.Data)
	if after := err.Error(); !strings.Contains(before, "not a number") || after != before {
		t.Errorf("%q, then %q", before, after)
	}
}

// An expression that appends must not write behind the data.
func TestDataHasNoRoom(t *testing.T) {
	buffer := []byte("data|and what follows it")
	f := compile(t, `len(now.AppendFormat(data, "2006")) == 8`, nil)
	if _, pass, err := f.Signal(router.Signal{Kind: wire.Buffer, Data: buffer[:4]}); !pass || err != nil {
		t.Fatal(pass, err)
	}
	if string(buffer) != "data|and what follows it" {
		t.Errorf("%q", buffer)
	}
}

func TestCompileErrors(t *testing.T) {
	for _, test := range []struct {
		when, set string // set is that of the field before the colon
		want      string
	}{
		{when: `text contains`, want: `when: ends too early; something is missing here (at column 13 of the expression)`},
		{when: `evnt == "a"`, want: `when: unknown name "evnt" (at column 1 of the expression)`},
		{when: `kind == "ä" && tixt == ""`, want: `when: unknown name "tixt" (at column 16 of the expression)`},
		{when: `text`, want: `when: must give true or false, not a string (at column 1 of the expression)`},
		{when: `size`, want: `when: must give true or false, not a number (at column 1 of the expression)`},
		{when: `nil`, want: `when: must give true or false, not nil (at column 1 of the expression)`},
		{when: ` `, want: `when: is empty (at column 1 of the expression)`},
		{when: `size > "a"`, want: `when: ">" does not work between a number and a string (at column 6 of the expression)`},
		{when: `upper(size) == "A"`, want: `when: upper needs a string, not a number (at column 7 of the expression)`},
		{when: `upper() == "A"`, want: `when: not enough arguments to call upper (at column 1 of the expression)`},
		{when: `text matches "("`, want: "when: error parsing regexp: missing closing ): `(` (at column 6 of the expression)"},
		{when: `text matches text`, want: `when: the pattern of matches must be a text in quotes (at column 14 of the expression)`},
		{when: `reduce(json, # + #acc) > 3`, want: `when: the function reduce is not available here (at column 1 of the expression)`},
		{when: `sum(json) > 3`, want: `when: the function sum is not available here (at column 1 of the expression)`},
		{when: `$env.text == ""`, want: `when: $env is not available here (at column 1 of the expression)`},
		{when: `size % 0 == 1 % 0`, want: `when: integer divide by zero (at column 15 of the expression)`},
		{when: strings.Repeat("(", 20000), want: `when: is longer than 16384 bytes (at column 1 of the expression)`},
		{when: strings.Repeat("!", 1001) + "true", want: `when: holds more than 1000 names, constants and operators (at column 1005 of the expression)`},
		{when: `kind = "normal"`, want: `when: unexpected "="; compare with == (at column 6 of the expression)`},
		{when: `size === 3`, want: `when: unexpected "="; compare with == (at column 8 of the expression)`},
		{when: `size > 3 AND priority`, want: `when: unexpected "AND"; write && (at column 10 of the expression)`},
		{when: `size > 3 Or priority`, want: `when: unexpected "Or"; write || (at column 10 of the expression)`},
		{when: `size > 3 & priority`, want: `when: unexpected "&"; write && (at column 10 of the expression)`},
		{when: `kind == “normal”`, want: `when: unexpected "“"; write straight quotes: " (at column 9 of the expression)`},
		{when: `kind == "normal`, want: `when: a text has no quote at its end (at column 16 of the expression)`},
		{when: `not size`, want: `when: "not" does not work on a number (at column 1 of the expression)`},
		{set: `event:files`, want: `set.event: unknown name "files"; a text needs quotes of its own: '"files"' (at column 1 of the expression)`},
		{set: `event:alarms.fire`, want: `set.event: unknown name "alarms"; a text needs quotes of its own: '"alarms.fire"' (at column 1 of the expression)`},
		{set: `event:demo-files`, want: `set.event: unknown name "demo"; a text needs quotes of its own: '"demo-files"' (at column 1 of the expression)`},
		{set: `text:hello world`, want: `set.text: unexpected "world"; a text needs quotes of its own: '"hello world"' (at column 7 of the expression)`},
		{set: `text:upper(txt)`, want: `set.text: unknown name "txt" (at column 7 of the expression)`},
		{set: `tick:four`, want: `set.tick: unknown name "four" (at column 1 of the expression)`},
		{set: `event:""`, want: `set.event: gives an empty name (at column 1 of the expression)`},
		{set: `tick:5000000000`, want: `set.tick: gives 5000000000, which does not fit 32 bits (at column 1 of the expression)`},
		{set: `action:"remove"`, want: `set.action: gives "remove", which is none of "new", "delete", "change" or a number (at column 1 of the expression)`},
		{set: `event:size`, want: `set.event: must give a string, not a number (at column 1 of the expression)`},
		{set: `tick:"1"`, want: `set.tick: must give a whole number, not a string (at column 1 of the expression)`},
		{set: `tick:size / 2`, want: `set.tick: must give a whole number, not a number that may not be whole (int() makes it whole) (at column 1 of the expression)`},
		{set: `tick:now - now`, want: `set.tick: must give a whole number, not a duration (at column 1 of the expression)`},
		{set: `priority:1`, want: `set.priority: must give true or false, not a number (at column 1 of the expression)`},
		{set: `data:now`, want: `set.data: must give bytes or a string, not a time (at column 1 of the expression)`},
		{set: `text:["a"]`, want: `set.text: must give a string, not a list (at column 1 of the expression)`},
		{set: `text:data`, want: `set.text: must give a string, not bytes (at column 1 of the expression)`},
		{set: `size:1`, want: `set.size: there is no such field to set (at column 1 of the expression)`},
	} {
		set := map[string]string{}
		if name, text, ok := strings.Cut(test.set, ":"); ok {
			set[name] = text
		}
		_, err := filter.Compile(test.when, set, noLimits)
		var errs filter.Errors
		if !errors.As(err, &errs) || len(errs) != 1 {
			t.Errorf("%s%s: %v", test.when, test.set, err)
			continue
		}
		if errs[0].Error() != test.want {
			t.Errorf("%s%s:\n got %s\nwant %s", test.when, test.set, errs[0], test.want)
		}
	}
}

func TestCompileTellsEveryError(t *testing.T) {
	_, err := filter.Compile(`ä + tixt`, map[string]string{"event": `size`, "txt": `""`, "text": `lower(1)`}, noLimits)
	var errs filter.Errors
	if !errors.As(err, &errs) || len(errs) != 4 {
		t.Fatal(err)
	}
	got := map[string]filter.Error{}
	for _, e := range errs {
		got[e.Field] = *e
	}
	want := map[string]filter.Error{
		"when":      {Field: "when", Column: 1, Msg: `unknown name "ä"`, Name: "ä"},
		"set.event": {Field: "set.event", Column: 1, Msg: "must give a string, not a number"},
		"set.text":  {Field: "set.text", Offset: 6, Column: 7, Msg: "lower needs a string, not a number"},
		"set.txt":   {Field: "set.txt", Column: 1, Msg: "there is no such field to set"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRunErrors(t *testing.T) {
	for _, test := range []struct {
		signal    router.Signal
		when, set string
		want      string
	}{
		{normal("x"), `json.level > 3`, ``, `when: cannot take "level" from nil; where it may be absent, write (json?.level ?? 0) (at column 6 of the expression)`},
		{normal("{}"), `json.level >= 3`, ``, `when: ">=" does not work between nil and a number; where it may be absent, write (json?.level ?? 0) (at column 12 of the expression)`},
		{normal("x"), `json?.level > 3`, ``, `when: ">" does not work between nil and a number; where it may be absent, write (json?.level ?? 0) (at column 13 of the expression)`},
		{normal("{}"), `3 < json.pump.level`, ``, `when: cannot take "level" from nil; where it may be absent, write (json?.pump?.level ?? 0) (at column 15 of the expression)`},
		{normal("x"), `json[0] == 3`, ``, `when: cannot take "0" from nil; where it may be absent, write json?.[0] (at column 5 of the expression)`},
		{normal("{}"), `json.what + "!" == ""`, ``, `when: "+" does not work between nil and a string; where it may be absent, write (json?.what ?? "") (at column 11 of the expression)`},
		{normal("{}"), `upper(json.what) == ""`, ``, `when: needs a string, not nil; where it may be absent, write (json?.what ?? "") (at column 1 of the expression)`},
		{normal("{}"), `any(json.tags, # == "a")`, ``, `when: does not work on nil; where it may be absent, write (json?.tags ?? []) (at column 1 of the expression)`},
		{normal("[{}]"), `any(json, #.level > 3)`, ``, `when: ">" does not work between nil and a number; where it may be absent, write (#?.level ?? 0) (at column 19 of the expression)`},
		{normal("{}"), `not json.urgent`, ``, `when: needs true or false, not nil; where it may be absent, write (json?.urgent ?? false) (at column 1 of the expression)`},
		{normal("{}"), `-json.level == 3`, ``, `when: "-" does not work on nil; where it may be absent, write (json?.level ?? 0) (at column 1 of the expression)`},
		{normal("{}"), ``, `text:json.what`, `set.text: must give a string, gives nil; where it may be absent, write json?.what ?? "" (at column 1 of the expression)`},
		{normal(`{"level": "4"}`), `json.level > 3`, ``, `when: ">" does not work between a string and a number (at column 12 of the expression)`},
		{normal(`{"pump": 3}`), `json.pump.level > 3`, ``, `when: cannot take "level" from a number (at column 11 of the expression)`},
		{normal("3"), `json`, ``, `when: must give true or false, gives a number (at column 1 of the expression)`},
		{normal("x"), `json`, ``, `when: must give true or false, gives nil; where it may be absent, write json ?? false (at column 1 of the expression)`},
		{normal("é"), `"é" != "e" && int(text) == 3`, ``, `when: invalid operation: int(é) (at column 15 of the expression)`},
		{normal(`{"n": 3}`), `upper(json.n) == ""`, ``, `when: needs a string, not a number (at column 1 of the expression)`},
		{normal("\x1b[2J\r\n"), `int(text) == 3`, ``, "when: invalid operation: int(\uFFFD[2J\uFFFD\uFFFD) (at column 1 of the expression)"},
		{normal("{}"), ``, `event:json.name ?? ""`, `set.event: gives an empty name (at column 1 of the expression)`},
		{normal("x"), ``, `tick:1 << 40`, ``},
		{normal("x"), ``, `tick:bitshl(1, 40)`, `set.tick: gives 1099511627776, which does not fit 32 bits (at column 1 of the expression)`},
		{normal("2.5"), ``, `tick:json`, `set.tick: must give a whole number, gives a number that may not be whole (int() makes it whole) (at column 1 of the expression)`},
		{normal("x"), ``, `text:json`, `set.text: must give a string, gives nil; where it may be absent, write json ?? "" (at column 1 of the expression)`},
		{changeObject(wire.ChangeObjectData{}), ``, `action:"re" + lower("MOVE")`,
			`set.action: gives "remove", which is none of "new", "delete", "change" or a number (at column 1 of the expression)`},
		{router.Signal{Kind: wire.ChangeObject, Data: []byte{1}}, ``, `attribute:"a"`,
			`set.attribute: malformed IMB payload: an int32 needs 4 bytes, 1 left (at column 1 of the expression)`},
	} {
		set := map[string]string{}
		if name, text, ok := strings.Cut(test.set, ":"); ok {
			set[name] = text
		}
		f, err := filter.Compile(test.when, set, noLimits)
		if test.want == "" {
			if err == nil {
				t.Errorf("%s%s compiles", test.when, test.set)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		out, pass, err := f.Signal(test.signal)
		var e *filter.Error
		if pass || !errors.As(err, &e) || !errors.Is(err, router.ErrPermanent) {
			t.Errorf("%s%s: %v, %v", test.when, test.set, pass, err)
			continue
		}
		if e.Error() != test.want {
			t.Errorf("%s%s:\n got %s\nwant %s", test.when, test.set, e, test.want)
		}
		if diff := cmp.Diff(test.signal, out); diff != "" {
			t.Errorf("%s%s: the signal was changed\n%s", test.when, test.set, diff)
		}
	}
}

// A message of a failed evaluation does not carry the whole message.
func TestErrorsAreShort(t *testing.T) {
	_, _, err := compile(t, `int(text) == 3`, nil).Signal(normal(strings.Repeat("é", 1<<20)))
	if err == nil || len(err.Error()) > 500 {
		t.Errorf("%.600v", err)
	}
}

func TestSets(t *testing.T) {
	f := compile(t, "", map[string]string{"event": `"a." + "b"`, "text": `text`})
	for _, test := range []struct {
		name     string
		constant string
		isConst  bool
		sets     bool
	}{{"event", "a.b", true, true}, {"text", "", false, true}, {"tick", "", false, false}} {
		constant, isConst, sets := f.Sets(test.name)
		if constant != test.constant || isConst != test.isConst || sets != test.sets {
			t.Errorf("Sets(%q) = %q, %v, %v", test.name, constant, isConst, sets)
		}
	}
}

func TestName(t *testing.T) {
	n, err := filter.CompileName(`event + "/" + stream`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := n.Of(router.StreamInfo{Event: "files", Name: "a"}); got != "files/a" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := filter.CompileName(`size`); err == nil || err.Error() != "filename: must give a string, not a number (at column 1 of the expression)" {
		t.Error(err)
	}
	n, err = filter.CompileName(`json.name`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := n.Of(router.StreamInfo{}); got != "" || !errors.Is(err, router.ErrPermanent) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	f := compile(t, `any(json.tags, # == event)`, map[string]string{"event": `text + "/" + event`})
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			in := normal(fmt.Sprintf(`{"tags": ["x", "alarms.fire"], "i": %d}`, i))
			for range 200 {
				out, pass, err := f.Signal(in)
				if want := string(in.Data[4:]) + "/alarms.fire"; err != nil || !pass || out.Event != want {
					t.Errorf("%v, %v, %q, want %q", pass, err, out.Event, want)
					return
				}
			}
		})
	}
	running.Wait()
}

// Signals that come together become what each becomes alone, and what one became is
// not changed by those after it.
func TestBatch(t *testing.T) {
	signals := []router.Signal{
		normal(`{"level": 4}`), normal(`{"level": 1}`), normal(`{"level": "high"}`), normal("none"), normal(`{"level": 7}`),
		{Event: "e", Kind: wire.TimerTick, Tick: 9},
	}
	for when, set := range map[string]map[string]string{
		`(json?.level ?? 0) >= 3`: nil,
		`tick < 9`:                {"text": `string(json?.level) + "!"`, "tick": "tick + 1"},
		``:                        {"event": `event + "." + string(json.level * 2)`},
	} {
		f := compile(t, when, set)
		type result struct {
			Out  router.Signal
			Pass bool
			Err  string
		}
		var want, got []result
		for _, s := range signals {
			out, pass, err := f.Signal(s)
			if !pass {
				out = router.Signal{}
			}
			want = append(want, result{out, pass, fmt.Sprint(err)})
		}
		outs := make([]router.Signal, len(signals))
		batch := f.Begin()
		if !f.Passage().Busy() {
			t.Error("nobody is said to be in the filter")
		}
		for i := range signals {
			pass, err := batch.Signal(&signals[i], &outs[i])
			if !pass {
				outs[i] = router.Signal{}
			}
			got = append(got, result{Pass: pass, Err: fmt.Sprint(err)})
		}
		batch.End()
		if f.Passage().Busy() {
			t.Error("somebody is left in the filter")
		}
		for i := range got {
			got[i].Out = outs[i]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("when %q: (-alone +together)\n%s", when, diff)
		}
	}
}

func TestFieldNames(t *testing.T) {
	for _, name := range filter.Fields() {
		if _, err := filter.Compile(name+` == nil || true`, nil, noLimits); err != nil {
			t.Error(err)
		}
	}
	if len(filter.Fields()) != 18 || len(filter.Settable()) != 10 {
		t.Error(filter.Fields(), filter.Settable())
	}
}

// TestNothingIsLeftOfTheMessageBefore has one filter look at messages of all kinds in
// every order: what it sees is the message's own.
func TestNothingIsLeftOfTheMessageBefore(t *testing.T) {
	f := compile(t, "", map[string]string{
		"event": `[text, string(json), kind, action, string(object_id), attribute, full_event, stream, path, string(priority)] | join("|")`,
	})
	event := func(n int) string {
		signals := []router.Signal{
			{Event: "a", Federation: "f", Kind: wire.NormalEvent, Data: wire.AppendString(nil, "1"), Flags: wire.Priority},
			{Event: "b", Kind: wire.NormalEvent, Data: wire.AppendString(nil, "text")},
			{Event: "c", Kind: wire.ChangeObject, Data: wire.AppendChangeObject(nil, wire.ChangeObjectData{
				Action: wire.ActionNew, ObjectID: 5, Attribute: "colour",
			})},
			{Event: "d", Kind: wire.TimerTick},
		}
		if n < len(signals) {
			out, _, err := f.Signal(signals[n])
			if err != nil {
				t.Fatal(err)
			}
			return out.Event
		}
		out, _, err := f.Stream(router.StreamInfo{Event: "e", Name: "name", Path: "path"})
		if err != nil {
			t.Fatal(err)
		}
		return out.Event
	}
	want := []string{
		"1|1|normal||0||f.a|||true",
		"text|<nil>|normal||0||b|||false",
		"|<nil>|change_object|new|5|colour|c|||false",
		"|<nil>|timer_tick||0||d|||false",
		"|<nil>|stream||0||e|name|path|false",
	}
	for first := range want {
		for second := range want {
			for _, n := range []int{first, second} {
				if got := event(n); got != want[n] {
					t.Errorf("after %d, %d: got %s, want %s", first, second, got, want[n])
				}
			}
		}
	}
}
