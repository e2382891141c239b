package web

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"imbrouter/router/admin"
	"imbrouter/router/config"
)

const (
	// maxText and maxBrief are how much is shown of texts that others have
	// written, in characters: of a reason or a name, and of data.
	maxText  = 600
	maxBrief = 160
)

// view is the page. Its fields are as the templates want them.
type view struct {
	Config, Version string
	Mood            string // "good", "warn" or "bad"
	State           string // in a word or two
	Since           time.Time
	ReadOnly        bool

	Alerts []string
	Graph  graph

	Transfers     []transfer
	MoreTransfers int
	Depots        []depot
	MaxUpload     config.Size

	Failed      []failedSource
	Letters     []letter
	MoreLetters int

	Journal bool
	Files   []file

	Connections []admin.Connection
	Hub         *admin.Hub

	Taps []tapped

	Loaded time.Time
	Text   []configLine
}

type transfer struct {
	ID, Name, Event, Source string
	Done, Size              int64
	Shown, Rate, Left       string
}

// depot is a folder into which files can be dropped.
type depot struct{ Name, Folder string }

// tapped is a connection whose events can be shown.
type tapped struct{ Connection, Pattern string }

type configLine struct{ Kind, Text string } // Kind: "comment", "table" or ""

func (p *Page) view(s admin.Status) view {
	cfg := p.options.Daemon.Config()
	v := view{
		Config: filepath.Base(s.Config), Version: s.Version, Since: s.Started.Local(), ReadOnly: cfg.Admin.ReadOnly,
		Graph: p.graph(cfg, s), MoreTransfers: s.TransfersInAll - len(s.Transfers), MaxUpload: cfg.Admin.MaxUpload,
		Journal: cfg.Router.Journal, Files: p.latestFiles(), Connections: s.Connections, Hub: s.Hub,
		Loaded: s.Loaded.Local(), Text: configLines(cfg.Text),
	}
	v.Failed, v.Letters, v.MoreLetters = p.failed.list()
	v.MoreLetters -= len(v.Letters)
	for _, t := range s.Transfers {
		v.Transfers = append(v.Transfers, p.transfer(t))
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		if _, ok := cfg.Sources[name].(config.Depot); ok {
			v.Depots = append(v.Depots, depot{name, inDir(cfg)(cfg.Sources[name].Traffic().Folder)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Connections)) {
		c, at := cfg.Connections[name], len(v.Taps)
		if c.Internal { // the hub here is never away
			at = 0
		}
		v.Taps = slices.Insert(v.Taps, at, tapped{name, patternOf(c.Federation)})
	}
	v.mood(s)
	return v
}

// MaxUploadShown is MaxUpload for people, as it is in the configuration.
func (v view) MaxUploadShown() string { return v.MaxUpload.String() }

func patternOf(federation string) string {
	if federation == "" {
		return "*"
	}
	return federation + ".*"
}

// mood says how all of it is.
func (v *view) mood(s admin.Status) {
	v.Alerts = append(v.Alerts, s.Reasons...)
	if r := s.LastReload; r != nil && r.Outcome == admin.Refused {
		v.Alerts = append(v.Alerts, fmt.Sprintf("The configuration was read again at %s and refused; what was before goes on: %s",
			r.At.Local().Format(time.TimeOnly), short(strings.Join(r.Errors, "; "))))
	}
	failing := v.Graph.bad()
	switch {
	case s.Phase != admin.Running:
		v.Mood, v.State = "warn", string(s.Phase)
	case !s.Healthy:
		v.Mood, v.State = "bad", "stuck"
	case failing == 1:
		v.Mood, v.State = "bad", "1 route fails"
	case failing > 1:
		v.Mood, v.State = "bad", fmt.Sprintf("%d routes fail", failing)
	case !s.Ready:
		v.Mood, v.State = "warn", "not ready"
	case v.failed() > 0:
		v.Mood, v.State = "warn", fmt.Sprintf("running, %d failed", v.failed())
	default:
		v.Mood, v.State = "good", "running"
	}
}

// failed returns how many files and signals wait for somebody to look at them.
func (v *view) failed() int {
	n := len(v.Letters) + v.MoreLetters
	for _, s := range v.Failed {
		n += len(s.Files) + s.More
	}
	return n
}

func (p *Page) transfer(t admin.Transfer) transfer {
	shown := transfer{
		ID: id(transferKey(t)), Name: cmp.Or(short(t.Name), "(no name)"), Event: short(t.Event), Source: t.Source, Done: t.Done, Size: t.Size,
		Shown: size(t.Done),
	}
	if t.Size >= 0 {
		shown.Shown += " of " + size(t.Size)
	}
	if r := p.rates.of(transferKey(t)).bytes; r >= 1 {
		shown.Rate = size(int64(r)) + "/s"
		if left := float64(t.Size-t.Done) / r; t.Size > 0 && left >= 1 {
			shown.Left = took(time.Duration(left*float64(time.Second))) + " left"
		}
	}
	return shown
}

// configLines are those of a text, marked for the eye.
func configLines(text string) (lines []configLine) {
	for line := range strings.Lines(text) {
		kind := ""
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "#"):
			kind = "comment"
		case strings.HasPrefix(trimmed, "["):
			kind = "table"
		}
		lines = append(lines, configLine{kind, line})
	}
	return lines
}

// inDir returns a function that names paths as the configuration would.
func inDir(cfg *config.Config) func(string) string {
	return func(path string) string {
		if rel, err := filepath.Rel(cfg.Dir, path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
		return path
	}
}

// id returns an id for an element, which is the same for the same parts.
func id(parts ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return "x" + hex.EncodeToString(sum[:8])
}

func short(text string) string { return cut(text, maxText) }
func brief(text string) string { return cut(text, maxBrief) }

func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	for i := range text {
		if most--; most < 0 {
			return text[:i] + "…"
		}
	}
	return text
}

func size(n int64) string {
	if n < 0 {
		return "?"
	}
	return humanize.IBytes(uint64(n))
}

// took is a duration with two figures or so; "" for none.
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return config.Duration(d.Round(time.Second)).String()
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"size":    size,
	"bytes":   func(n uint64) string { return humanize.IBytes(n) },
	"waiting": func(n int) string { return humanize.IBytes(uint64(n)) },
	"number":  func(n int) string { return humanize.Comma(int64(n)) },
	"clock":   func(t time.Time) string { return t.Format(time.TimeOnly) },
	"day":     func(t time.Time) string { return t.Format(time.DateTime + " MST") },
	"machine": func(t time.Time) string { return t.Format(time.RFC3339) },
	"isToday": func(t time.Time) bool {
		y, m, d := t.Date()
		ny, nm, nd := time.Now().Date()
		return y == ny && m == nm && d == nd
	},
}).ParseFS(files, "page.html"))

// tags are ETags of the files beside the page.
var tags = func() map[string]string {
	all := map[string]string{}
	entries, _ := fs.ReadDir(files, "static")
	for _, entry := range entries {
		text, _ := fs.ReadFile(files, "static/"+entry.Name())
		sum := sha256.Sum256(text)
		all[entry.Name()] = `"` + hex.EncodeToString(sum[:8]) + `"`
	}
	return all
}()
