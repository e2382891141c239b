package admin_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// exported returns the names and the labels of all series in /metrics.
func (s *site) exported() (names, labels map[string]bool) {
	s.t.Helper()
	_, body := s.get("/metrics")
	names, labels = map[string]bool{"up": true}, map[string]bool{"instance": true, "job": true, "le": true}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(strings.Fields(line)[0], "{")
		names[name] = true
		for _, match := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(rest, -1) {
			labels[match[1]] = true
		}
	}
	return names, labels
}

// The dashboard and the alert rules name only what there is.
func TestMonitoringExamples(t *testing.T) {
	s := start(t, everything)
	names, labels := s.exported()
	expressions := append(dashboard(t), alerts(t)...)
	if len(expressions) < 30 {
		t.Errorf("only %d expressions were found", len(expressions))
	}
	used := map[string]bool{}
	for _, e := range expressions {
		for _, name := range regexp.MustCompile(`\b(?:imbrouter|go|process)_\w+\b|\bup\b`).FindAllString(e, -1) {
			used[name] = true
			if !names[name] {
				t.Errorf("there is no metric %s: %s", name, e)
			}
		}
		for _, match := range regexp.MustCompile(`(?:\b(?:by|on) \(([^)]*)\)|(\w+)\s*(?:=~|!=|!~|=)\s*")`).FindAllStringSubmatch(e, -1) {
			for _, label := range strings.Split(match[1]+match[2], ",") {
				if label = strings.TrimSpace(label); !labels[label] {
					t.Errorf("there is no label %s: %s", label, e)
				}
			}
		}
		if strings.Count(e, "(") != strings.Count(e, ")") || strings.Count(e, "{") != strings.Count(e, "}") {
			t.Errorf("brackets do not match: %s", e)
		}
	}
	if !used["imbrouter_route_messages_total"] || !used["imbrouter_ready"] {
		t.Errorf("the metrics that are used were not found: %v", used)
	}
}

// dashboard returns the expressions of the dashboard.
func dashboard(t *testing.T) (expressions []string) {
	t.Helper()
	text, err := os.ReadFile("../../examples/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title      string
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var ids []int
	for _, p := range d.Panels {
		if p.Title == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 || slices.Contains(ids, p.ID) {
			t.Errorf("panel %d %q is not in order", p.ID, p.Title)
		}
		ids = append(ids, p.ID)
		for _, target := range p.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	for _, v := range d.Templating.List {
		if query, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
			expressions = append(expressions, "("+query)
		}
	}
	return expressions
}

// alerts returns the expressions of the alert rules.
func alerts(t *testing.T) (expressions []string) {
	t.Helper()
	text, err := os.ReadFile("../../examples/monitoring/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || slices.Contains(known, r.Alert) || r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("rule %q is not in order", r.Alert)
			}
			known = append(known, r.Alert)
			expressions = append(expressions, r.Expr)
		}
	}
	return expressions
}
