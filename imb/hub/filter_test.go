package hub_test

import (
	"fmt"
	"testing"

	"imbrouter/imb/hub"
)

// TestFilterOnExistingEvents: for each event that a filter matches comes a
// translation to the filter's id, and its name.
func TestFilterOnExistingEvents(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	a.publish(0, "fed.x")
	a.publish(1, "other.x")
	a.publish(2, "FED.Y")
	a.done()
	b.subscribe(5, "Fed.*")
	b.expect("hub 0 = client 5", `publish 0 0 "fed.x"`, "hub 2 = client 5", `publish 2 0 "FED.Y"`)
	a.signal(0, "x")
	a.signal(1, "not for b")
	a.signal(2, "y")
	a.expect(`subscribe 0 0 "fed.x"`, `subscribe 2 0 "FED.Y"`)
	b.expect(`event 0 normal "x"`, `event 2 normal "y"`)
}

// TestFilterOnLaterEvents: also for an event that comes into being later the
// client learns its name before the first event.
func TestFilterOnLaterEvents(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	b.subscribe(5, "fed.*")
	b.done()
	a.publish(0, "fed.x")
	a.signal(0, "x")
	a.publish(1, "fe")
	a.publish(2, "fed.")
	a.done()
	b.expect("hub 0 = client 5", `publish 0 0 "fed.x"`, `event 0 normal "x"`, "hub 2 = client 5", `publish 2 0 "fed."`)
}

// TestFilterLearnsNameOfUnpublishedEvent: the client is told the name of the
// event, once, also when its sender does not publish it.
func TestFilterLearnsNameOfUnpublishedEvent(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	b.subscribe(5, "*")
	b.done()
	a.subscribe(0, "fed.x")
	a.done()
	b.expect("hub 0 = client 5")
	a.signal(0, "first")
	a.signal(0, "second")
	a.done()
	b.expect(`publish 0 0 "fed.x"`, `event 0 normal "first"`, `event 0 normal "second"`)
}

// TestFilterOnOwnEvents: a client is not told that it publishes, but hears
// itself, and which event it is.
func TestFilterOnOwnEvents(t *testing.T) {
	c := dialHub(t, start(t, hub.Options{}))
	c.subscribe(5, "fed.*")
	c.publish(0, "fed.x")
	c.signal(0, "mine")
	c.signal(0, "mine too")
	c.expect("hub 0 = client 5", `publish 0 0 "fed.x"`, `event 0 normal "mine"`, `event 0 normal "mine too"`)
	c.signal(5, "a filter's id stands for no event")
	c.unpublish("fed.x")
	c.expect("hub 0 = client -1")
}

// TestExactAndFilter: a client with both receives an event once, under the
// exact id, whichever came first.
func TestExactAndFilter(t *testing.T) {
	for _, order := range [][]string{{"fed.x", "fed.*"}, {"fed.*", "fed.x"}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			ids := map[string]int32{"fed.x": 1, "fed.*": 2}
			h := start(t, hub.Options{})
			a, b := dialHub(t, h), dialHub(t, h)
			a.publish(0, "fed.x")
			a.done()
			b.subscribe(ids[order[0]], order[0])
			b.subscribe(ids[order[1]], order[1])
			told := b.told()
			a.signal(0, "once")
			a.done()
			b.expect(`event 0 normal "once"`)
			translation := ""
			for _, line := range told {
				if line == "hub 0 = client 1" || line == "hub 0 = client 2" {
					translation = line
				}
			}
			if translation != "hub 0 = client 1" {
				t.Errorf("last translation is %q of %q", translation, told)
			}
		})
	}
}

// TestFilterAfterExact: when the exact subscription ends, events go on under
// the filter's id, again with the name first.
func TestFilterAfterExact(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	a.publish(0, "fed.x")
	a.done()
	b.subscribe(1, "fed.*")
	b.subscribe(2, "fed.x")
	b.expect("hub 0 = client 1", `publish 0 0 "fed.x"`, "hub 0 = client 2", `publish 0 0 "fed.x"`)
	b.unsubscribe("fed.x")
	b.expect("hub 0 = client 1", `publish 0 0 "fed.x"`)
	a.signal(0, "x")
	a.done()
	b.expect(`event 0 normal "x"`)
}

// TestSeveralFilters: of several filters that match the latest counts, and
// then the one before.
func TestSeveralFilters(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	a.publish(0, "fed.x")
	a.done()
	b.subscribe(1, "fed.*")
	b.subscribe(2, "*")
	b.expect("hub 0 = client 1", `publish 0 0 "fed.x"`, "hub 0 = client 2", `publish 0 0 "fed.x"`)
	a.signal(0, "x")
	a.done()
	b.expect(`event 0 normal "x"`)
	b.unsubscribe("fed.*")
	b.expect()
	b.subscribe(1, "fed.*")
	b.unsubscribe("FED.*") // spelled otherwise
	b.expect("hub 0 = client 1", `publish 0 0 "fed.x"`, "hub 0 = client 2", `publish 0 0 "fed.x"`)
	b.unsubscribe("fed.*") // none any more
	b.unsubscribe("*")
	b.expect("hub 0 = client -1")
	a.signal(0, "nobody listens")
	a.done()
	b.expect()
}

// TestFilterKeepsNoEventAlive: an event that only a filter matches goes, and
// comes back as another.
func TestFilterKeepsNoEventAlive(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	b.subscribe(5, "*")
	b.done()
	for range 100 {
		a.publish(0, "fed.x")
		a.signal(0, "x")
		a.unpublish("fed.x")
		a.expect(`subscribe 0 0 "fed.x"`)
		b.expect("hub 0 = client 5", `publish 0 0 "fed.x"`, `event 0 normal "x"`, `unpublish "fed.x"`, "hub 0 = client -1")
	}
	if n := h.Stats().Events; n != 0 {
		t.Errorf("%d events are left over", n)
	}
}

// TestFilterCannotBePublished: the id keeps its meaning as a subscription.
func TestFilterCannotBePublished(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	b.subscribe(5, "fed.*")
	b.publish(5, "fed.*")
	b.done()
	if n := h.Stats().Events; n != 0 {
		t.Errorf("%d events", n)
	}
	a.publish(0, "fed.x")
	a.signal(0, "x")
	a.done()
	b.expect("hub 0 = client 5", `publish 0 0 "fed.x"`, `event 0 normal "x"`)
}
