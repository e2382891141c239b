package config

import (
	"errors"
	"slices"
	"strings"

	"imbrouter/router"
	"imbrouter/router/filter"
)

// routeTable is a table [routes.NAME]: what goes from which sources to which sinks.
type routeTable struct {
	// From are the names of the sources. Required.
	From []string `toml:"from"`
	// To are the names of the sinks. Each gets every message, and fails by
	// itself. Required.
	To []string `toml:"to"`
	// When is an expression that decides which messages the route takes.
	// Default all.
	When string `toml:"when"`
	// Set has an expression for each field that the route sets.
	Set map[string]string `toml:"set"`
	// MaxWork bounds what each expression may cost on one message. From 1 to
	// 1000000000, default 1000000.
	MaxWork int `toml:"max_work"`
	// LoopGuard says what happens when the same message comes from a hub again
	// and again: "warn" tells of it, "stop" makes the route take nothing more
	// until a reload, "off" does not look. Default "warn".
	LoopGuard router.LoopGuard `toml:"loop_guard"`
	// LogLevel is that of the least important lines about the route to show:
	// "debug", "info", "warn" or "error". Default that of the log.
	LogLevel string `toml:"log_level"`
}

// maxWork is some minutes of work for one message.
const maxWork = 1_000_000_000

// route is a route with what the search for loops needs. Its names exist.
type route struct {
	routeTable
	name   string
	filter *filter.Filter // nil when it has neither When nor Set
	broken bool           // an expression does not compile
}

// routes reads the tables of all routes, and returns those that can be
// followed.
func (l *loader) routes() (all []route) {
	table := l.table(l.root, "routes")
	if _, defined := l.root["routes"]; !defined && !l.unread["routes"] && l.config.Hub == nil {
		l.problem(0, "there is no route; add [routes.NAME] with from = [\"…\"] and to = [\"…\"]")
	}
	names := sortedKeys(table)
	slices.SortStableFunc(names, func(a, b string) int {
		return l.placeOf("routes", a).start - l.placeOf("routes", b).start
	})
	for _, name := range names {
		own := l.table(table, "routes", name)
		if own == nil {
			continue
		}
		l.checkName("routes", name)
		r := route{name: name, routeTable: routeTable{MaxWork: filter.DefaultWork, LoopGuard: router.LoopGuardWarn}}
		c := &Check{l.document, l.config, []string{"routes", name}, own}
		l.decode(own, c.path, &r.routeTable)
		Range(c, "max_work", r.MaxWork, 1, maxWork)
		c.OneOf("loop_guard", string(r.LoopGuard),
			string(router.LoopGuardWarn), string(router.LoopGuardStop), string(router.LoopGuardOff))
		level := c.LogLevel("log_level", r.LogLevel)
		r.From = l.references(c, "from", r.From, "sources")
		r.To = l.references(c, "to", r.To, "sinks")
		before := len(l.problems)
		r.filter = l.compile(c, r.routeTable)
		r.broken = len(l.problems) > before
		all = append(all, r)

		built := router.Route{Name: name, From: r.From, To: r.To, LoopGuard: r.LoopGuard, LogLevel: level}
		if r.filter != nil {
			built.Filter = r.filter
		}
		l.config.Routes = append(l.config.Routes, built)
	}
	return all
}

// references returns those names of a list that stand for something.
func (l *loader) references(c *Check, key string, names []string, section string) (found []string) {
	if len(names) == 0 {
		c.Missing(key)
	}
	table, _ := l.root[section].(map[string]any)
	for i, name := range names {
		_, ok := table[name]
		switch {
		case !isText(c.table[key], i), !ok && l.unread[section]: // already told of
		case len(table) == 0:
			l.problem(c.item(key, i), "%s: there are no %s; add %s", key, section, header([]string{section, name}))
		case !ok:
			l.problem(c.item(key, i), "%s: there is no %s %q%s",
				key, strings.TrimSuffix(section, "s"), name, suggest(name, sortedKeys(table), section))
		case slices.Contains(names[:i], name):
			l.problem(c.item(key, i), "%s: %q stands here twice; remove one", key, name)
		default:
			found = append(found, name)
		}
	}
	return found
}

// isText tells whether item i of a list is text.
func isText(list any, i int) bool {
	items, _ := list.([]any)
	if i >= len(items) {
		return false
	}
	_, ok := items[i].(string)
	return ok
}

// compile compiles the expressions of a route.
func (l *loader) compile(c *Check, r routeTable) *filter.Filter {
	if c.Defined("when") && r.When == "" {
		c.Errorf("when", "is empty; remove it to take every message")
	}
	set := c.at("set")
	c.claim("set").fields = filter.Settable()
	for _, name := range sortedKeys(r.Set) {
		if !slices.Contains(filter.Settable(), name) {
			l.problem(l.placeOf(append(set, name)...).name, "%s has no field %q%s",
				header(set), name, suggest(name, filter.Settable(), "fields"))
			delete(r.Set, name)
		}
	}
	if r.When == "" && len(r.Set) == 0 {
		return nil
	}
	f, err := filter.Compile(r.When, r.Set, filter.Limits{Work: r.MaxWork})
	var errs filter.Errors
	if !errors.As(err, &errs) {
		l.checkNames(c, f)
		return f
	}
	for _, e := range errs { // of "when" or "set.FIELD"
		l.expression(c.at(strings.Split(e.Field, ".")...), e)
	}
	return nil
}

// checkNames reports names that a route sets for every message and that no hub
// takes.
func (l *loader) checkNames(c *Check, f *filter.Filter) {
	for _, name := range []struct {
		field string
		fault func(string) string
	}{
		{"event", func(event string) string { return publishedFault(event, event) }},
		{"federation", federationFault},
	} {
		if constant, isConstant, _ := f.Sets(name.field); isConstant {
			if fault := name.fault(constant); fault != "" {
				l.problem(l.placeOf(c.at("set", name.field)...).value, "%s: %s", name.field, fault)
			}
		}
	}
}
