package imb

import "time"

// watch asks the hub for a sign of life when it has been silent for
// Options.PingInterval, and gives the connection up when nothing comes back.
//
// The time that the hub has for it begins when the request has been handed to
// the connection. Before that, each byte that the connection takes is a sign
// of life: it is full, not dead. Later bytes are none, because TCP goes on to
// take them for a dead peer.
func (n *connection) watch() {
	interval, timeout := n.client.opt.PingInterval, n.client.opt.PingTimeout
	timer := time.NewTimer(interval)
	defer timer.Stop()
	var ping ping
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now() // before anything that an answer may follow
		heard := n.lastHeard()
		if !ping.since.After(heard) { // none is under way
			if silent := now.Sub(heard); silent < interval {
				timer.Reset(interval - silent)
				continue
			}
			ping = n.sendPing(now)
		}
		written, _ := n.client.out.Progress()
		waited := ping.waited(now, written)
		if waited >= timeout {
			n.fail(ErrUnresponsive)
			return
		}
		timer.Reset(min(timeout-waited, max(timeout/8, time.Millisecond)))
	}
}

// lastHeard returns when the hub was heard last. While this side does not read,
// that cannot be told, and it returns the present.
func (n *connection) lastHeard() time.Time {
	if n.heldUp.Load() {
		return time.Now()
	}
	return n.began.Add(time.Duration(n.heard.Load()))
}

// ping is a request for a sign of life.
type ping struct {
	since   time.Time // it, or a byte before it, was written last; no answer is older
	end     int64     // where it ends in all that is ever written
	written int64     // at the last look
}

func (n *connection) sendPing(now time.Time) ping {
	out := n.client.out
	if buf, err := out.LockNow(); err == nil { // or else the client is closing: what is queued goes out
		out.Unlock(n.flush.append(buf, func() {}))
	}
	written, end := out.Progress()
	return ping{since: now, end: end, written: written}
}

// waited returns for how long the hub has owed an answer.
func (p *ping) waited(now time.Time, written int64) time.Duration {
	if p.written < p.end && written > p.written {
		p.since = now
		p.written = written
	}
	return now.Sub(p.since)
}
