package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
)

// WriteTable writes rows for people. A figure of the product and one of its
// ceiling stand beside each other, with a slash. Without rows there is no header either.
func WriteTable(w io.Writer, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "case\tproduct / ceiling\tratio\tCPU s\tpeak MiB\tp50\tp99\tat least\t")
	for _, r := range rows {
		both := func(figure func(Figures) string) string {
			text := figure(r.Product)
			if r.Ceiling != nil && text != "" {
				text += " / " + figure(*r.Ceiling)
			}
			return text
		}
		fmt.Fprintln(t, strings.Join([]string{
			r.Case,
			strings.TrimSpace(both(func(f Figures) string { return r.amount(f.Value) }) + " " + r.Unit),
			r.ratio(),
			both(func(f Figures) string { return fmt.Sprintf("%.2f", f.CPU.Seconds()) }),
			both(func(f Figures) string { return fmt.Sprintf("%.0f", float64(f.Memory)/mebibyte) }),
			both(func(f Figures) string { return short(f.P50) }),
			both(func(f Figures) string { return short(f.P99) }),
			r.verdict(),
		}, "\t")+"\t")
	}
	return t.Flush()
}

func (r Row) ratio() string {
	if r.Ratio == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", r.Ratio)
}

// verdict tells of each floor whether it was reached.
func (r Row) verdict() string {
	var texts []string
	for _, c := range r.Checks {
		mark := "pass"
		if !c.Pass {
			mark = "FAIL"
		}
		texts = append(texts, fmt.Sprintf("%s  %s (%s)", mark, c.Want, c.Got))
	}
	return strings.Join(texts, ", ")
}

// amount writes a figure with three digits that count, and k or M.
func (r Row) amount(v float64) string {
	if r.Unit == "" {
		return ""
	}
	if v < 1000 {
		return fmt.Sprintf("%.3g", v)
	}
	scaled, prefix := humanize.ComputeSI(v)
	return fmt.Sprintf("%.3g%s", scaled, prefix)
}

// short writes a duration with about three digits; 0 is none.
func short(d time.Duration) string {
	if d == 0 {
		return ""
	}
	for unit := time.Second; unit > 1; unit /= 1000 {
		if d.Abs() >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

// report is what WriteJSON writes.
type report struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPUs   int    `json:"cpus"`
	Go     string `json:"go"`
	Rounds int    `json:"rounds"`
	Rows   []Row  `json:"rows"`
}

// WriteJSON writes rows for programs, with what they were measured on.
func WriteJSON(w io.Writer, rounds int, rows []Row) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(report{runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), rounds, rows})
}
