package bench

import (
	"fmt"
	"time"
)

// Floor is what a case is to reach.
type Floor func(Row) Check

// ratioAtLeast is for rates: so much of the ceiling.
func ratioAtLeast(least float64) Floor {
	return func(r Row) Check {
		return Check{fmt.Sprintf("ratio >= %.1f", least), fmt.Sprintf("%.2f", r.Ratio), r.Ratio >= least}
	}
}

// valueAtMost is for figures that stand for themselves.
func valueAtMost(most float64) Floor {
	return func(r Row) Check {
		return Check{fmt.Sprintf("<= %g %s", most, r.Unit), fmt.Sprintf("%.3g", r.Product.Value), r.Product.Value <= most}
	}
}

// latencyRatioAtMost bounds both percentiles by a multiple of the ceiling's.
func latencyRatioAtMost(most float64) Floor {
	return func(r Row) Check {
		p50, p99 := float64(r.Product.P50)/float64(r.Ceiling.P50), float64(r.Product.P99)/float64(r.Ceiling.P99)
		return Check{
			fmt.Sprintf("p50, p99 <= %.1f x", most), fmt.Sprintf("%.2f, %.2f", p50, p99),
			p50 <= most && p99 <= most,
		}
	}
}

// latencyAbove bounds what the percentiles have on top of the ceiling's.
func latencyAbove(p50, p99 time.Duration) Floor {
	return func(r Row) Check {
		above50, above99 := r.Product.P50-r.Ceiling.P50, r.Product.P99-r.Ceiling.P99
		return Check{
			fmt.Sprintf("p50 <= +%v, p99 <= +%v", p50, p99), fmt.Sprintf("+%s, +%s", short(above50), short(above99)),
			above50 <= p50 && above99 <= p99,
		}
	}
}
