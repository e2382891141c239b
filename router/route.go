package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// signalRetries are the pauses before a signal that failed is tried again. A
// signal from a hub holds its source up meanwhile, so they are few and short.
var signalRetries = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second}

// route filters and rewrites messages and hands them to its sinks. A signal
// that fails for good ends here: the route has then taken responsibility and
// told so. A stream's failure goes back to its source, which may have a file
// to keep.
type route struct {
	filter   Filter
	sinks    *fanout
	failures *FailureLog
}

func newRoute(r Route, sinks []branch, log *slog.Logger) *route {
	return &route{
		filter:   r.Filter,
		sinks:    newFanout(sinks),
		failures: NewFailureLog(log.With("route", r.Name), "signal lost", "signals get through again"),
	}
}

func (r *route) Signal(ctx context.Context, s Signal) error {
	if r.filter != nil {
		out, pass, err := r.filter.Signal(s)
		if err != nil {
			r.lost(s, err)
			return nil
		}
		if !pass {
			return ErrNotTaken
		}
		s = out
	}
	err := r.sinks.Signal(ctx, s)
	for _, pause := range signalRetries {
		if !passing(err) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			err = r.sinks.Signal(ctx, s)
		}
	}
	switch {
	case err == nil:
		r.failures.Success()
	case errors.Is(err, ErrNotTaken):
		return err
	default:
		r.sinks.forget(s.ID)
		r.lost(s, err)
	}
	return nil
}

// passing tells whether a failure may pass soon. A destination that is away
// will not be back so quickly, and other sinks wait meanwhile.
func passing(err error) bool {
	if several, ok := err.(branchErrors); ok {
		return slices.ContainsFunc(several, passing)
	}
	return err != nil && !errors.Is(err, ErrNotTaken) && !errors.Is(err, ErrPermanent) && !errors.Is(err, ErrUnavailable)
}

// lost tells of a signal that no sink will get any more.
func (r *route) lost(s Signal, err error) {
	r.failures.Failure("", err, "source", s.Source, "event", s.FullName(), "kind", s.Kind.String(), "size", len(s.Data))
}

func (r *route) Stream(ctx context.Context, info StreamInfo) (StreamWriter, error) {
	if r.filter != nil {
		out, pass, err := r.filter.Stream(info)
		if err != nil {
			return nil, Permanent(fmt.Errorf("its expressions fail on stream %q: %w", info.Name, err))
		}
		if !pass {
			return nil, ErrNotTaken
		}
		info = out
	}
	return r.sinks.Stream(ctx, info)
}
