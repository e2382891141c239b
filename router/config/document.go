package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// document is a text that is TOML, with the position of each key.
type document struct {
	source
	root     map[string]any
	places   map[string]place // by toml.Key.String
	problems []Problem
	warnings []Problem
	unread   map[string]bool // keys whose value is of a wrong type, or that are misspelled, likewise
	headers  map[string]int  // how many [[headers]] each array of tables has had so far, likewise
	// What Schema tells of tables and keys, by their names as written returns them.
	defaults map[string]reflect.Value // structs as they were before tables were decoded into them
	claims   map[string]*claim
}

// claim is what Check asks of the value of a key beside its type.
type claim struct {
	required    bool
	filled      bool     // must not be empty
	allowed     []string // nil for every one
	least, most any      // of the type of the value; nil for no bound
	fields      []string // of a table; nil for every one
}

func (d *document) claim(path []string) *claim {
	key := written(path)
	if d.claims[key] == nil {
		d.claims[key] = &claim{}
	}
	return d.claims[key]
}

// place tells, in offsets, where a key and its value stand in the text.
type place struct {
	start int // of a table with a header: its "["; else name
	name  int
	value int   // name, for a table that does not stand behind a "="
	items []int // of an array
}

// parseDocument decodes a text. The error is of type Errors: of what is no
// TOML, only the first fault can be told.
func parseDocument(path string, text []byte) (*document, error) {
	d := &document{
		source: newSource(path, strings.TrimPrefix(string(text), bom)),
		places: map[string]place{}, unread: map[string]bool{}, headers: map[string]int{},
		defaults: map[string]reflect.Value{}, claims: map[string]*claim{},
	}
	meta, err := decodeTOML(d.text, &d.root)
	if err != nil {
		offset, message := 0, err.Error()
		var at toml.ParseError
		if errors.As(err, &at) {
			offset, message = at.Position.Start, at.Message
		}
		return nil, Errors{d.problemAt(offset, "%s", syntaxMessage(message))}
	}
	// The two lists say the same in the same order.
	mentions := scan(d.text)
	for i, key := range meta.Keys() {
		d.locate(key, mentions[i])
	}
	if len(d.problems) > 0 {
		return nil, Errors(d.problems)
	}
	return d, nil
}

// locate notes where a key stands. The last of its parts are those that stand
// in the text; those before are of the table around it.
func (d *document) locate(key toml.Key, m mention) {
	before := len(key) - len(m.parts)
	var path toml.Key // with the items of arrays, which the decoder leaves out
	for i, part := range key {
		offset := m.parts[max(i-before, 0)]
		path = append(d.intoItem(path, offset), part)
		if i < before {
			continue
		}
		name := path.String()
		_, known := d.places[name]
		last := i == len(key)-1
		switch {
		case last && m.value < 0:
			here := place{start: m.start, name: offset, value: offset}
			if !strings.HasPrefix(d.text[m.start:], "[[") {
				d.places[name] = here
				break
			}
			if !known {
				d.places[name] = here
			}
			d.places[item(path, d.headers[name]).String()] = here
			d.headers[name]++
		case last && !known:
			d.places[name] = place{start: offset, name: offset, value: m.value, items: m.items}
			for i, at := range m.items {
				if d.text[at] == '{' {
					d.places[item(path, i).String()] = place{start: at, name: at, value: at}
				}
			}
		case !known:
			d.places[name] = place{start: offset, name: offset, value: offset}
		case last && d.text[m.value] != '{':
			// The decoder leaves out what is set to a value after it has been
			// a table: a.b = 1, a = 2.
			if _, isTable := d.valueAt(path).(map[string]any); isTable {
				d.problem(offset, "%s", secondTime(key[:i+1].String()))
			}
		}
	}
}

// intoItem adds to the path of an array the item that holds what stands at an
// offset, and nothing to another path.
func (d *document) intoItem(path toml.Key, offset int) toml.Key {
	name := path.String()
	if n := d.headers[name]; n > 0 {
		return item(path, n-1)
	}
	if items := d.places[name].items; len(items) > 0 {
		n, _ := slices.BinarySearch(items, offset+1) // items that start at offset or before
		return item(path, max(n-1, 0))
	}
	return path
}

// itemMark begins the part of a path that stands for an item of an array; the
// number of the item follows, from 0.
const itemMark = "#"

func item(path []string, n int) toml.Key {
	return append(slices.Clone(path), itemMark+strconv.Itoa(n))
}

// bom is what some editors put before a text in UTF-8.
const bom = "\uFEFF"

// syntaxMessage adds to what the decoder tells what to do about it.
func syntaxMessage(message string) string {
	if key, ok := strings.CutSuffix(message, " has already been defined."); ok {
		return secondTime(strings.Trim(strings.TrimPrefix(key, "Key "), "'"))
	}
	for _, fault := range []struct{ part, remedy string }{
		{"strings cannot contain newlines", "; close the quotes, or use ''' around text of several lines"},
		{"invalid escape", "; between 'single quotes' a backslash is a backslash"},
		{"invalid UTF-8", "; save the file as UTF-8"},
	} {
		if strings.Contains(message, fault.part) {
			message += fault.remedy
		}
	}
	return "this is not TOML: " + message
}

// decodeTOML makes an error of a bug in the decoder, and of a mark of UTF-16,
// which the decoder skips and the scanner does not.
func decodeTOML(text string, into any) (meta toml.MetaData, err error) {
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return meta, errors.New("the file is in UTF-16; save it as UTF-8")
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return toml.Decode(text, into)
}

func secondTime(key string) string {
	return fmt.Sprintf("%q stands here for the second time; remove one of the two", key)
}

// placeOf returns where a key stands, or else the table that it is missing in.
func (d *document) placeOf(path ...string) place {
	for n := len(path); n > 0; n-- {
		if p, ok := d.places[toml.Key(path[:n]).String()]; ok {
			if n < len(path) {
				p.name, p.value, p.items = p.start, p.start, nil
			}
			return p
		}
	}
	return place{}
}

// problem notes what is wrong at an offset of the text.
func (d *document) problem(offset int, format string, args ...any) {
	d.problems = append(d.problems, d.problemAt(offset, format, args...))
}

// warn notes what works but is hardly meant.
func (d *document) warn(offset int, format string, args ...any) {
	d.warnings = append(d.warnings, d.problemAt(offset, format, args...))
}

// inside returns the offset of the byte with that number in a string, whose
// value stands at an offset. It cannot tell when escapes make the two differ.
func (d *document) inside(value int, s string, n int) (offset int, ok bool) {
	start := value
	for _, quotes := range []string{`"""`, `'''`, `"`, `'`} {
		if strings.HasPrefix(d.text[value:], quotes) {
			start += len(quotes)
			if len(quotes) == 3 { // a newline right after them does not count
				rest := d.text[start:]
				start += len(rest) - len(strings.TrimPrefix(strings.TrimPrefix(rest, "\r"), "\n"))
			}
			break
		}
	}
	return start + n, strings.HasPrefix(d.text[start:], s)
}

// valueAt returns the value that stands at a path through tables, nil when none
// does.
func (d *document) valueAt(path []string) any {
	var v any = d.root
	for _, key := range path {
		switch in := v.(type) {
		case map[string]any:
			v = in[key]
		case []any, []map[string]any:
			list := reflect.ValueOf(in)
			v = nil
			if number, ok := strings.CutPrefix(key, itemMark); ok {
				if n, err := strconv.Atoi(number); err == nil && 0 <= n && n < list.Len() {
					v = list.Index(n).Interface()
				}
			}
		default:
			v = nil
		}
	}
	return v
}

// table returns what a table of tables holds at a path, nil when that is missing
// or no table, which is a problem.
func (d *document) table(parent map[string]any, path ...string) map[string]any {
	v, ok := parent[path[len(path)-1]]
	if !ok {
		return nil
	}
	table, ok := v.(map[string]any)
	if !ok {
		d.problem(d.placeOf(path...).value, "%s must be a table, not %s", header(path), describe(v))
	}
	return table
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
