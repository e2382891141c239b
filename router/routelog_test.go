package router_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"imbrouter/router"
)

// Lines about a route go by its level, those of a part by the levels of the routes
// that use it, and all others by that of the log.
func TestRouteLog(t *testing.T) {
	var out bytes.Buffer
	levels := router.NewRouteLog(slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.MessageKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	levels.Follow([]router.Route{
		{Name: "quiet", From: []string{"a"}, To: []string{"x", "y", "z"}, LogLevel: new(slog.LevelError)},
		{Name: "loud", From: []string{"b"}, To: []string{"x"}, LogLevel: new(slog.LevelDebug)},
		{Name: "plain", From: []string{"c"}, To: []string{"y"}},
	})
	log := slog.New(levels)
	const all, fromInfo, errors = "DEBUG INFO ERROR", "INFO ERROR", "ERROR"
	for _, c := range []struct {
		name string
		log  *slog.Logger
		args []any
		want string // levels of the lines
		rest string // of each line
	}{
		{"a quiet route", log.With("route", "quiet"), nil, errors, "route=quiet"},
		{"a loud route", log.With("route", "loud"), []any{"source", "a"}, all, "route=loud source=a"},
		{"a route without a level", log.With("route", "plain"), nil, fromInfo, "route=plain"},
		{"a route named in the line", log, []any{"source", "a", "route", "loud"}, all, "source=a route=loud"},
		{"a quiet route named in the line", log, []any{"route", "quiet", "sink", "x"}, errors, "route=quiet sink=x"},
		{"a source of one route", log.With("source", "a"), nil, errors, "source=a route=quiet"},
		{"a source named in the line", log, []any{"source", "b"}, all, "source=b route=loud"},
		{"a sink of a quiet and a loud route", log.With("sink", "x"), nil, all, "sink=x"},
		{"a sink of a quiet route and one without a level", log.With("sink", "y"), nil, fromInfo, "sink=y"},
		{"a part that no route uses", log.With("sink", "unused"), nil, fromInfo, "sink=unused"},
		{"another route's source at a sink", log.With("sink", "z"), []any{"source", "b"}, errors, "sink=z source=b route=quiet"},
		{"no route", log.With("hub", "h"), []any{"path", "p"}, fromInfo, "hub=h path=p"},
		{"a group", log.With("source", "b").WithGroup("g"), []any{"k", 1}, all, "source=b g.k=1 g.route=loud"},
	} {
		out.Reset()
		c.log.Debug("", c.args...)
		c.log.Info("", c.args...)
		c.log.Error("", c.args...)
		want := ""
		for _, level := range strings.Fields(c.want) {
			want += "level=" + level + " " + c.rest + "\n"
		}
		if got := out.String(); got != want {
			t.Errorf("%s: the log has\n%swant\n%s", c.name, got, want)
		}
	}

	loud := log.With("route", "loud")
	levels.Follow(nil)
	if out.Reset(); loud.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("a route that is gone keeps its level")
	}
}
