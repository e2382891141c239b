package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
)

// Schema returns a JSON Schema, draft 7, of configurations with parts of these
// kinds, for editors: it refuses nothing that Parse takes, and much of what Parse
// refuses. What a key may hold is what Parse and the parts' Check found out about
// it while they read a file that has each table once, so that a new key is in the
// schema by itself. What the schema says about a key is the comment of its field.
// It is an error when a key has none, or when a table is not in that file.
func Schema(kinds Kinds) ([]byte, error) {
	l, err := newLoader("", []byte(eachTable(kinds)))
	if err != nil {
		return nil, err
	}
	l.load(kinds) // with problems: every key that is required is missing
	s := &schemer{document: l.document}
	if err := s.readComments(kinds); err != nil {
		return nil, err
	}
	root := &schema{
		Schema: "http://json-schema.org/draft-07/schema#", Title: "Configuration of imbrouter",
		Type: "object", Properties: map[string]*schema{}, AdditionalProperties: false,
		Definitions: map[string]*schema{},
	}
	for _, name := range tables {
		switch {
		case name == "sources":
			root.Properties[name] = byType(s, root.Definitions, name, kinds.Sources)
		case name == "sinks":
			root.Properties[name] = byType(s, root.Definitions, name, kinds.Sinks)
		case s.defaults[name].IsValid() && isList(l.root[name]):
			root.Properties[name] = &schema{Type: "array", Items: s.table(name)}
		case s.defaults[name].IsValid():
			root.Properties[name] = s.table(name)
		case s.defaults[name+".NAME"].IsValid():
			root.Properties[name] = named(s.table(name + ".NAME"))
		default:
			s.missing = append(s.missing, fmt.Sprintf("eachTable does not have [%s]", name))
		}
	}
	if len(s.missing) > 0 {
		return nil, fmt.Errorf("config: the schema is not complete: %s", strings.Join(s.missing, "; "))
	}
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	err = out.Encode(root)
	return text.Bytes(), err
}

// eachTable returns a file that has each table, with no key but the type; those
// that are required in another also without it.
func eachTable(kinds Kinds) string {
	text := "[hub]\n[connections.NAME]\n[routes.NAME]\n[router]\n[admin]\n" +
		"[[tests]]\n[[tests]]\n[tests.given]\n[[tests.expect]]\n"
	for name := range kinds.Sources {
		text += fmt.Sprintf("[sources.%s]\ntype = %[1]q\n", name)
	}
	for name := range kinds.Sinks {
		text += fmt.Sprintf("[sinks.%s]\ntype = %[1]q\n", name)
	}
	return text
}

// schema is a JSON Schema, as far as it is needed here.
type schema struct {
	Schema               string             `json:"$schema,omitempty"`
	Ref                  string             `json:"$ref,omitempty"`
	Title                string             `json:"title,omitempty"`
	Description          string             `json:"description,omitempty"`
	Type                 string             `json:"type,omitempty"`
	Const                string             `json:"const,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	Default              any                `json:"default,omitempty"`
	Minimum              any                `json:"minimum,omitempty"`
	Maximum              any                `json:"maximum,omitempty"`
	MinLength            int                `json:"minLength,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	MinItems             int                `json:"minItems,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	Required             []string           `json:"required,omitempty"`
	PropertyNames        *schema            `json:"propertyNames,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	AdditionalProperties any                `json:"additionalProperties,omitempty"` // *schema or bool
	If                   *schema            `json:"if,omitempty"`
	Then                 *schema            `json:"then,omitempty"`
	AllOf                []*schema          `json:"allOf,omitempty"`
	AnyOf                []any              `json:"anyOf,omitempty"` // *schema or bool
	Definitions          map[string]*schema `json:"definitions,omitempty"`
}

// named is the schema of a table with a table for each name.
func named(each *schema) *schema {
	return &schema{Type: "object", PropertyNames: &schema{Pattern: plainName.String()}, AdditionalProperties: each}
}

func isList(v any) bool {
	_, ok := v.([]map[string]any)
	return ok
}

// byType is the schema of a section of parts, whose type says which keys each
// has. The schema of each type is put into definitions.
func byType[P Part](s *schemer, definitions map[string]*schema, section string, kinds map[string]func() P) *schema {
	types := sortedKeys(kinds)
	part := &schema{
		Type: "object", Required: []string{"type"},
		Properties: map[string]*schema{"type": {Description: "Which other keys there are depends on it.", Enum: types}},
	}
	for _, name := range types {
		key := section + "." + name
		definition := s.table(key)
		definition.Properties["type"] = &schema{}
		definitions[key] = definition
		ref := &schema{Ref: "#/definitions/" + key}
		is := &schema{Properties: map[string]*schema{"type": {Const: name}}, Required: []string{"type"}}
		part.AllOf = append(part.AllOf, &schema{If: is, Then: ref})
		part.AnyOf = append(part.AnyOf, ref)
	}
	// An if tells what is wrong at its place, where a oneOf can tell only that
	// something is. But taplo does not look at it for what it offers, only at the
	// anyOf, which refuses nothing.
	part.AnyOf = append(part.AnyOf, true)
	return named(part)
}

// schemer makes schemas of what is known of a document.
type schemer struct {
	*document
	comments map[string]string // see readComments
	missing  []string
}

// table is the schema of a table that was decoded.
func (s *schemer) table(path string) *schema { return s.structure(path, s.defaults[path]) }

func (s *schemer) structure(path string, v reflect.Value) *schema {
	table := &schema{
		Type: "object", Description: s.comment(v.Type()),
		Properties: map[string]*schema{}, AdditionalProperties: false,
	}
	for _, f := range reflect.VisibleFields(v.Type()) {
		key := f.Tag.Get("toml")
		if key == "" {
			continue
		}
		at := path + "." + key
		value := s.value(at, v.FieldByIndex(f.Index), s.asked(at))
		if value.Description = s.fieldComment(v.Type(), f); value.Description == "" {
			s.missing = append(s.missing, fmt.Sprintf("%s has no comment in an embedded file (field %s of %v)", at, f.Name, v.Type()))
		}
		if s.asked(at).required {
			table.Required = append(table.Required, key)
		}
		table.Properties[key] = value
	}
	return table
}

// value is the schema of a value that a file may give to a field, which has its
// default now.
func (s *schemer) value(path string, v reflect.Value, c *claim) *schema {
	if v.Kind() == reflect.Pointer {
		of := s.value(path, reflect.Zero(v.Type().Elem()), c)
		of.Default = nil
		return of
	}
	of := &schema{Enum: c.allowed}
	// A zero may stand for a default that is found out later.
	if !v.IsZero() || v.Kind() == reflect.Bool {
		of.Default = v.Interface()
	}
	switch _, isText := reflect.New(v.Type()).Interface().(encoding.TextUnmarshaler); {
	case isText:
		of.Type, of.Pattern = "string", pattern(v.Type(), c.least)
		if text, ok := of.Default.(fmt.Stringer); ok {
			of.Default = text.String()
		}
	case v.Kind() == reflect.String:
		of.Type = "string"
		if c.filled {
			of.MinLength = 1
		}
	case v.Kind() == reflect.Bool:
		of.Type = "boolean"
	case v.CanInt():
		of.Type, of.Minimum, of.Maximum = "integer", c.least, c.most
		if v.Kind() == reflect.Int32 && c.least == nil {
			of.Minimum, of.Maximum = math.MinInt32, math.MaxInt32
		}
	case v.Kind() == reflect.Slice:
		of.Type, of.Items = "array", s.value(path, reflect.Zero(v.Type().Elem()), &claim{})
		if c.filled {
			of.MinItems = 1
		}
	case v.Kind() == reflect.Map:
		of.Type = "object"
		each := s.value(path, reflect.Zero(v.Type().Elem()), &claim{})
		if of.AdditionalProperties = each; c.fields != nil {
			of.AdditionalProperties, of.Properties = false, map[string]*schema{}
			for _, field := range c.fields {
				of.Properties[field] = each
			}
		}
	case v.Kind() == reflect.Struct:
		of = s.structure(path, v)
	}
	return of
}

// asked returns what is asked of a key.
func (s *schemer) asked(path string) *claim {
	if c := s.claims[path]; c != nil {
		return c
	}
	return &claim{}
}

// pattern returns that of the text of a type, "" for any text.
func pattern(t reflect.Type, least any) string {
	switch zero := reflect.Zero(t).Interface(); {
	case t == reflect.TypeFor[Size]() && least != nil && least != zero:
		return positiveSizePattern
	case t == reflect.TypeFor[Size]():
		return sizePattern
	case t == reflect.TypeFor[Duration]() && least == nil:
		return durationPattern
	case t == reflect.TypeFor[Duration]() && least == zero:
		return unsignedDurationPattern
	case t == reflect.TypeFor[Duration]():
		return positiveDurationPattern
	}
	return ""
}
