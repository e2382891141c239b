package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/wire"
)

// Federation and event under which everything is sent.
const (
	federation = "bench"
	eventName  = "alarms"
)

// patience is how long nothing may arrive.
const patience = 30 * time.Second

// peer is a connection to a hub, or to a forwarder.
type peer struct {
	net.Conn
	*frames
	patience time.Duration // how long nothing may arrive; 0 is for ever
}

func (p *peer) Read(b []byte) (int, error) {
	if p.patience > 0 {
		if err := p.SetReadDeadline(time.Now().Add(p.patience)); err != nil {
			return 0, err
		}
	}
	return p.Conn.Read(b)
}

// subscriber connects for what is sent on the event.
func subscriber(address string) (*peer, error) {
	return handshake(address, wire.AppendSubscribe(nil, wire.EventRef{ID: eventID, Name: federation + "." + eventName}))
}

// publisher connects to send on the event.
func publisher(address string) (*peer, error) {
	return handshake(address, wire.AppendPublish(nil, wire.EventRef{ID: eventID, Name: federation + "." + eventName}))
}

// requestID is the client id that handshake asks with, so that it can tell a
// forwarder's answer, which is an echo, from a hub's.
var requestID = wire.UniqueClientID{}

// handshake connects, sends a command, and returns when it has been taken: when
// what comes after it, a request for the client id, has been answered. A hub
// has then told the id twice, because it does so at first by itself. It fails
// with imb.ErrNotConnected.
func handshake(address string, order []byte) (_ *peer, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %w", imb.ErrNotConnected, err)
		}
	}()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &peer{Conn: conn, patience: patience}
	p.frames = newFrames(p)
	if _, err := p.Write(wire.AppendUniqueClientID(order, requestID)); err != nil {
		conn.Close()
		return nil, err
	}
	told := 0
	err = p.each(func(frame []byte) error {
		if command(frame) != wire.CmdUniqueClientID {
			return nil
		}
		id, err := wire.ParseUniqueClientID(frame[wire.HeaderSize : len(frame)-wire.TrailerSize])
		if told++; told == 2 || err == nil && id == requestID {
			return errArrived
		}
		return err
	}, nil)
	if err != errArrived {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	p.patience = 0
	return p, p.SetDeadline(time.Time{})
}

// crowd is the senders and receivers of a measurement.
type crowd struct {
	senders, receivers []*peer
}

// gather connects a crowd to the ends of a chain, which may be the same.
func gather(entrance, exit string, senders, receivers int) (c *crowd, err error) {
	c = new(crowd)
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	for range senders {
		conn, err := publisher(entrance)
		if err != nil {
			return c, err
		}
		c.senders = append(c.senders, conn)
	}
	for range receivers {
		conn, err := subscriber(exit)
		if err != nil {
			return c, err
		}
		conn.patience = patience
		c.receivers = append(c.receivers, conn)
	}
	return c, nil
}

func (c *crowd) close() {
	for _, conn := range c.senders {
		conn.Close()
	}
	for _, conn := range c.receivers {
		conn.Close()
	}
}

// errArrived ends reading when all has arrived.
var errArrived = errors.New("arrived")

// probePause is the time between two probes.
const probePause = 50 * time.Millisecond

// probe sends signals until one arrives at the first receiver: then the whole
// chain is connected. More of them may arrive later.
func (c *crowd) probe(ctx context.Context, frame []byte) error {
	frame = append([]byte(nil), frame...)
	setTick(frame, probe)
	to := c.receivers[0]
	to.patience = probePause
	defer func() { to.patience = patience }()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && ctx.Err() == nil; {
		if _, err := c.senders[0].Write(frame); err != nil {
			return err
		}
		err := to.each(func(frame []byte) error {
			if isEvent(frame, wire.NormalEvent) && tick(frame) == probe {
				return errArrived
			}
			return nil
		}, nil)
		if err == errArrived {
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("nothing that is sent arrives within %v", patience)
}

// flood sends so many signals, shared among the senders, and returns when each
// receiver has all of them. The first of each batch is a sample.
func (c *crowd) flood(ctx context.Context, frame []byte, count int) (Sample, error) {
	defer context.AfterFunc(ctx, c.close)()
	perBatch := max(1, batchSize/len(frame))
	batches := 0
	shares := make([]int, len(c.senders))
	for i := range shares {
		shares[i] = count / len(shares)
		if i < count%len(shares) {
			shares[i]++
		}
		batches += (shares[i] + perBatch - 1) / perBatch
	}
	sent := make([]atomic.Int64, batches) // when, by sample
	var samples atomic.Int32
	begin := time.Now()
	errs := make(chan error, len(c.senders)+len(c.receivers))
	for i, conn := range c.senders {
		go func() {
			batch := make([]byte, 0, perBatch*len(frame))
			for range perBatch {
				batch = append(batch, frame...)
			}
			for left := shares[i]; left > 0; left -= perBatch {
				n := samples.Add(1)
				for k := range perBatch {
					setNumber(batch[k*len(frame):(k+1)*len(frame)], uint32(int(n)*perBatch+k))
				}
				setTick(batch, n)
				sent[n-1].Store(int64(time.Since(begin)))
				if _, err := conn.Write(batch[:min(left, perBatch)*len(frame)]); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	var latency []time.Duration
	for i, conn := range c.receivers {
		go func() {
			left := count
			err := conn.each(func(frame []byte) error {
				if command(frame) != wire.CmdEvent {
					return nil
				}
				switch n := tick(frame); {
				case n == probe:
					return nil
				case n > ordinary && int(n) <= batches && i == 0:
					latency = append(latency, time.Since(begin)-time.Duration(sent[n-1].Load()))
				}
				if left--; left == 0 {
					return errArrived
				}
				return nil
			}, nil)
			if err == errArrived {
				err = nil
			} else {
				err = fmt.Errorf("%d of %d signals did not arrive: %w", left, count, err)
			}
			errs <- err
		}()
	}
	var failed error
	for range cap(errs) {
		if err := <-errs; err != nil && failed == nil {
			failed = err
			c.close() // the others end, too
		}
	}
	if ctx.Err() != nil {
		failed = context.Cause(ctx)
	}
	return Sample{Value: float64(count) / time.Since(begin).Seconds(), Latency: latency}, failed
}

// pingPong sends one signal after the other, each when the one before has
// arrived at the only receiver.
func (c *crowd) pingPong(ctx context.Context, frame []byte, count int) (Sample, error) {
	defer context.AfterFunc(ctx, c.close)()
	frame = append([]byte(nil), frame...)
	var latency []time.Duration
	var sent time.Time
	next := func() error {
		if len(latency) == count {
			return errArrived
		}
		setTick(frame, int32(len(latency)+1))
		sent = time.Now()
		_, err := c.senders[0].Write(frame)
		return err
	}
	begin := time.Now()
	if err := next(); err != nil {
		return Sample{}, err
	}
	err := c.receivers[0].each(func(frame []byte) error {
		if command(frame) != wire.CmdEvent || tick(frame) != int32(len(latency)+1) {
			return nil
		}
		latency = append(latency, time.Since(sent))
		return next()
	}, nil)
	if err == errArrived {
		err = nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return Sample{Value: float64(count) / time.Since(begin).Seconds(), Latency: latency}, err
}
