package config

import (
	"embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// goSource are the files with the structs of tables.
//
//go:embed admin.go connection.go hub.go parts.go routes.go tests.go
var goSource embed.FS

// readComments reads the comments of all structs that tables are decoded into,
// and of their fields, by package path, type and field with dots between. The
// files of Go are what says about a key what it means; as they are embedded, it
// cannot be said otherwise elsewhere.
func (s *schemer) readComments(kinds Kinds) error {
	s.comments = map[string]string{}
	own, err := goSource.ReadDir(".")
	if err != nil {
		return err
	}
	for _, file := range own {
		text, err := goSource.ReadFile(file.Name())
		if err != nil {
			return err
		}
		if err := s.readGo(reflect.TypeFor[Hub]().PkgPath(), string(text)); err != nil {
			return err
		}
	}
	var parts []any
	for _, kind := range kinds.Sources {
		parts = append(parts, kind())
	}
	for _, kind := range kinds.Sinks {
		parts = append(parts, kind())
	}
	for _, part := range parts {
		if c, ok := part.(Commented); ok {
			if err := s.readGo(reflect.TypeOf(part).Elem().PkgPath(), c.GoSource()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *schemer) readGo(packagePath, text string) error {
	file, err := parser.ParseFile(token.NewFileSet(), "", text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("read the comments of package %s: %w", packagePath, err)
	}
	for _, d := range file.Decls {
		general, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			t, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			name := packagePath + "." + t.Name.Name
			s.comments[name] = general.Doc.Text()
			if structure, ok := t.Type.(*ast.StructType); ok {
				for _, field := range structure.Fields.List {
					for _, ident := range field.Names {
						s.comments[name+"."+ident.Name] = field.Doc.Text()
					}
				}
			}
		}
	}
	return nil
}

// comment returns what is said about a table.
func (s *schemer) comment(t reflect.Type) string {
	return forKeys(s.comments[t.PkgPath()+"."+t.Name()], t.Name(), "it")
}

// fieldComment returns what is said about a field of a table.
func (s *schemer) fieldComment(t reflect.Type, f reflect.StructField) string {
	for _, i := range f.Index[:len(f.Index)-1] { // through embedded structs
		t = t.Field(i).Type
	}
	return forKeys(s.comments[t.PkgPath()+"."+t.Name()+"."+f.Name], f.Name, "`"+f.Tag.Get("toml")+"`")
}

// forKeys makes of a comment about something in Go one about a key: "MaxOpen is
// how many" becomes "How many", and "Events say that" becomes "`events` say that".
// What follows the first paragraph is for programmers.
func forKeys(comment, name, key string) string {
	comment, _, _ = strings.Cut(comment, "\n\n")
	comment = strings.Join(strings.Fields(comment), " ")
	rest, ok := strings.CutPrefix(comment, name+" ")
	if !ok {
		return comment
	}
	for _, verb := range []string{"is ", "are "} {
		if said, ok := strings.CutPrefix(rest, verb); ok && !strings.HasPrefix(said, "that ") {
			first, size := utf8.DecodeRuneInString(said)
			return string(unicode.ToUpper(first)) + said[size:]
		}
	}
	return key + " " + rest
}
