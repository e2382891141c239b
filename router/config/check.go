package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/BurntSushi/toml"

	"imbrouter/router/filter"
)

// Check is what a part reports with what is wrong in its table, see Part. A
// message that it gets begins with what is wrong and ends with what to do; the
// position, the key and the line are added here.
//
// The methods for what many keys have in common also tell Schema what a key may
// hold, so they are called for every key, whether it is there or not.
type Check struct {
	document *document
	config   *Config
	path     []string // of the table
	table    map[string]any
}

// Reporter takes what is wrong with values, of the keys of a table or of flags
// that mean the same. Check is one.
type Reporter interface {
	// Defined tells whether a value was given.
	Defined(key string) bool
	// Errorf reports what is wrong with it.
	Errorf(key, format string, args ...any)
}

// Defined tells whether the table has a key.
func (c *Check) Defined(key string) bool {
	_, ok := c.table[key]
	return ok
}

// Required reports a key that the table does not have, and whose value may be
// empty.
func (c *Check) Required(key string) {
	c.claim(key).required = true
	if !c.Defined(key) && !c.unread(key) {
		c.document.problem(c.place(key).start, "%s needs the key %q", header(c.path), key)
	}
}

// Missing reports a required key that the table does not have. Of one that it
// has, it reports that the value is empty.
func (c *Check) Missing(key string) {
	c.claim(key).filled = true
	if c.Required(key); c.Defined(key) {
		c.Errorf(key, "must not be empty")
	}
}

// Errorf reports what is wrong with the value of a key, at its position, or at
// that of the table when the key is not there. It does nothing when the file
// has a value of a wrong type there, which has been reported.
func (c *Check) Errorf(key, format string, args ...any) {
	c.errorAt(c.place(key).value, key, format, args...)
}

// ItemErrorf is Errorf for item i, from 0, of a list.
func (c *Check) ItemErrorf(key string, i int, format string, args ...any) {
	c.errorAt(c.item(key, i), key, format, args...)
}

func (c *Check) errorAt(offset int, key, format string, args ...any) {
	if !c.unread(key) {
		c.document.problem(offset, "%s: %s", key, fmt.Sprintf(format, args...))
	}
}

// item returns where item i of a list stands.
func (c *Check) item(key string, i int) int {
	p := c.place(key)
	if i < len(p.items) {
		return p.items[i]
	}
	return p.value
}

// unread tells whether the value of a key is of a wrong type, or the key is
// misspelled, which has been reported.
func (c *Check) unread(key string) bool { return c.document.unread[toml.Key(c.at(key)).String()] }

// Expression reports an error of package filter about the expression that is
// the value of a key, at its place inside the expression. It does nothing for
// nil.
func (c *Check) Expression(key string, err error) {
	var errs filter.Errors
	if !errors.As(err, &errs) || c.unread(key) {
		return
	}
	for _, e := range errs {
		c.document.expression(c.at(key), e)
	}
}

// OneOf reports a value that is none of those allowed.
func (c *Check) OneOf(key, value string, allowed ...string) {
	c.claim(key).allowed = allowed
	if !slices.Contains(allowed, value) {
		c.Errorf(key, "%q is not known%s", value, suggest(value, allowed, "values"))
	}
}

// LogLevel returns the level of lines of the log that a value names; nil for "",
// unless that is what the file says.
func (c *Check) LogLevel(key, name string) *slog.Level {
	levels := []string{"debug", "info", "warn", "error"}
	c.claim(key).allowed = levels
	if name == "" && !c.Defined(key) {
		return nil
	}
	c.OneOf(key, name, levels...)
	level := new(slog.Level)
	// An unknown name has been reported: the zero level serves until then.
	_ = level.UnmarshalText([]byte(name))
	return level
}

// Range reports a value that is not within bounds.
func Range[T cmp.Ordered](r Reporter, key string, value, least, most T) {
	if c, ok := r.(*Check); ok { // flags are in no schema
		c.claim(key).least, c.claim(key).most = least, most
	}
	if value < least || value > most {
		r.Errorf(key, "must be from %v to %v", least, most)
	}
}

// NotNegative reports a duration below 0, which turns a limit off.
func (c *Check) NotNegative(key string, value Duration) {
	c.claim(key).least = Duration(0)
	if value < 0 {
		c.Errorf(key, "must not be negative; \"0s\" turns it off")
	}
}

// AtLeast reports a value that is too small.
func AtLeast[T cmp.Ordered](c *Check, key string, value, least T) {
	c.claim(key).least = least
	if value < least {
		c.Errorf(key, "must be at least %v", least)
	}
}

// Positive reports a duration that is none.
func (c *Check) Positive(key string, value Duration) {
	c.claim(key).least = Duration(1)
	if value <= 0 {
		c.Errorf(key, "must be longer than 0s")
	}
}

// Warnf notes what works but is hardly meant, at the place of a key's value.
func (c *Check) Warnf(key, format string, args ...any) {
	c.document.warn(c.place(key).value, "%s: %s", key, fmt.Sprintf(format, args...))
}

// ItemWarnf is Warnf for item i, from 0, of a list.
func (c *Check) ItemWarnf(key string, i int, format string, args ...any) {
	c.document.warn(c.item(key, i), "%s: %s", key, fmt.Sprintf(format, args...))
}

// Connection returns the name of the connection that a part uses: the one that
// its key "connection" names, or the only one there is when name is "". It
// returns "" after it has reported that there is none such.
func (c *Check) Connection(name string) string {
	const key = "connection"
	known := sortedKeys(c.config.Connections)
	switch {
	case slices.Contains(known, name):
		return name
	case c.unread(key), len(known) == 0 && c.document.unread["connections"]:
	case len(known) == 0:
		c.document.problem(c.place(key).value, "there is no connection to a hub; add [connections.local]%s", c.hubHint())
	case name != "":
		c.Errorf(key, "there is no connection %q%s", name, suggest(name, known, "connections"))
	case len(known) == 1:
		return known[0]
	default:
		c.document.problem(c.place(key).start, "%s needs the key %q, because there are several: %s", header(c.path), key, quoteAll(known))
	}
	return ""
}

// hubHint tells where a connection without an address goes.
func (c *Check) hubHint() string {
	if c.config.Hub != nil {
		return " for the hub of this file"
	}
	return ` with an address, such as address = "localhost:4000"`
}

// Federation returns the federation of a connection, "" for one that does not
// exist.
func (c *Check) Federation(connection string) string { return c.config.federation(connection) }

func (c *Config) federation(connection string) string {
	if found, ok := c.Connections[connection]; ok {
		return found.Federation
	}
	return ""
}

// at returns the path of a key in the table.
func (c *Check) at(key ...string) []string { return append(slices.Clone(c.path), key...) }

// claim returns what is asked of a key, for more to be noted. A Check without a
// document, which tests of a part may use, notes nothing.
func (c *Check) claim(key string) *claim {
	if c.document == nil {
		return &claim{}
	}
	return c.document.claim(c.at(key))
}

func (c *Check) place(key string) place { return c.document.placeOf(c.at(key)...) }

// expression notes what is wrong inside the expression that stands at a path.
func (d *document) expression(path []string, e *filter.Error) {
	offset := d.placeOf(path...).value
	column := ""
	text, _ := d.valueAt(path).(string)
	if inside, ok := d.inside(offset, text, e.Offset); ok {
		offset = inside
	} else {
		column = fmt.Sprintf(", at column %d of the expression", e.Column)
	}
	d.problem(offset, "%s: %s%s%s", path[len(path)-1], e.Msg, column, remedy(e))
}

// remedy returns the end of a message about an expression.
func remedy(e *filter.Error) string {
	hint := ""
	if e.Hint != "" {
		hint = "; " + e.Hint
	}
	if e.Name != "" && (e.Hint == "" || nearest(e.Name, filter.Fields()) != "") {
		hint += suggest(e.Name, filter.Fields(), "fields")
	}
	return hint
}

// ExpressionErrors tells what is wrong with an expression that stands by
// itself, as it would be told of one in a file. Other errors than those of
// package filter it returns as they are.
func ExpressionErrors(text string, err error) error {
	var errs filter.Errors
	var one *filter.Error
	switch {
	case errors.As(err, &errs):
	case errors.As(err, &one):
		errs = filter.Errors{one}
	default:
		return err
	}
	alone := newSource("expression", text)
	var problems Errors
	for _, e := range errs {
		problems = append(problems, alone.problemAt(e.Offset, "%s%s", e.Msg, remedy(e)))
	}
	return problems
}
