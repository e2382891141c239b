package router

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
)

// RouteLog is a slog.Handler that shows lines about a route from the route's own
// LogLevel on, where it has one, and all other lines as the handler inside does.
// What a line is about its attribute "route", "source" or "sink" says. Lines of a
// source or sink are about the routes that use it: they are shown when one of
// these shows them, and where it is the only one they get its name.
type RouteLog struct {
	inside slog.Handler
	about  subject // of every line, by WithAttrs
	users  *atomic.Pointer[users]
}

// subject is what a line is about, such as the route "alarms".
type subject struct{ kind, name string }

// users are the routes, and by what they are and use.
type users struct {
	all []Route
	of  map[subject][]Route
}

// NewRouteLog returns a RouteLog without routes. The handler inside must write
// what it is given without a look at the level, as those of log/slog do.
func NewRouteLog(inside slog.Handler) *RouteLog {
	l := &RouteLog{inside: inside, users: new(atomic.Pointer[users])}
	l.Follow(nil)
	return l
}

// Follow makes all loggers with this handler go by these routes from now on.
func (l *RouteLog) Follow(routes []Route) {
	of := map[subject][]Route{}
	for _, r := range routes {
		of[subject{"route", r.Name}] = []Route{r}
		for _, name := range r.From {
			of[subject{"source", name}] = append(of[subject{"source", name}], r)
		}
		for _, name := range r.To {
			of[subject{"sink", name}] = append(of[subject{"sink", name}], r)
		}
	}
	l.users.Store(&users{routes, of})
}

// Enabled implements slog.Handler. What a line is about that tells so by itself
// only Handle can see.
func (l *RouteLog) Enabled(ctx context.Context, level slog.Level) bool {
	u := l.users.Load()
	if l.about.kind != "" {
		return l.shows(ctx, u.of[l.about], level)
	}
	return l.inside.Enabled(ctx, level) || l.shows(ctx, u.all, level)
}

// shows tells whether one of the routes shows lines of a level, or, where there is
// none, the handler inside.
func (l *RouteLog) shows(ctx context.Context, routes []Route, level slog.Level) bool {
	return len(routes) == 0 && l.inside.Enabled(ctx, level) || slices.ContainsFunc(routes, func(r Route) bool {
		if r.LogLevel != nil {
			return level >= *r.LogLevel
		}
		return l.inside.Enabled(ctx, level)
	})
}

// Handle implements slog.Handler.
func (l *RouteLog) Handle(ctx context.Context, record slog.Record) error {
	about := l.about
	record.Attrs(func(a slog.Attr) bool {
		about = about.or(a)
		return true
	})
	routes := l.users.Load().of[about]
	if about != l.about && !l.shows(ctx, routes, record.Level) || about.kind == "" && !l.inside.Enabled(ctx, record.Level) {
		return nil
	}
	if len(routes) == 1 && about.kind != "route" {
		record = record.Clone()
		record.AddAttrs(slog.String("route", routes[0].Name))
	}
	return l.inside.Handle(ctx, record)
}

// or returns what an attribute names, if it says more about what a line is about.
func (s subject) or(a slog.Attr) subject {
	if a.Key == "route" || s.kind == "" && (a.Key == "source" || a.Key == "sink") {
		return subject{a.Key, a.Value.String()}
	}
	return s
}

// WithAttrs implements slog.Handler.
func (l *RouteLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *l
	with.inside = l.inside.WithAttrs(attrs)
	for _, a := range attrs {
		with.about = with.about.or(a)
	}
	return &with
}

// WithGroup implements slog.Handler.
func (l *RouteLog) WithGroup(name string) slog.Handler {
	with := *l
	with.inside = l.inside.WithGroup(name)
	return &with
}
