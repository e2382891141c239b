package imb_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"imbrouter/imb"
	"imbrouter/router"
)

// The first messages that are relayed wait a short time for the connection, but
// not for longer than their ctx says, and each for itself.
func TestRelayIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := parse("")
		if err != nil {
			t.Fatal(err)
		}
		echoes := new(router.Echoes)
		echoes.Listen("hub", func(string) bool { return true })
		s, err := cfg.Sinks["hub"].Build(router.Env{
			Name: "hub", Log: slog.New(slog.DiscardHandler), Echoes: echoes,
			Connections: map[string]router.Connection{"local": {Name: "local", Hub: "hub", Options: imb.Options{
				Dial: func(ctx context.Context) (net.Conn, error) { // there is no hub
					<-ctx.Done()
					return nil, ctx.Err()
				},
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.(router.Opener).Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		send := func(ctx context.Context) (time.Duration, error) {
			err := s.Signal(ctx, router.Signal{Event: "e", Relayed: true})
			return time.Since(begin), err
		}
		type result struct {
			took time.Duration
			err  error
		}
		first := make(chan result)
		go func() {
			took, err := send(t.Context())
			first <- result{took, err}
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if took, err := send(ctx); took != 500*time.Millisecond || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a signal with a ctx took %v: %v", took, err)
		}
		if r := <-first; r.took != 2*time.Second || r.err != nil {
			t.Errorf("the first signal took %v: %v", r.took, r.err)
		}
		if took, err := send(t.Context()); took != 2*time.Second || err != nil {
			t.Errorf("a later one was held up until %v: %v", took, err)
		}
		_ = s.(router.Opener).Close() // two signals were not sent
	})
}
