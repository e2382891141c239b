package hub

import "imbrouter/imb/wire"

// command obeys a frame that is no event. The error is why the connection
// ends.
func (c *conn) command(f wire.Frame) error {
	h := c.hub
	switch f.Command {
	case wire.CmdEndSession:
		return errEndSession
	case wire.CmdUniqueClientID:
		return obey(c, f, wire.ParseUniqueClientID, func(wire.UniqueClientID) {
			c.tell(wire.AppendUniqueClientID(nil, c.identity))
		})
	case wire.CmdSetClientInfo:
		return obey(c, f, wire.ParseSetClientInfo, c.setOwner)
	case wire.CmdSubscribe:
		return obey(c, f, wire.ParseEventRef, func(ref wire.EventRef) {
			if c.valid(ref) {
				h.subscribe(c, ref)
			}
		})
	case wire.CmdUnsubscribe:
		return obey(c, f, wire.ParseText, func(name string) { h.unsubscribe(c, name) })
	case wire.CmdPublish:
		return obey(c, f, wire.ParseEventRef, func(ref wire.EventRef) {
			if c.valid(ref) {
				h.publish(c, ref)
			}
		})
	case wire.CmdUnpublish:
		return obey(c, f, wire.ParseText, func(name string) { h.unpublish(c, name) })
	case wire.CmdSetVariable:
		return obey(c, f, wire.ParseSetVariable, func(v wire.Variable) { h.setVariable(c, v) })
	case wire.CmdSetVariablePrefixed:
		return obey(c, f, wire.ParseSetVariablePrefixed, func(v wire.PrefixedVariable) {
			v.Name = c.prefix(v.Prefix) + v.Name
			h.setVariable(c, v.Variable)
		})
	case wire.CmdAllVariables:
		return c.control(func() { h.tellVariables(c) })
	case wire.CmdRequestEventNames:
		return obey(c, f, wire.ParseRequestEventNames, func(r wire.EventNamesRequest) { h.tellEventNames(c, r) })
	case wire.CmdEndClientSession:
		return obey(c, f, wire.ParseInt32, func(id int32) { h.endClientSession(c, uint32(id)) })
	case wire.CmdFlushClientQueue:
		if !h.o.AllowControl {
			c.note(refusedControl, 1)
		} // else: every queue is being written out as fast as its client reads
	case wire.CmdCreateTimer:
		return obey(c, f, wire.ParseCreateTimer, func(t wire.CreateTimer) { h.createTimer(c, t) })
	case wire.CmdSetMonitor:
		return c.control(func() { h.setMonitor(c) })
	case wire.CmdResetMonitor:
		return c.control(func() { h.resetMonitor(c) })
	case wire.CmdConnectToGateway:
		c.note(unsupported, 1, "command", f.Command)
	}
	return nil // the others change nothing here
}

// obey does, under Hub.mu, what the payload of a command asks for.
func obey[T any](c *conn, f wire.Frame, parse func([]byte) (T, error), do func(T)) error {
	v, err := parse(f.Payload)
	if err != nil {
		c.note(malformedPayload, 1, "command", f.Command, "error", err)
		return nil
	}
	return c.control(func() { do(v) })
}

// valid tells whether an id and a name can be a client's for an event.
func (c *conn) valid(ref wire.EventRef) bool {
	switch {
	case ref.ID < 0:
		c.note(refusedEvent, 1, "id", ref.ID, "error", "a negative event id")
	case len(ref.Name) > wire.MaxNameLength:
		c.note(refusedEvent, 1, "size", len(ref.Name), "error", "a name that is too long", "limit", wire.MaxNameLength)
	default:
		return true
	}
	return false
}

// maxOwnerLength bounds, in bytes, what is kept of a client's name for logs.
const maxOwnerLength = 256

func (c *conn) setOwner(info wire.SetClientInfo) {
	first := c.owner == ""
	c.owner, c.ownerID = info.OwnerName[:min(len(info.OwnerName), maxOwnerLength)], info.OwnerID
	c.hub.changes++
	if first && c.owner != "" {
		c.log.Info("client connected", "owner", c.owner, "owner_id", info.OwnerID)
	}
}

func (h *Hub) endClientSession(c *conn, id uint32) {
	if !h.o.AllowControl {
		c.note(refusedControl, 1)
		return
	}
	for other := range h.conns {
		if other.identity.ID == id {
			c.log.Info("client ends the session of another", "other", other.prefix(wire.PrefixUniqueClientID))
			other.endSession(errEndedByOther)
		}
	}
}

// The sizes of the parts of an eventNames payload, names left out.
const (
	countSize     = 4
	eventNameSize = 16
)

// tellEventNames answers a requestEventNames command with one frame: the
// events that match, by id.
func (h *Hub) tellEventNames(c *conn, r wire.EventNamesRequest) {
	key := wire.FoldName(r.Filter)
	prefix, isPrefix := filterPrefix(key)
	var names []wire.EventName
	size := countSize
	for _, e := range h.registry.matching(prefix) {
		if !isPrefix && e.key != key {
			continue
		}
		if size += eventNameSize + len(e.name); size > wire.MaxPayload {
			c.note(truncatedNames, 1)
			break
		}
		n := wire.EventName{Name: e.name}
		if r.Bits&wire.EventNamesPublishers != 0 {
			n.Publishers = int32(e.publishers)
		}
		if r.Bits&wire.EventNamesSubscribers != 0 {
			n.Subscribers = int32(len(*e.subscribers.Load()))
		}
		if r.Bits&wire.EventNamesTimers != 0 {
			n.Timers = int32(h.timers.of(e))
		}
		names = append(names, n)
	}
	c.tell(wire.AppendEventNames(nil, names))
}
