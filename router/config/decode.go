package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// decode fills a struct with the values of a table, by its `toml` tags, and
// notes every key that it does not know and every value of a wrong type. Into
// points to the struct; handled are further keys, which others read.
//
// Fields may be strings, booleans, whole numbers, times,
// encoding.TextUnmarshalers, structs, pointers to these, which stay nil when the
// key is not there, and slices and maps of all of them.
func (d *document) decode(table map[string]any, path []string, into any, handled ...string) {
	rv := reflect.ValueOf(into).Elem()
	d.defaults[written(path)] = reflect.ValueOf(rv.Interface())
	fields := map[string]reflect.Value{}
	known := slices.Clone(handled)
	for _, f := range reflect.VisibleFields(rv.Type()) {
		if name := f.Tag.Get("toml"); name != "" {
			fields[name] = rv.FieldByIndex(f.Index)
			known = append(known, name)
		}
	}
	for _, name := range sortedKeys(table) {
		key := append(slices.Clone(path), name)
		place := d.placeOf(key...)
		if field, ok := fields[name]; ok {
			before := len(d.problems)
			d.decodeValue(table[name], key, place.value, field)
			d.unread[toml.Key(key).String()] = len(d.problems) > before
		} else if !slices.Contains(handled, name) {
			d.unknownKey(table, path, name, known)
		}
	}
}

// unknownKey notes a key of a table that is none of those known. The one that it
// was most likely meant to be is not missed as well.
func (d *document) unknownKey(table map[string]any, path []string, name string, known []string) {
	in := ""
	if len(path) > 0 {
		in = " in " + header(path)
	}
	key := append(slices.Clone(path), name)
	d.problem(d.placeOf(key...).name, "unknown key %q%s%s", name, in, suggest(name, known, "keys"))
	meant := nearest(name, known)
	if _, given := table[meant]; meant != "" && !given {
		d.unread[toml.Key(append(slices.Clone(path), meant)).String()] = true
	}
}

// decodeValue sets a field to a value, which is of one of the decoder's types
// and stands at that offset. A value of a wrong type leaves it as it is.
func (d *document) decodeValue(v any, path []string, offset int, into reflect.Value) {
	key := path[len(path)-1]
	wrong := func() {
		d.problem(offset, "%s must be %s, not %s", key, wanted(into.Type()), describe(v))
	}
	if text, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if t, ok := v.(time.Time); ok && into.Type() == reflect.TypeOf(t) {
			into.Set(reflect.ValueOf(t))
		} else if s, ok := v.(string); !ok {
			wrong()
		} else if err := text.UnmarshalText([]byte(s)); errors.As(err, new(*time.ParseError)) {
			wrong()
		} else if err != nil {
			d.problem(offset, "%s: %v", key, err)
		}
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		value := reflect.New(into.Type().Elem())
		before := len(d.problems)
		if d.decodeValue(v, path, offset, value.Elem()); len(d.problems) == before {
			into.Set(value)
		}
	case reflect.String, reflect.Bool:
		if rv := reflect.ValueOf(v); rv.Kind() == into.Kind() {
			into.Set(rv.Convert(into.Type()))
		} else {
			wrong()
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		if n, ok := v.(int64); !ok {
			wrong()
		} else if into.OverflowInt(n) {
			d.problem(offset, "%s: %d does not fit %d bits", key, n, into.Type().Bits())
		} else {
			into.SetInt(n)
		}
	case reflect.Slice:
		list := reflect.ValueOf(v)
		if list.Kind() != reflect.Slice {
			wrong()
			return
		}
		items := d.placeOf(path...).items
		into.Set(reflect.MakeSlice(into.Type(), list.Len(), list.Len()))
		for i := range list.Len() {
			at := offset
			if i < len(items) {
				at = items[i]
			}
			value, of := list.Index(i).Interface(), path
			if _, isTable := value.(map[string]any); isTable {
				of = item(path, i)
			}
			d.decodeValue(value, of, at, into.Index(i))
		}
	case reflect.Map:
		table, ok := v.(map[string]any)
		if !ok {
			wrong()
			return
		}
		into.Set(reflect.MakeMap(into.Type()))
		for name, elem := range table {
			key := append(slices.Clone(path), name)
			value := reflect.New(into.Type().Elem()).Elem()
			before := len(d.problems)
			if d.decodeValue(elem, key, d.placeOf(key...).value, value); len(d.problems) == before {
				into.SetMapIndex(reflect.ValueOf(name), value)
			}
		}
	case reflect.Struct:
		if table, ok := v.(map[string]any); ok {
			d.decode(table, path, into.Addr().Interface())
		} else {
			wrong()
		}
	default:
		panic(fmt.Sprintf("config: no file can fill a field of type %v", into.Type()))
	}
}

// header returns how a table is named in messages, as the text has it: without
// the numbers of items.
func header(path []string) string {
	name := "[" + written(path) + "]"
	if strings.HasPrefix(path[len(path)-1], itemMark) {
		name = "[" + name + "]"
	}
	return name
}

// written returns a path as the text has it.
func written(path []string) string {
	return toml.Key(slices.DeleteFunc(slices.Clone(path), func(part string) bool { return strings.HasPrefix(part, itemMark) })).String()
}

// wanted describes what a field takes.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return `a duration with its unit in quotes, such as "5s"`
	case reflect.TypeFor[time.Time]():
		return "a time, such as 2026-05-04T03:02:01Z"
	case reflect.TypeFor[Size]():
		return `a size with its unit in quotes, such as "10MiB"`
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return "a list of tables, such as [{ … }, { … }]"
		}
		return "a list in brackets, such as [\"a\", \"b\"]"
	case reflect.Map, reflect.Struct:
		return "a table"
	default:
		return "text in quotes"
	}
}

// describe tells what kind of value a file holds.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) > maxGuessed {
			return "text"
		}
		return fmt.Sprintf("the text %q", v)
	case bool:
		return fmt.Sprint(v)
	case int64, float64:
		return fmt.Sprintf("the number %v", v)
	case time.Time:
		return "a date or time"
	case map[string]any:
		return "a table"
	default:
		return "a list"
	}
}
