package trial

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"imbrouter/router"
	"imbrouter/router/config"
)

// Test runs a test, and returns what comes out in another way than expected,
// for people; "" when nothing does.
func Test(cfg *config.Config, t config.Test) string {
	var got []arrival
	var refused, failures []refusal
	refuse := func(r refusal) {
		if IsFailure(r.why) {
			failures = append(failures, r)
		} else {
			refused = append(refused, r)
		}
	}
	for _, o := range Run(cfg, t.Given) {
		if t.Route != "" && o.Route.Name != t.Route {
			continue
		}
		if o.Refusal != nil {
			refuse(refusal{o.Route.Name, o.Route.To, o.Refusal})
		}
		for _, l := range o.Landings {
			if l.Refusal != nil {
				refuse(refusal{o.Route.Name, []string{l.Sink}, l.Refusal})
				continue
			}
			got = append(got, arrival{o.Route.Name, l, fieldsOf(o.Out, l.Target)})
		}
	}
	return reportFailures(t.Fails, failures) + report(t.Expect, got, refused)
}

// reportFailures tells of expressions that fail, or of none where one is to.
func reportFailures(wanted bool, failures []refusal) string {
	if wanted && len(failures) == 0 {
		return "no expression fails on it, as `fails` says\n"
	}
	var b strings.Builder
	for _, f := range failures {
		if !wanted {
			fmt.Fprintf(&b, "route %q fails on it: %v\n", f.route, f.why)
		}
	}
	return b.String()
}

// arrival is a message that has come to a sink.
type arrival struct {
	route string
	Landing
	fields []field
}

// refusal is why sinks of a route got nothing.
type refusal struct {
	route string
	sinks []string
	why   error
}

// field is one of a message, with its value as Show shows it.
type field struct{ name, value string }

// fieldsOf returns the fields of a message in a sink.
func fieldsOf(m Message, t config.Target) []field {
	if t.Event == "" { // the sink is no hub
		t.Federation, t.Event = m.Field("federation").(string), m.Field("event").(string)
	}
	fields := []field{
		{"event", Show(t.Event)}, {"federation", Show(t.Federation)},
		{"full_event", Show(router.FullName(t.Federation, t.Event))}, {"file", Show(t.File)},
	}
	for _, name := range []string{"kind", "stream", "text", "data", "tick", "priority", "action", "object_id", "attribute"} {
		value := m.Field(name)
		if m.Stream != nil && (name == "text" || name == "data") {
			value = m.Body
		}
		fields = append(fields, field{name, Show(value)})
	}
	return fields
}

// wanted returns the fields that are said, in the order of fieldsOf.
func wanted(e config.Expected) (fields []field) {
	add(&fields, "event", e.Event)
	add(&fields, "federation", e.Federation)
	add(&fields, "full_event", e.FullEvent)
	add(&fields, "file", e.File)
	add(&fields, "kind", e.Kind)
	add(&fields, "stream", e.Stream)
	add(&fields, "text", e.Text)
	add(&fields, "data", e.Data)
	add(&fields, "tick", e.Tick)
	add(&fields, "priority", e.Priority)
	add(&fields, "action", e.Action)
	add(&fields, "object_id", e.ObjectID)
	add(&fields, "attribute", e.Attribute)
	return fields
}

func add[T any](fields *[]field, name string, value *T) {
	if value != nil {
		*fields = append(*fields, field{name, Show(*value)})
	}
}

// differences returns in which fields an arrival is not what is expected.
func (a arrival) differences(e config.Expected) (all []difference) {
	for _, want := range wanted(e) {
		i := slices.IndexFunc(a.fields, func(f field) bool { return f.name == want.name })
		if got := a.fields[i].value; got != want.value {
			all = append(all, difference{want.name, want.value, got})
		}
	}
	return all
}

type difference struct{ field, want, got string }

// report tells what differs.
func report(expect []config.Expected, got []arrival, refused []refusal) string {
	of := assign(expect, got)
	taken := make([]bool, len(got))
	for _, i := range of {
		if i >= 0 {
			taken[i] = true
		}
	}
	var b strings.Builder
	for i, e := range expect {
		if of[i] >= 0 {
			continue
		}
		// What is most like it, of what nobody expects.
		nearest, least := -1, 0
		for j, a := range got {
			if n := len(a.differences(e)); a.Sink == e.Sink && !taken[j] && (nearest < 0 || n < least) {
				nearest, least = j, n
			}
		}
		if nearest < 0 {
			missing(&b, e, refused)
			continue
		}
		taken[nearest] = true
		fmt.Fprintf(&b, "sink %q gets something else by route %q:\n", e.Sink, got[nearest].route)
		for _, d := range got[nearest].differences(e) {
			want, have := around(d.want, d.got)
			fmt.Fprintf(&b, "  %-10s want %s\n  %-10s got  %s\n", d.field, want, "", have)
		}
	}
	for i, a := range got {
		if !taken[i] && !a.LooksOn() {
			fmt.Fprintf(&b, "sink %q gets what is not expected, by route %q:\n", a.Sink, a.route)
			for _, f := range a.fields {
				if f.value != Show("") && f.value != "0" && f.value != "false" && f.name != "data" && f.name != "full_event" {
					value, _ := around(f.value, f.value)
					fmt.Fprintf(&b, "  %-10s %s\n", f.name, value)
				}
			}
		}
	}
	return b.String()
}

func missing(b *strings.Builder, e config.Expected, refused []refusal) {
	fmt.Fprintf(b, "sink %q gets nothing", e.Sink)
	separator := " with"
	for _, f := range wanted(e) {
		value, _ := around(f.value, f.value)
		fmt.Fprintf(b, "%s %s %s", separator, f.name, value)
		separator = ","
	}
	fmt.Fprintln(b)
	for _, r := range refused {
		if slices.Contains(r.sinks, e.Sink) {
			fmt.Fprintf(b, "  route %q: %v\n", r.route, r.why)
		}
	}
}

// assign finds for each expectation an arrival of its own that meets it, or −1,
// so that as many as can be have one.
func assign(expect []config.Expected, got []arrival) (of []int) {
	of = slices.Repeat([]int{-1}, len(expect))
	owner := slices.Repeat([]int{-1}, len(got))
	for i := range expect {
		give(i, expect, got, of, owner, make([]bool, len(got)))
	}
	return of
}

// give finds an arrival for expectation i, for which others may have to change
// theirs.
func give(i int, expect []config.Expected, got []arrival, of, owner []int, tried []bool) bool {
	for j, a := range got {
		if tried[j] || a.Sink != expect[i].Sink || len(a.differences(expect[i])) > 0 {
			continue
		}
		tried[j] = true
		if owner[j] < 0 || give(owner[j], expect, got, of, owner, tried) {
			of[i], owner[j] = j, i
			return true
		}
	}
	return false
}

// maxShown is how much of two long values, in bytes, is shown from a little
// before where they differ.
const maxShown = 100

// around cuts two values to where they differ.
func around(want, got string) (string, string) {
	same := 0
	for same < min(len(want), len(got)) && want[same] == got[same] {
		same++
	}
	if want == got {
		same = 0
	}
	from := max(0, same-maxShown/4)
	cut := func(s string) string {
		if len(s) <= maxShown {
			return s
		}
		end := ""
		if len(s) > from+maxShown {
			s, end = s[:from+maxShown], "…"
		}
		if from > 0 {
			s = "…" + s[from:]
		}
		return strings.ToValidUTF8(s, "") + end
	}
	return cut(want), cut(got)
}

// Show returns a value of an expression as people read it, in one line and
// without what would upset a terminal.
func Show(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string, []byte:
		return fmt.Sprintf("%q", v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case bool, int, int32, int64, float64, fmt.Stringer:
		return fmt.Sprint(v)
	}
	var b strings.Builder
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	if err := out.Encode(v); err != nil { // infinite numbers, keys that are no text
		return fmt.Sprintf("%q", fmt.Sprint(v))
	}
	quoted := strconv.Quote(strings.TrimSuffix(b.String(), "\n"))
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}
