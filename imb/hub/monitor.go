package hub

import (
	"maps"
	"slices"
	"time"

	"imbrouter/imb/wire"
)

const (
	// maxMonitors is how many connections may monitor the hub at once.
	maxMonitors = 8
	// monitorInterval is the time between two reports to those who monitor.
	monitorInterval = time.Second
)

// setMonitor answers a setMonitor command. It is called under Hub.mu.
func (h *Hub) setMonitor(c *conn) {
	if h.monitors >= maxMonitors && !c.monitors {
		c.note(refusedMonitor, 1, "limit", maxMonitors)
		return
	}
	if !c.monitors {
		c.monitors = true
		h.monitors++
	}
	if !h.reporting {
		h.reporting = true
		told := h.changes
		h.running.Go(func() { h.report(told) })
	}
	c.tell(slices.Concat(h.appendWho(nil), h.appendFigures(nil)))
}

// resetMonitor is the reverse of setMonitor. It is called under Hub.mu.
func (h *Hub) resetMonitor(c *conn) {
	if c.monitors {
		c.monitors = false
		h.monitors--
	}
}

// report tells those who monitor, until there is none any more. They have been
// told of the first changes.
func (h *Hub) report(told uint64) {
	ticker := time.NewTicker(monitorInterval)
	defer ticker.Stop()
	for {
		select {
		case <-h.done:
			return
		case <-ticker.C:
		}
		h.mu.Lock()
		if h.monitors == 0 {
			h.reporting = false
			h.mu.Unlock()
			return
		}
		var frames []byte
		if h.changes != told {
			told = h.changes
			frames = h.appendWho(frames)
		}
		frames = h.appendFigures(frames)
		for c := range h.conns {
			if _, slow := c.queue.MoreThanHalfFull(); c.monitors && !slow {
				c.tell(frames)
			}
		}
		h.crowded = nil // nobody is there to wait
		h.mu.Unlock()
	}
}

// appendWho appends who is connected, and the events with their publishers and
// subscribers.
func (h *Hub) appendWho(frames []byte) []byte {
	for _, c := range h.byHandle() {
		frames = wire.AppendStatusClientPlus(frames, wire.StatusClientPlus{
			Handle: c.handle(), OwnerID: c.ownerID, OwnerName: c.owner, URI: c.peer, NoDelay: true,
		})
		if h.isLong(frames) {
			return frames
		}
	}
	for _, e := range h.registry.matching("") {
		s := wire.StatusEventPlus{EventID: e.id, Name: e.name}
		for _, l := range e.links {
			if l.target != noTarget {
				s.Subscribers = append(s.Subscribers, l.conn.handle())
			}
			if len(l.pubs) > 0 {
				s.Publishers = append(s.Publishers, l.conn.handle())
			}
		}
		slices.Sort(s.Subscribers)
		slices.Sort(s.Publishers)
		if frames = wire.AppendStatusEventPlus(frames, s); h.isLong(frames) {
			return frames
		}
	}
	return frames
}

// appendFigures appends what changes all the time.
func (h *Hub) appendFigures(frames []byte) []byte {
	frames = wire.AppendStatusHub(frames, wire.StatusHub{
		Commands: int32(h.count.framesIn.Load()), Bytes: int32(h.count.bytesIn.Load()),
	})
	for _, c := range h.byHandle() {
		written, _ := c.queue.Progress()
		frames = wire.AppendStatusClient(frames, wire.StatusClient{
			Handle: c.handle(), WrittenBytes: int32(written),
			ReadCommands: int32(c.framesIn.Load()), ReadBytes: int32(c.bytesIn.Load()),
			State: wire.StateClient, QueueLength: int32(c.queue.Len()), MaxQueueLength: int32(h.o.QueueBytes),
		})
		if h.isLong(frames) {
			return frames
		}
	}
	return frames
}

// isLong tells that a report is as long as one may be.
func (h *Hub) isLong(frames []byte) bool { return len(frames) >= h.o.QueueBytes/2 }

// byHandle returns the connections in the order in which they came.
func (h *Hub) byHandle() []*conn {
	return slices.SortedFunc(maps.Keys(h.conns), func(a, b *conn) int { return int(a.handle() - b.handle()) })
}

func (c *conn) handle() int32 { return int32(c.identity.Handle) }
