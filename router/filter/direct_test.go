package filter

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/expr-lang/expr/ast"
)

// both returns what an expression gives directly, and by expr's machine.
func both(t *testing.T, e *expression, with env) (direct, machine bool) {
	t.Helper()
	ev := &evaluation{env: with, work: DefaultWork}
	ev.env.Meter = &ev.meter
	ev.vm.MemoryBudget = DefaultWork
	v, err := ev.value(e)
	if err != nil {
		t.Fatalf("%s: %v", e.text, err)
	}
	return e.direct(&with), v.flag
}

func TestDirect(t *testing.T) {
	messages := []env{
		{},
		{Event: "alarms", Federation: "tno", Text: "an alarm", Kind: "normal", Size: 8, Tick: -1, Priority: true},
		{Event: "b", Text: "b", Kind: "stream", Path: "a/b.csv", Stream: "b.csv", Size: -1, ObjectID: 3},
	}
	for text, isDirect := range map[string]bool{
		`text contains "alarm" && event startsWith "a"`: true,
		`event == "b" or kind != "normal"`:              true,
		`event == text`:                                 true,
		`event in ["alarms", "b"]`:                      true,
		`event not in ["alarms", "c"]`:                  true,
		`object_id in [1, 2, 3]`:                        true,
		`not (path endsWith ".csv")`:                    true,
		`text not contains "alarm"`:                     true,
		`size >= 8 && tick < 0`:                         true,
		`size > 2 * 3`:                                  true, // a constant by the time
		`priority`:                                      true,
		`!priority || event < "b"`:                      true,
		`priority == (event <= "b")`:                    true,
		`priority != true`:                              true,
		`true`:                                          true,
		`"a" + "b" == "ab"`:                             true,
		`event in []`:                                   false,
		`size < 1.5`:                                    false,
		`event matches "^a"`:                            false,
		`json?.level == 3`:                              false,
		`len(text) > 3`:                                 false,
		`size + 1 > 3 && priority`:                      false,
		`let x = event; x == "b"`:                       false,
	} {
		e, failure := compile("when", text, wantBool)
		if failure != nil {
			t.Fatal(failure)
		}
		if (e.direct != nil) != isDirect {
			t.Errorf("%s: is evaluated directly: %v", text, e.direct != nil)
		}
		for i := range messages {
			if e.direct == nil {
				break
			}
			if got, want := both(t, e, messages[i]); got != want {
				t.Errorf("%s: message %d gives %v, by the machine %v", text, i, got, want)
			}
		}
	}
}

// TestDirectKnowsAllFields keeps the fields of direct those of env.
func TestDirectKnowsAllFields(t *testing.T) {
	for field := range reflect.TypeFor[env]().Fields() {
		name := field.Tag.Get("expr")
		known := flagFields[name] != nil || numberFields[name] != nil || textFields[name] != nil
		switch field.Type {
		case reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[string]():
			if !known {
				t.Errorf("%q is not known", name)
			}
		default:
			if known {
				t.Errorf("%q is known, and is a %v", name, field.Type)
			}
		}
	}
}

// FuzzDirect writes expressions that are evaluated directly, as the bytes of a plan
// say, and compares what they give with what expr's machine does.
func FuzzDirect(f *testing.F) {
	f.Add([]byte{0, 3, 1, 1, 4, 2, 0, 9}, "alarms", "an alarm", 3, true)
	f.Add([]byte{1, 1, 2, 5, 0, 1, 0, 7, 3, 3, 1}, "a", "", -1, false)
	f.Add([]byte{2, 0, 6, 0, 4, 1, 2, 7, 8}, "é", "\xff", 0, true)
	f.Fuzz(func(t *testing.T, bytes []byte, event, text string, number int, priority bool) {
		p := plan{bytes: bytes, texts: []string{event, text, "", "a"}, numbers: []int{number, 0, 3}}
		e, failure := compile("when", p.test(4), wantBool)
		if failure != nil {
			t.Skip(failure) // such as an integer that is out of range
		}
		if e.direct == nil {
			t.Fatalf("%s: is not evaluated directly", e.text)
		}
		got, want := both(t, e, env{
			Event: event, Text: text, Path: event + text, Kind: "normal",
			Size: number, Tick: len(text), Priority: priority, Now: time.Now(),
		})
		if got != want {
			t.Errorf("%s: gives %v, by the machine %v", e.text, got, want)
		}
	})
}

// plan tells what to write in an expression, byte by byte.
type plan struct {
	bytes   []byte
	texts   []string
	numbers []int
}

func (p *plan) choose(n int) int {
	if len(p.bytes) == 0 {
		return 0
	}
	b := p.bytes[0]
	p.bytes = p.bytes[1:]
	return int(b) % n
}

func (p *plan) of(list ...string) string { return list[p.choose(len(list))] }

func (p *plan) test(depth int) string {
	if depth == 0 {
		return p.of("priority", "true", "false")
	}
	switch p.choose(7) {
	case 0:
		return fmt.Sprintf("(%s %s %s)", p.test(depth-1), p.of("&&", "||", "and", "or", "==", "!="), p.test(depth-1))
	case 1:
		return fmt.Sprintf("%s(%s)", p.of("!", "not "), p.test(depth-1))
	case 2:
		return fmt.Sprintf("(%s %s %s)", p.number(), p.of("==", "!=", "<", "<=", ">", ">="), p.number())
	case 3:
		return fmt.Sprintf("(%s in [%s, %s])", p.of("event", "text", "path", "kind"), p.text(true), p.text(true))
	case 4:
		return fmt.Sprintf("(%s in [%s, %s])", p.of("size", "tick"), p.of("0", "3", "8"), p.of("0", "3", "8"))
	case 5:
		return p.test(0)
	}
	operator := p.of("==", "!=", "<", "<=", ">", ">=", "contains", "startsWith", "endsWith", "not contains")
	return fmt.Sprintf("(%s %s %s)", p.text(false), operator, p.text(false))
}

func (p *plan) text(constant bool) string {
	if !constant && p.choose(2) == 0 {
		return p.of("event", "text", "path", "kind", "stream", "source")
	}
	return (&ast.StringNode{Value: p.of(p.texts...)}).String()
}

func (p *plan) number() string {
	if p.choose(2) == 0 {
		return p.of("size", "tick", "object_id")
	}
	return p.constant()
}

func (p *plan) constant() string {
	return (&ast.IntegerNode{Value: p.numbers[p.choose(len(p.numbers))]}).String()
}
