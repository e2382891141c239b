package hub_test

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// strict checks what a hub tells one client as the strictest of the known
// clients do, each of which fails on one of these.
type strict struct {
	ids     map[int32]int32   // client id by hub id
	named   map[int32]string  // by hub id, what publish told since the translation
	streams map[[2]int32]bool // open, by client id and stream id
	told    map[string]bool   // whether there are publishers, subscribers, by name
	events  []delivery        // in order
}

type delivery struct {
	id   int32  // the client's
	name string // as told by publish, or ""
	data string
}

func newStrict() *strict {
	return &strict{map[int32]int32{}, map[int32]string{}, map[[2]int32]bool{}, map[string]bool{}, nil}
}

// take checks the next frame.
func (s *strict) take(f wire.Frame) error {
	switch f.Command {
	case wire.CmdSetEventIDTranslation:
		t, err := wire.ParseSetEventIDTranslation(f.Payload)
		if err != nil {
			return err
		}
		before, has := s.ids[t.HubID]
		switch {
		case t.ClientID >= 0 && (!has || before != t.ClientID):
			s.ids[t.HubID] = t.ClientID
			delete(s.named, t.HubID)
		case t.ClientID < 0 && !has:
			return fmt.Errorf("hub id %d is taken back that was not given", t.HubID)
		case t.ClientID < 0:
			delete(s.ids, t.HubID)
			delete(s.named, t.HubID)
		}
	case wire.CmdPublish, wire.CmdSubscribe:
		r, err := wire.ParseEventRef(f.Payload)
		if err != nil {
			return err
		}
		if f.Command == wire.CmdPublish {
			s.named[r.ID] = r.Name
		}
		s.told[f.Command.String()+" "+r.Name] = true
	case wire.CmdUnpublish, wire.CmdUnsubscribe:
		name, err := wire.ParseText(f.Payload)
		if err != nil {
			return err
		}
		opposite := map[wire.Command]wire.Command{wire.CmdUnpublish: wire.CmdPublish, wire.CmdUnsubscribe: wire.CmdSubscribe}[f.Command]
		if key := opposite.String() + " " + name; !s.told[key] {
			return fmt.Errorf("%v %q without %v before", f.Command, name, opposite)
		} else {
			s.told[key] = false
		}
	case wire.CmdEvent:
		e, err := wire.ParseEvent(f.Payload)
		if err != nil {
			return err
		}
		id, ok := s.ids[e.ID]
		if !ok {
			return fmt.Errorf("an event under hub id %d, which stands for nothing", e.ID)
		}
		if e.Kind.IsStream() {
			part, err := wire.ParseStreamChunk(e.Data)
			if err != nil {
				return err
			}
			key := [2]int32{id, part.StreamID}
			if e.Kind != wire.StreamHeader && !s.streams[key] {
				return fmt.Errorf("%v of stream %d under id %d without its header", e.Kind, part.StreamID, id)
			}
			s.streams[key] = e.Kind != wire.StreamTail
			return nil
		}
		s.events = append(s.events, delivery{id, s.named[e.ID], string(e.Data)})
	}
	return nil
}

// model is what one client has subscribed to and published, by its ids.
type model struct {
	*client
	strict           *strict
	subs, pubs, taps map[int32]string
	named            map[string]bool // under a filter, by a publish that nobody's publication caused
	relays, listens  bool            // publishes the relay event, subscribes it
}

// rebind forgets what an id stood for, if that is another name, and another id
// for the name.
func (m *model) rebind(id int32, name string, list map[int32]string) {
	for _, l := range []map[int32]string{m.subs, m.pubs, m.taps} {
		if old, ok := l[id]; ok && !strings.EqualFold(old, name) {
			delete(l, id)
		}
	}
	maps.DeleteFunc(list, func(_ int32, n string) bool { return n == name })
	list[id] = name
}

// leave forgets a name: in its spelling, or any other one that is the only one.
func leave(list map[int32]string, name string) {
	maps.DeleteFunc(list, func(_ int32, n string) bool { return n == name })
}

// bound returns the event that the id stands for when something is sent.
func (m *model) bound(id int32) (name string, ok bool) {
	if name, ok = m.subs[id]; !ok {
		name, ok = m.pubs[id]
	}
	return name, ok
}

// hears returns the ids under which the client may get the event: those of its
// name, else those of the filters.
func (m *model) hears(name string) (ids []int32, byFilter bool) {
	for id, sub := range m.subs {
		if strings.EqualFold(sub, name) {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		return ids, false
	}
	for id, tap := range m.taps {
		if wire.MatchName(tap, name) {
			ids = append(ids, id)
		}
	}
	return ids, true
}

// disbelief tells of a name under which the client believes something else of
// the others than is so; that they publish or subscribe, as it was told last.
func (m *model) disbelief(all []*model) error {
	published := func(name string) bool {
		return slices.ContainsFunc(all, func(other *model) bool { return other != m && holdsFold(other.pubs, name) })
	}
	subscribed := func(name string) bool {
		return slices.ContainsFunc(all, func(other *model) bool {
			ids, _ := other.hears(name)
			return other != m && len(ids) > 0
		})
	}
	for key, told := range m.strict.told {
		if strings.Contains(key, relayName) {
			return fmt.Errorf("was told of %s", key)
		}
		name, ok := strings.CutPrefix(key, "publish ")
		if _, byFilter := m.hears(name); ok && byFilter {
			m.named[name] = told && !published(name)
		} else if ok && !told {
			m.named[name] = false
		}
	}
	for _, name := range m.subs {
		if told, is := m.strict.told["publish "+name], published(name); told != is && !m.named[name] {
			return fmt.Errorf("was told that others publish %s: %t, which is %t", name, told, is)
		}
	}
	for _, name := range m.pubs {
		if told, is := m.strict.told["subscribe "+name], subscribed(name); told != is {
			return fmt.Errorf("was told that others subscribe to %s: %t, which is %t", name, told, is)
		}
	}
	return nil
}

func holdsFold(list map[int32]string, name string) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(list)), func(n string) bool { return strings.EqualFold(n, name) })
}

// TestStrictClients lets clients do anything in any order, one after the
// other, and compares what each gets with what it must get.
func TestStrictClients(t *testing.T) {
	names := []string{"fed.a", "fed.ab", "FED.A", "fed.b", "other"}
	filters := []string{"*", "fed.*", "Fed.A*", "none.*"}
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			h := start(t, hub.Options{})
			models := make([]*model, 3)
			connect := func(i int) {
				models[i] = &model{
					client: dialHub(t, h), strict: newStrict(),
					subs: map[int32]string{}, pubs: map[int32]string{}, taps: map[int32]string{}, named: map[string]bool{},
				}
			}
			for i := range models {
				connect(i)
			}
			var history []string
			for step := range 60 {
				i := rnd.IntN(len(models))
				m := models[i]
				id, name, tap := rnd.Int32N(4), names[rnd.IntN(len(names))], filters[rnd.IntN(len(filters))]
				var want [][]delivery
				op := rnd.IntN(14)
				history = append(history, fmt.Sprintf("%d: %s %d %s %s", i,
					[]string{"subscribe", "subscribe", "publish", "publish", "unsubscribe", "unpublish", "tap", "untap", "signal", "signal", "stream", "reconnect", "relay", "listen"}[op], id, name, tap))
				switch op {
				case 0, 1:
					m.rebind(id, name, m.subs)
					m.subscribe(id, name)
				case 2, 3:
					m.rebind(id, name, m.pubs)
					m.publish(id, name)
				case 4:
					if slices.Contains(slices.Collect(maps.Values(m.subs)), name) {
						leave(m.subs, name)
						m.unsubscribe(name)
					}
				case 5:
					if slices.Contains(slices.Collect(maps.Values(m.pubs)), name) {
						leave(m.pubs, name)
						m.unpublish(name)
					}
				case 6:
					m.rebind(id, tap, m.taps)
					m.subscribe(id, tap)
				case 7:
					if slices.Contains(slices.Collect(maps.Values(m.taps)), tap) {
						leave(m.taps, tap)
						m.unsubscribe(tap)
					}
				case 8, 9:
					m.signal(id, fmt.Sprint(step))
					if sent, ok := m.bound(id); ok {
						want = make([][]delivery, len(models))
						for j, to := range models {
							if m.relays && to.listens {
								continue
							}
							ids, byFilter := to.hears(sent)
							for _, id := range ids {
								d := delivery{id: id, data: fmt.Sprint(step)}
								if byFilter {
									d.name = sent
								}
								want[j] = append(want[j], d)
							}
						}
					}
				case 10:
					kind := []wire.Kind{head, body, tail}[rnd.IntN(3)]
					m.stream(kind, id, int32(i), "x") // strict looks at these
				case 11:
					m.close(h)
					connect(i)
				case 12:
					if m.relays = !m.relays; m.relays {
						m.publish(relayID, relayName)
					} else {
						m.unpublish(relayName)
					}
				case 13:
					if m.listens = !m.listens; m.listens {
						m.subscribe(relayID+1, relayName)
					} else {
						m.unsubscribe(relayName)
					}
				}
				// Twice: what the others are told of this step is told by then.
				for range 2 {
					for j, to := range models {
						if err := to.check(); err != nil {
							t.Fatalf("client %d: %v\nafter\n%s", j, err, strings.Join(history, "\n"))
						}
					}
				}
				for j, to := range models {
					var expected []delivery
					if want != nil {
						expected = want[j]
					}
					if !delivered(to.strict.events, expected) {
						t.Fatalf("client %d got %v, want one of %v\nafter\n%s", j, to.strict.events, expected, strings.Join(history, "\n"))
					}
					to.strict.events = nil
					if err := to.disbelief(models); err != nil {
						t.Fatalf("client %d %v\nafter\n%s", j, err, strings.Join(history, "\n"))
					}
				}
			}
		})
	}
}

// delivered tells whether got is one of the deliveries that are expected, or
// none when none is.
func delivered(got, expected []delivery) bool {
	if len(expected) == 0 {
		return len(got) == 0
	}
	return len(got) == 1 && slices.ContainsFunc(expected, func(d delivery) bool {
		return got[0].id == d.id && got[0].data == d.data && (d.name == "" || strings.EqualFold(got[0].name, d.name))
	})
}

// check lets strict look at everything that the client has been told.
func (m *model) check() error {
	sent := make(chan error, 1)
	go func() {
		_, err := m.conn.Write(wire.AppendUniqueClientID(nil, wire.UniqueClientID{}))
		sent <- err
	}()
	for {
		f, err := m.r.Next()
		if err != nil {
			return err
		}
		if f.Command == wire.CmdUniqueClientID {
			return <-sent
		}
		if err := m.strict.take(f); err != nil {
			return err
		}
	}
}

// TestStrictClientsUnderTraffic lets clients subscribe, unsubscribe and send
// at the same time, without waiting for anything.
func TestStrictClientsUnderTraffic(t *testing.T) {
	h := start(t, hub.Options{QueueBytes: 64 << 10})
	l := serve(t, h)
	names := []string{"fed.a", "fed.b", "fed.c"}
	var all sync.WaitGroup
	for i := range 4 {
		c := dialTCP(t, l)
		c.conn.SetDeadline(time.Now().Add(time.Minute))
		all.Go(func() {
			s := newStrict()
			for {
				f, err := c.r.Next()
				if err == io.EOF {
					return
				}
				if err == nil {
					err = s.take(f)
					s.events = nil
				}
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					c.conn.Close()
					return
				}
			}
		})
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for n := range 3000 {
				id := rnd.Int32N(3)
				var b []byte
				switch rnd.IntN(8) {
				case 0:
					b = wire.AppendSubscribe(nil, wire.EventRef{ID: id, Name: names[id]})
				case 1:
					b = wire.AppendText(nil, wire.CmdUnsubscribe, names[id])
				case 2:
					b = wire.AppendPublish(nil, wire.EventRef{ID: id, Name: names[id]})
				case 3:
					b = wire.AppendText(nil, wire.CmdUnpublish, names[id])
				case 4:
					b = wire.AppendSubscribe(nil, wire.EventRef{ID: 3, Name: "fed.*"})
				case 5:
					b = wire.AppendText(nil, wire.CmdUnsubscribe, "fed.*")
				default:
					stream := int32(i<<20 | n)
					for _, e := range []wire.Event{
						{ID: id, Kind: wire.NormalEvent, Data: []byte("x")},
						{ID: id, Kind: wire.StreamHeader, Data: wire.AppendStreamStart(nil, wire.StreamStart{StreamID: stream})},
						{ID: id, Kind: wire.StreamBody, Data: wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: stream})},
						{ID: id, Kind: wire.StreamBody, Data: wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: stream, Bytes: make([]byte, 500)})},
						{ID: id, Kind: wire.StreamTail, Data: wire.AppendStreamChunk(nil, wire.StreamChunk{StreamID: stream})},
					} {
						b = wire.AppendEvent(b, e)
					}
				}
				if _, err := c.conn.Write(b); err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
			}
			c.conn.Write(wire.AppendFrame(nil, wire.CmdEndSession, nil))
		})
	}
	all.Wait()
	eventually(t, "all gone", func() bool { s := h.Stats(); return s.Connections == 0 && s.Events == 0 })
}
