package main

import (
	"os"
	"strings"
	"testing"

	"imbrouter/cmd/imbrouter/internal/bench"
)

// BenchmarkAll is "imbrouter bench all" for benchstat. What it is about is in
// the columns of its own: the rate and the latency of the product, and its ratio
// to the ceiling.
func BenchmarkAll(b *testing.B) {
	program, err := os.Executable() // which TestMain makes imbrouter when it is called that
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range bench.All(1) {
		b.Run(strings.ReplaceAll(c.Name, ", ", "/")+"/"+c.Unit, func(b *testing.B) {
			rows, err := bench.Run(b.Context(), bench.Options{Program: program, Rounds: b.N, Folder: b.TempDir()}, []bench.Case{c})
			if err != nil {
				b.Fatal(err)
			}
			row := rows[0]
			report := func(value float64, unit string) {
				if value > 0 {
					b.ReportMetric(value, strings.ReplaceAll(unit, " ", "-"))
				}
			}
			report(row.Product.Value, row.Unit)
			report(row.Ratio, "ratio")
			report(float64(row.Product.P50), "p50-ns")
			report(float64(row.Product.P99), "p99-ns")
		})
	}
}
