package filter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/filter"
)

func TestExpression(t *testing.T) {
	signal := router.Signal{Event: "alarms", Kind: wire.NormalEvent, Data: wire.AppendString(nil, `{"level": 4, "of": [1.5]}`)}
	for text, want := range map[string]string{
		`event`:                       "alarms string",
		`json.level`:                  "4 int",
		`json.of[0]`:                  "1.5 float",
		`json.of`:                     "[1.5] list",
		`json`:                        "map[level:4 of:[1.5]] map",
		`json.none`:                   "<nil> nil",
		`level ?? 0`:                  "",
		`data[0]`:                     "25 uint8",
		`data`:                        fmt.Sprint(signal.Data) + " bytes",
		`mtime`:                       "0001-01-01 00:00:00 +0000 UTC time",
		`duration("3s")`:              "3s duration",
		`kind == "normal"`:            "true bool",
		`let n = json.level; n + 0.5`: "4.5 float",
	} {
		e, err := filter.CompileExpression(text)
		if want == "" {
			if err == nil {
				t.Errorf("%s compiles", text)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		v, err := e.Signal(signal)
		if got := fmt.Sprint(v, " ", filter.TypeName(v)); strings.Join(strings.Fields(got), " ") != want || err != nil {
			t.Errorf("%s gives %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestExpressionOnStream(t *testing.T) {
	e, err := filter.CompileExpression(`[kind, full_event, stream, path, size, mtime.Year()]`)
	if err != nil {
		t.Fatal(err)
	}
	v, err := e.Stream(router.StreamInfo{
		Federation: "demo", Event: "files", Name: "n", Path: "p", Size: 3, ModTime: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
	})
	if diff := cmp.Diff([]any{"stream", "demo.files", "n", "p", 3, 2026}, v); diff != "" || err != nil {
		t.Errorf("%v, %s", err, diff)
	}
}

func TestExpressionFails(t *testing.T) {
	_, err := filter.CompileExpression(`a +`)
	var errs filter.Errors
	if !errors.As(err, &errs) || errs[0].Field != "expression" {
		t.Errorf("%v", err)
	}
	e, err := filter.CompileExpression(`split(text, ",")[3]`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Signal(router.Signal{Kind: wire.NormalEvent, Data: wire.AppendString(nil, "a,b")})
	var failure *filter.Error
	if !errors.As(err, &failure) || failure.Column != 17 {
		t.Errorf("%v", err)
	}
}

func TestParts(t *testing.T) {
	signal := router.Signal{Event: "alarms", Kind: wire.NormalEvent, Data: wire.AppendString(nil, `{"level": 4}`)}
	eval := func(e *filter.Expression) (any, error) { return e.Signal(signal) }
	for condition, want := range map[string]string{
		`kind == "log"`: `
			kind == "log" false
			. kind normal`,
		`kind == "normal" && (json?.level ?? 0) >= 3`: `
			kind == "normal" && (json?.level ?? 0) >= 3 true
			. kind == "normal" true
			. . kind normal
			. (json?.level ?? 0) >= 3 true
			. . json?.level ?? 0 4`,
		`event == "x" && json.level == 4 || not (tick > 0)`: `
			event == "x" && json.level == 4 || not (tick > 0) true
			. event == "x" && json.level == 4 false
			. . event == "x" false
			. . . event alarms
			. . json.level == 4 -
			. not (tick > 0) true
			. . tick > 0 false
			. . . tick 0`,
		`json.a.b > 1 or priority`: `
			json.a.b > 1 or priority !
			. json.a.b > 1 !
			. . json.a.b !
			. priority -`,
		`let l = json.level; l > 3 && l < 5`:         `let l = json.level; l > 3 && l < 5 true`,
		`any([1, json.level], # > 3)`:                `any([1, json.level], # > 3) true`,
		`event in ["a", "alarms"]`:                   "event in [\"a\", \"alarms\"] true\n. event alarms",
		`this does not compile`:                      ``,
		`event startsWith "al" and -1 < -json.level`: "event startsWith \"al\" and -1 < -json.level false\n. event startsWith \"al\" true\n. . event alarms\n. -1 < -json.level false\n. . -json.level -4",
	} {
		var got []string
		for _, p := range filter.Parts(condition, eval) {
			value := fmt.Sprint(p.Value)
			switch {
			case p.Skipped:
				value = "-"
			case p.Err != nil:
				value = "!"
			}
			got = append(got, strings.Repeat(". ", p.Depth)+p.Text+" "+value)
		}
		var wanted []string
		for _, line := range strings.Split(want, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				wanted = append(wanted, line)
			}
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", condition, diff)
		}
	}
}
