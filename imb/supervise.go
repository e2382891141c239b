package imb

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// run is the client's life. It owns every other goroutine. first is told how
// the first attempt went.
func (c *Client) run(ctx context.Context, first chan<- error) {
	defer close(c.ended)
	var dispatching sync.WaitGroup
	dispatching.Go(newDispatcher(c).run)
	everConnected := c.supervise(ctx, first)
	c.inbox.close()
	dispatching.Wait()
	c.faults.flush()
	c.overflows.close(c.opt.BlockTimeout)
	if everConnected || c.opt.Retry {
		c.setState(Closed, nil)
	}
}

// supervise makes the connection, and makes it again when it is lost, until
// the client is closed or, unless it may retry, the first attempt fails.
func (c *Client) supervise(ctx context.Context, first chan<- error) (everConnected bool) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = c.opt.ReconnectMin
	pause.MaxInterval = c.opt.ReconnectMax
	for attempt := 1; ; attempt++ { // since the last connection
		var since time.Time
		err := c.session(ctx, func() {
			since = time.Now()
			everConnected = true
			c.stats.connections.Add(1)
			c.failure.Store(nil)
			c.setState(Connected, nil, "attempt", attempt)
			signalFirst(first, nil)
		})
		if c.isClosing() || ctx.Err() != nil {
			return everConnected
		}
		c.failure.Store(&err)
		if !everConnected && !c.opt.Retry {
			signalFirst(first, err)
			return false
		}
		if !since.IsZero() {
			attempt = 0
			if time.Since(since) > c.opt.ReconnectMax {
				pause.Reset()
			}
			c.setState(Connecting, err)
		} else if attempt == 1 && !everConnected { // or else the loss was told
			c.setState(Connecting, err)
		}
		if !sleep(ctx, pause.NextBackOff()) {
			return everConnected
		}
	}
}

// signalFirst tells Connect how the first attempt went, if it still listens.
func signalFirst(first chan<- error, err error) {
	select {
	case first <- err:
	default:
	}
}

// sleep returns false when ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// setState changes the state and tells it. Only run and supervise call it.
func (c *Client) setState(s State, cause error, attrs ...any) {
	before := State(c.state.Swap(int32(s)))
	switch {
	case s == Connected:
		c.opt.Log.Info("connected to the hub", attrs...)
	case s == Closed:
		c.opt.Log.Info("closed the connection to the hub")
	case before == Connected:
		c.opt.Log.Warn("reconnecting to the hub", "error", cause)
	default:
		c.opt.Log.Warn("cannot connect to the hub; trying on", "error", cause)
	}
	c.opt.OnState(s, cause)
}

// session makes one connection, calls connected when the hub has answered the
// greeting, and serves it until it is lost or the client is closed. All its
// goroutines have ended when it returns. The error says why it ended.
func (c *Client) session(ctx context.Context, connected func()) (err error) {
	attempt, cancel := context.WithTimeoutCause(ctx, c.opt.ConnectTimeout,
		fmt.Errorf("%w within %v", ErrUnresponsive, c.opt.ConnectTimeout))
	defer cancel()
	conn, err := c.opt.Dial(attempt)
	if err != nil {
		return err
	}
	n := newConnection(c, conn)
	greeting := c.attach(n)
	var loops sync.WaitGroup
	defer func() {
		n.fail(err) // unless it has failed already
		c.detach(n, loops.Wait)
	}()
	loops.Go(n.readLoop)
	loops.Go(func() { n.writeLoop(greeting) })
	select {
	case <-n.flush.ready:
	case <-n.ctx.Done():
		return context.Cause(n.ctx)
	case <-attempt.Done():
		return context.Cause(attempt)
	}

	c.live.Store(n)
	loops.Go(n.watch)
	connected()
	select {
	case <-n.ctx.Done():
		return context.Cause(n.ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
