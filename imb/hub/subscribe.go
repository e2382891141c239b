package hub

import (
	"slices"
	"strings"

	"imbrouter/imb/wire"
)

// The methods of Hub in this file are called under Hub.mu, by the reader of
// the connection that they are about.

// subscribe answers a subscribe command.
func (h *Hub) subscribe(c *conn, ref wire.EventRef) {
	if prefix, ok := filterPrefix(ref.Name); ok {
		h.subscribeFilter(c, &filter{claim{ref.Name, ref.ID}, wire.FoldName(prefix), c})
		return
	}
	l := h.bind(c, ref)
	if l == nil {
		return
	}
	isNew := !holds(l.subs, ref.Name)
	l.enter(&l.subs, claim{ref.Name, ref.ID})
	h.retarget(l, true)
	if isNew {
		l.noticeNew(wire.CmdPublish, ref.Name)
	}
}

// unsubscribe answers an unsubscribe command.
func (h *Hub) unsubscribe(c *conn, name string) {
	if _, ok := filterPrefix(name); ok {
		if i := spelled(c.filters, name); i >= 0 {
			h.removeFilter(c.filters[i])
		}
		return
	}
	l := h.find(c, name)
	if l == nil {
		return
	}
	if i := spelled(l.subs, name); i >= 0 {
		gone := l.subs[i]
		l.leave(&l.subs, func(s claim) bool { return s == gone })
	}
	h.retarget(l, true)
	h.settle(l)
}

// publish answers a publish command.
func (h *Hub) publish(c *conn, ref wire.EventRef) {
	if _, ok := filterPrefix(ref.Name); ok {
		c.note(refusedEvent, 1, "event", ref.Name, "error", "a filter can only be subscribed to")
		return
	}
	if len(c.relays) >= maxRelays && strings.HasPrefix(wire.FoldName(ref.Name), relayKey) {
		c.note(refusedEvent, 1, "event", ref.Name, "error", "too many relay events on one connection", "limit", maxRelays)
		return
	}
	l := h.bind(c, ref)
	if l == nil {
		return
	}
	first, isNew := len(l.pubs) == 0, !holds(l.pubs, ref.Name)
	l.enter(&l.pubs, claim{ref.Name, ref.ID})
	if first {
		l.event.publishers++
		if l.event.relay {
			c.relays = append(c.relays, l.event)
		}
		h.publishersChanged(l)
	}
	if isNew {
		l.noticeNew(wire.CmdSubscribe, ref.Name)
	}
}

// unpublish answers an unpublish command.
func (h *Hub) unpublish(c *conn, name string) {
	l := h.find(c, name)
	if l == nil {
		return
	}
	if i := spelled(l.pubs, name); i >= 0 {
		gone := l.pubs[i]
		h.leavePubs(l, func(p claim) bool { return p == gone })
		h.settle(l)
	}
}

// release ends everything that a connection has, which is ending itself.
func (h *Hub) release(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range c.filters {
		h.registry.removeFilter(f)
	}
	c.filters = nil
	all := func(claim) bool { return true }
	for _, l := range c.links {
		l.leave(&l.subs, all)
		h.retarget(l, false)
		h.leavePubs(l, all)
		h.settle(l)
	}
	c.watching = false
	h.resetMonitor(c)
	h.removeVariablesOf(c)
	h.crowded = nil // nobody is there to wait
}

// find returns what the connection has to do with an event, or nil.
func (h *Hub) find(c *conn, name string) *link {
	return c.links[h.registry.events[wire.FoldName(name)]]
}

// bind lets the connection's id stand for an event, which it makes if need be,
// and for nothing else. It returns nil when that is refused.
func (h *Hub) bind(c *conn, ref wire.EventRef) *link {
	key := wire.FoldName(ref.Name)
	if old := c.table.get(ref.ID); old == nil || old.event.key != key {
		h.unbind(c, ref.ID)
	}
	e := h.registry.events[key]
	l := c.links[e]
	if !h.admit(c, ref.ID, l == nil, ref.Name) {
		return nil
	}
	if e == nil {
		e = h.addEvent(ref.Name, key)
		l = c.links[e] // there already when a filter of its own matches
	}
	if l == nil {
		l = h.addLink(c, e)
	}
	return l
}

// unbind ends whatever an id stands for. Its client gives it to another name
// and may not have left the first.
func (h *Hub) unbind(c *conn, id int32) {
	if i := slices.IndexFunc(c.filters, func(f *filter) bool { return f.id == id }); i >= 0 {
		h.removeFilter(c.filters[i])
	}
	if l := c.table.get(id); l != nil {
		has := func(c claim) bool { return c.id == id }
		l.leave(&l.subs, has)
		h.retarget(l, false)
		h.leavePubs(l, has)
		h.settle(l)
	}
}

// admit tells whether the connection may use an id, and have to do with one
// more event if isNew.
func (h *Hub) admit(c *conn, id int32, isNew bool, name string) bool {
	limit := h.o.MaxEvents
	switch {
	case c.table.get(id) == nil && c.table.used+len(c.filters) >= limit:
	case isNew && len(c.links) >= limit:
	default:
		return true
	}
	c.note(refusedEvent, 1, "event", name, "error", "too many events on one connection", "limit", limit)
	return false
}

// subscribeFilter adds a subscription by prefix.
func (h *Hub) subscribeFilter(c *conn, f *filter) {
	for _, old := range c.filters {
		if old.claim == f.claim {
			return
		}
		if old.name == f.name {
			h.removeFilter(old)
			break
		}
	}
	h.unbind(c, f.id)
	if !h.admit(c, f.id, false, f.name) {
		return
	}
	c.filters = append(c.filters, f)
	h.registry.addFilter(f)
	for _, e := range h.registry.matching(f.prefix) {
		h.match(c, e)
	}
}

// removeFilter takes a subscription by prefix back.
func (h *Hub) removeFilter(f *filter) {
	c := f.conn
	c.filters = slices.DeleteFunc(c.filters, func(other *filter) bool { return other == f })
	h.registry.removeFilter(f)
	for _, e := range h.registry.matching(f.prefix) {
		if l := c.links[e]; l != nil {
			h.retarget(l, false)
			h.settle(l)
		}
	}
}

// match subscribes a connection to an event that one of its filters matches.
// Unlike its neighbours it is called by any reader.
func (h *Hub) match(c *conn, e *event) {
	l := c.links[e]
	if l == nil {
		if len(c.links) >= h.o.MaxEvents {
			c.note(refusedEvent, 1, "event", e.name, "error", "the client's filters match too many events", "limit", h.o.MaxEvents)
			return
		}
		l = h.addLink(c, e)
	}
	h.retarget(l, false)
}

// addEvent makes an event, to which all are subscribed whose filters match.
func (h *Hub) addEvent(name, key string) *event {
	e := h.registry.add(name, key)
	for c := range h.registry.filtered(e) {
		h.match(c, e)
	}
	return e
}

func (h *Hub) addLink(c *conn, e *event) *link {
	l := &link{conn: c, event: e, target: noTarget, since: never}
	c.links[e] = l
	e.links[c] = l
	return l
}

// settle forgets a link, and its event, when nobody wants them any more.
func (h *Hub) settle(l *link) {
	if l.held() {
		return
	}
	for _, s := range l.streams {
		l.conn.endStream(s)
	}
	h.timers.leave(l)
	if l.target == noTarget {
		h.removeLink(l)
	}
	if !l.event.held() {
		for _, rest := range l.event.links { // of filters
			h.setTarget(rest, noTarget, false)
			h.removeLink(rest)
		}
		h.registry.remove(l.event)
	}
}

func (h *Hub) removeLink(l *link) {
	delete(l.conn.links, l.event)
	delete(l.event.links, l.conn)
}

// leavePubs ends publications, and tells the event's subscribers if there were
// no others of the connection.
func (h *Hub) leavePubs(l *link, gone func(claim) bool) {
	if len(l.pubs) == 0 {
		return
	}
	if l.leave(&l.pubs, gone); len(l.pubs) == 0 {
		l.event.publishers--
		if l.event.relay {
			l.conn.relays = slices.DeleteFunc(l.conn.relays, func(e *event) bool { return e == l.event })
		}
		h.publishersChanged(l)
	}
}

// retarget brings the subscription of a link in line with what its client has
// subscribed to. The client is told when that changes anything, or asked.
func (h *Hub) retarget(l *link, asked bool) {
	target, byFilter := l.wanted()
	switch {
	case target != l.target:
		h.setTarget(l, target, byFilter)
		if byFilter {
			l.noticeNew(wire.CmdPublish, l.event.name)
		}
	case asked && target != noTarget:
		l.conn.tell(translation(l, target))
	}
}

// setTarget translates the event's id to another of the client's, which begins
// a new subscription; or takes the translation back, which ends it. From then
// on no sender that still has an older list of subscribers reaches the client
// under the id that it has given up.
func (h *Hub) setTarget(l *link, target int32, byFilter bool) {
	c, e := l.conn, l.event
	epoch := e.epoch.Load() + 1
	begins, ends := l.target == noTarget, target == noTarget
	l.target = target
	if buf, err := c.queue.LockNow(); err == nil { // else c is ending
		l.since, l.announce = epoch, byFilter
		if ends {
			l.since = never
		}
		c.queue.Unlock(append(buf, translation(l, target)...))
		c.checkQueue()
	}
	switch {
	case begins:
		e.addSubscriber(l)
	case ends:
		e.removeSubscriber(l)
	}
	e.epoch.Store(epoch)
	if begins || ends {
		h.subscribersChanged(l)
	}
}

func translation(l *link, target int32) []byte {
	return wire.AppendSetEventIDTranslation(nil, wire.Translation{HubID: l.event.id, ClientID: target})
}
