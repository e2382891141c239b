// Package bench measures the program against the ceiling of the machine: the
// same work done by the simplest possible Go programs on the same loopback and
// the same disk. Both sides run in processes of their own, turn by turn in one
// run, so that what else the machine does hits both, and their ratio means
// something where the figures alone do not.
//
//	rows, err := bench.Run(ctx, bench.Options{Program: exe, Rounds: 3, Folder: dir}, bench.All(1))
//	err = bench.WriteTable(os.Stdout, rows)
//
// A [Case] has two sides. Each side of each round gets an empty folder and
// starts its processes anew: "imbrouter hub" and "imbrouter run" for the
// product, and "imbrouter bench ceiling", which is [Ceiling], for the other.
// What loads them and looks at what arrives is this process, in the same way
// for both.
package bench

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Options say how to measure.
type Options struct {
	Program string // the executable of imbrouter
	Rounds  int    // of both sides in turn, at least 1; the medians count
	Folder  string // where each run makes a folder, which it removes at its end
	// Progress is called before each side of each round. It may be nil.
	Progress func(text string)
}

// Case is one line of the table: some work, done by the product and by its
// ceiling.
type Case struct {
	Name    string
	Unit    string // of Sample.Value; "" when only the latency counts
	Product Side
	Ceiling Side // nil when the figure stands for itself
	Floors  []Floor
}

// Side does a case's work once.
type Side func(context.Context, *Round) (Sample, error)

// Sample is what one side did in one round.
type Sample struct {
	Value   float64         // in the case's unit
	Latency []time.Duration // of some of the messages, in any order
}

// Figures are the medians of a side's rounds.
type Figures struct {
	Value  float64       `json:"value"`
	CPU    time.Duration `json:"cpu_ns"`       // of all processes of the side, from start to end
	Memory int64         `json:"memory_bytes"` // peak resident of the largest process; 0 where the system does not tell
	P50    time.Duration `json:"p50_ns"`       // 0 when no latency was measured
	P99    time.Duration `json:"p99_ns"`
}

// Row is what came out for a case.
type Row struct {
	Case    string   `json:"case"`
	Unit    string   `json:"unit"`
	Product Figures  `json:"product"`
	Ceiling *Figures `json:"ceiling,omitempty"`
	Ratio   float64  `json:"ratio,omitempty"` // median of the rounds' ratios, product to ceiling; 0 when there is none
	Checks  []Check  `json:"checks,omitempty"`
}

// Check says whether a floor was reached.
type Check struct {
	Want string `json:"want"`
	Got  string `json:"got"`
	Pass bool   `json:"pass"`
}

// Run measures the cases one after the other.
func Run(ctx context.Context, o Options, cases []Case) ([]Row, error) {
	folder, err := filepath.Abs(o.Folder)
	if err != nil {
		return nil, err
	}
	if folder, err = os.MkdirTemp(folder, "imbrouter-bench-"); err != nil {
		return nil, err
	}
	// Not before the end: on some file systems it makes many times slower
	// what creates files after it.
	defer os.RemoveAll(folder)
	var rows []Row
	for i, c := range cases {
		row, err := c.run(ctx, o, filepath.Join(folder, fmt.Sprint(i)))
		if err != nil {
			return rows, fmt.Errorf("%s: %w", c.Name, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (c Case) run(ctx context.Context, o Options, folder string) (Row, error) {
	var product, ceiling []Figures
	var ratios []float64
	for n := range o.Rounds {
		measure := func(name string, side Side) (Figures, error) {
			if o.Progress != nil {
				o.Progress(fmt.Sprintf("%s: round %d of %d, %s", c.Name, n+1, o.Rounds, name))
			}
			f, err := side.measure(ctx, o.Program, filepath.Join(folder, fmt.Sprint(n), name))
			if err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
			return f, err
		}
		p, err := measure("product", c.Product)
		if err != nil {
			return Row{}, err
		}
		product = append(product, p)
		if c.Ceiling == nil {
			continue
		}
		q, err := measure("ceiling", c.Ceiling)
		if err != nil {
			return Row{}, err
		}
		ceiling = append(ceiling, q)
		if c.Unit != "" {
			ratios = append(ratios, p.Value/q.Value)
		}
	}
	row := Row{Case: c.Name, Unit: c.Unit, Product: medians(product)}
	if c.Ceiling != nil {
		f := medians(ceiling)
		row.Ceiling = &f
	}
	if len(ratios) > 0 {
		row.Ratio = percentile(ratios, 50)
	}
	for _, floor := range c.Floors {
		row.Checks = append(row.Checks, floor(row))
	}
	return row, nil
}

// measure runs a side once, in a folder that it makes.
func (s Side) measure(ctx context.Context, program, folder string) (f Figures, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return f, err
	}
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &Round{Folder: folder, program: program, life: ctx, fail: cancel}
	sample, err := s(working, r)
	f.CPU, f.Memory, err = r.end(err)
	if r.large {
		os.RemoveAll(folder)
	}
	f.Value = sample.Value
	if len(sample.Latency) > 0 {
		f.P50, f.P99 = percentile(sample.Latency, 50), percentile(sample.Latency, 99)
	}
	return f, err
}

func medians(rounds []Figures) Figures {
	return Figures{
		Value:  median(rounds, func(f Figures) float64 { return f.Value }),
		CPU:    median(rounds, func(f Figures) time.Duration { return f.CPU }),
		Memory: median(rounds, func(f Figures) int64 { return f.Memory }),
		P50:    median(rounds, func(f Figures) time.Duration { return f.P50 }),
		P99:    median(rounds, func(f Figures) time.Duration { return f.P99 }),
	}
}

func median[T cmp.Ordered](rounds []Figures, of func(Figures) T) T {
	all := make([]T, len(rounds))
	for i, f := range rounds {
		all[i] = of(f)
	}
	return percentile(all, 50)
}

// percentile returns the smallest value that p percent of all, one at least,
// do not exceed.
func percentile[T cmp.Ordered](all []T, p int) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}
