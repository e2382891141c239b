package router_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"imbrouter/router"
)

// recorder is a sink that remembers what it got and fails as it is told to.
type recorder struct {
	mu      sync.Mutex
	fail    []error // one for each call to come; then nil
	signals []string
	streams []string // name=body, or name!cause for one that was aborted
	calls   int
}

func (r *recorder) next() error {
	r.calls++
	if len(r.fail) == 0 {
		return nil
	}
	err := r.fail[0]
	r.fail = r.fail[1:]
	return err
}

func (r *recorder) Signal(_ context.Context, s router.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.next(); err != nil {
		return err
	}
	r.signals = append(r.signals, fmt.Sprintf("%s=%s", s.FullName(), s.Data))
	return nil
}

func (r *recorder) Stream(_ context.Context, info router.StreamInfo) (router.StreamWriter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.next(); err != nil {
		return nil, err
	}
	return &recordedStream{r: r, info: info}, nil
}

func (r *recorder) got() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(append(append([]string{}, r.signals...), r.streams...), " ")
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

type recordedStream struct {
	r    *recorder
	info router.StreamInfo
	body bytes.Buffer
}

func (w *recordedStream) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("POISON")) {
		return 0, errors.New("cannot digest this")
	}
	return w.body.Write(p)
}

func (w *recordedStream) Commit(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return w.note(fmt.Sprintf("%s=%s", w.info.Name, w.body.String()))
}

func (w *recordedStream) Abort(cause error) { _ = w.note(fmt.Sprintf("%s!%v", w.info.Name, cause)) }

func (w *recordedStream) note(s string) error {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.r.streams = append(w.r.streams, s)
	return nil
}

// sourceFunc is a source made of its Run.
type sourceFunc func(ctx context.Context, next router.Sink) error

func (f sourceFunc) Run(ctx context.Context, next router.Sink) error { return f(ctx, next) }

// deliver runs a router until its one source, do, has returned.
func deliver(plan router.Plan, o router.Options, do func(next router.Sink)) error {
	ctx, cancel := context.WithCancel(context.Background())
	plan.Sources = map[string]router.Source{"in": sourceFunc(func(_ context.Context, next router.Sink) error {
		defer cancel()
		do(next)
		return nil
	})}
	r, err := router.New(plan, o)
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

func sendStream(next router.Sink, info router.StreamInfo, body string) error {
	w, err := next.Stream(context.Background(), info)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, strings.NewReader(body)); err != nil {
		w.Abort(err)
		return err
	}
	return w.Commit(context.Background())
}
