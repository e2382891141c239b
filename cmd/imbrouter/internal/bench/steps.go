package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"imbrouter/imb/wire"
	"imbrouter/router"
	"imbrouter/router/filter"
)

// FilterTime measures the evaluation of the filter of Relayed, so many times.
func FilterTime(count int, floors ...Floor) Case {
	return Case{Name: "when, one evaluation", Unit: "ns", Floors: floors, Product: func(context.Context, *Round) (Sample, error) {
		evaluate, err := evaluation()
		if err != nil {
			return Sample{}, err
		}
		begin := time.Now()
		err = evaluate(count)
		return Sample{Value: float64(time.Since(begin).Nanoseconds()) / float64(count)}, err
	}}
}

// FilterAllocations is FilterTime for memory.
func FilterAllocations(count int, floors ...Floor) Case {
	return Case{Name: "when, one evaluation", Unit: "allocations", Floors: floors, Product: func(context.Context, *Round) (Sample, error) {
		evaluate, err := evaluation()
		if err != nil {
			return Sample{}, err
		}
		return allocations(count, evaluate)
	}}
}

// RouteAllocations measures what a signal takes on its way along a route without
// a filter, so many times.
func RouteAllocations(count int, floors ...Floor) Case {
	return Case{Name: "the route around it, one signal", Unit: "allocations", Floors: floors, Product: func(ctx context.Context, _ *Round) (sample Sample, err error) {
		done := errors.New("measured")
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		plan := router.Plan{
			Sources: map[string]router.Source{"in": sourceFunc(func(next router.Sink) {
				sample, err = allocations(count, func(count int) error {
					s := typicalSignal()
					for range count {
						if err := next.Signal(ctx, s); err != nil {
							return err
						}
					}
					return nil
				})
				cancel(done)
			})},
			Sinks:  map[string]router.Sink{"out": discard{}},
			Routes: []router.Route{{Name: "all", From: []string{"in"}, To: []string{"out"}, LoopGuard: router.LoopGuardWarn}},
		}
		r, newErr := router.New(plan, router.Options{})
		if newErr != nil {
			return Sample{}, newErr
		}
		if runErr := r.Run(ctx); err == nil {
			err = runErr
		}
		if err == nil && context.Cause(ctx) != done {
			err = context.Cause(ctx)
		}
		return sample, err
	}}
}

// allocations returns how many times memory is allocated in each of count steps.
func allocations(count int, steps func(int) error) (Sample, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := steps(count)
	runtime.ReadMemStats(&after)
	// Rounded down: the runtime allocates a little by itself.
	return Sample{Value: float64((after.Mallocs - before.Mallocs) / uint64(count))}, err
}

// sourceFunc is a source that does one thing.
type sourceFunc func(next router.Sink)

// Run implements router.Source.
func (f sourceFunc) Run(_ context.Context, next router.Sink) error {
	f(next)
	return nil
}

// discard is a sink that takes signals and does nothing.
type discard struct{ router.Sink }

// Signal implements router.Sink.
func (discard) Signal(context.Context, router.Signal) error { return nil }

func typicalSignal() router.Signal {
	return router.Signal{Federation: federation, Event: eventName, Kind: wire.NormalEvent, Data: data(signal(typicalPayload))}
}

// evaluation returns what evaluates the filter on a signal so many times.
func evaluation() (func(int) error, error) {
	f, err := filter.Compile(passAll, nil, filter.Limits{})
	if err != nil {
		return nil, err
	}
	s := typicalSignal()
	evaluate := func(count int) error {
		for range count {
			if _, pass, err := f.Signal(s); err != nil || !pass {
				return fmt.Errorf("the filter does not pass what it is to pass: %w", err)
			}
		}
		return nil
	}
	return evaluate, evaluate(1)
}
