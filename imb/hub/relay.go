package hub

import (
	"slices"

	"imbrouter/imb/wire"
)

// maxRelays is how many relay events a connection may publish. One is enough.
const maxRelays = 16

var relayKey = wire.FoldName(wire.RelayPrefix)

// group is whom the messages of a connection that relays do not go to: the
// subscribers of the relay events that it publishes, as they were at one time.
// It does not change.
type group struct {
	subscribers []*[]*link // of each of the events
	members     map[*conn]struct{}
}

// relayGroup returns the connection's group of now, or nil when it does not
// relay. It is called by the connection's reader. As long as nobody comes or
// goes it is the same one, for runs and streams to share.
func (c *conn) relayGroup() *group {
	if len(c.relays) == 0 {
		return nil
	}
	if !c.group.isOf(c.relays) {
		c.group = newGroup(c.relays)
	}
	return c.group
}

func newGroup(relays []*event) *group {
	g := &group{members: make(map[*conn]struct{})}
	for _, e := range relays {
		list := e.subscribers.Load()
		g.subscribers = append(g.subscribers, list)
		for _, l := range *list {
			g.members[l.conn] = struct{}{}
		}
	}
	return g
}

// isOf tells whether the group is still that of the events.
func (g *group) isOf(relays []*event) bool {
	return g != nil && slices.EqualFunc(g.subscribers, relays, func(list *[]*link, e *event) bool {
		return list == e.subscribers.Load()
	})
}

// has tells whether a connection is a member. A nil group has none.
func (g *group) has(c *conn) bool {
	if g == nil {
		return false
	}
	_, ok := g.members[c]
	return ok
}

// without returns the links of those who are not members.
func (g *group) without(links []*link) []*link {
	return slices.DeleteFunc(slices.Clone(links), func(l *link) bool { return g.has(l.conn) })
}
