package hub_test

import (
	"fmt"
	"strings"
	"testing"

	"imbrouter/imb/hub"
)

// TestNotices: clients keep booleans, and one family adds and drops events on
// them; so they are told of the first and the last of the others and of
// nothing else.
func TestNotices(t *testing.T) {
	h := start(t, hub.Options{})
	sub, pub, pub2, late := dialHub(t, h), dialHub(t, h), dialHub(t, h), dialHub(t, h)

	sub.subscribe(1, "fed.x")
	sub.expect("hub 0 = client 1") // nobody publishes yet
	pub.publish(2, "fed.x")
	pub.expect(`subscribe 0 0 "fed.x"`) // a late comer
	sub.expect(`publish 0 0 "fed.x"`)   // 0 to 1
	pub2.publish(3, "fed.x")
	pub2.expect(`subscribe 0 0 "fed.x"`)
	sub.expect() // 1 to 2
	late.subscribe(4, "fed.x")
	late.expect("hub 0 = client 4", `publish 0 0 "fed.x"`)
	pub.expect() // 1 to 2

	pub.unpublish("fed.x")
	pub.unpublish("fed.x")
	pub.expect()
	sub.expect() // 2 to 1
	pub2.unpublish("fed.x")
	pub2.done()
	sub.expect(`unpublish "fed.x"`) // 1 to 0
	late.expect(`unpublish "fed.x"`)

	pub.publish(2, "fed.x")
	pub.publish(2, "fed.x") // again: no change
	pub.expect(`subscribe 0 0 "fed.x"`)
	sub.expect(`publish 0 0 "fed.x"`)
	late.expect(`publish 0 0 "fed.x"`)
	sub.unsubscribe("fed.x")
	sub.done()
	pub.expect() // 2 to 1
	late.unsubscribe("fed.x")
	late.done()
	pub.expect(`unsubscribe "fed.x"`) // 1 to 0
}

// TestNoticesAfterComingBack: what a client was told in an earlier subscription
// or publication it may still believe, and is corrected if it is not so now.
func TestNoticesAfterComingBack(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	a.publish(0, "fed.x")
	a.subscribe(0, "fed.x")
	a.expect("hub 0 = client 0")
	b.publish(0, "fed.x")
	b.subscribe(0, "fed.x")
	b.done()
	a.expect(`publish 0 0 "fed.x"`, `subscribe 0 0 "fed.x"`)

	a.unsubscribe("fed.x")
	a.done()
	b.unpublish("fed.x")
	b.done()
	a.subscribe(0, "fed.x")
	a.expect("hub 0 = client 0", `unpublish "fed.x"`)
	a.unsubscribe("fed.x")
	a.subscribe(0, "fed.x") // knows that nobody does
	a.expect("hub 0 = client -1", "hub 0 = client 0")
	b.publish(0, "fed.x")
	b.done()
	a.expect(`publish 0 0 "fed.x"`)

	a.unpublish("fed.x")
	a.done()
	b.unsubscribe("fed.x")
	b.done()
	a.publish(0, "fed.x")
	a.expect(`unsubscribe "fed.x"`)
	a.unpublish("fed.x")
	a.publish(0, "fed.x")
	a.expect()
	b.subscribe(0, "fed.x")
	b.done()
	a.expect(`subscribe 0 0 "fed.x"`)
}

// TestNoticesOfDisconnect: a connection that goes has left everything.
func TestNoticesOfDisconnect(t *testing.T) {
	h := start(t, hub.Options{})
	pub, sub := dialHub(t, h), dialHub(t, h)
	pub.publish(1, "fed.x")
	pub.subscribe(2, "fed.y")
	pub.done()
	for range 3 {
		other := dialHub(t, h)
		other.subscribe(1, "fed.x")
		other.publish(2, "fed.y")
		other.done()
		pub.expect(`subscribe 0 0 "fed.x"`, `publish 1 0 "fed.y"`)
		other.close(h)
		// In no order: it left both at once.
		told := pub.told()
		if len(told) != 2 || told[0] == told[1] {
			t.Fatalf("told %q", told)
		}
		for _, line := range told {
			if line != `unsubscribe "fed.x"` && line != `unpublish "fed.y"` {
				t.Errorf("told %q", line)
			}
		}
	}
	sub.subscribe(0, "fed.x")
	sub.done()
	pub.expect(`subscribe 0 0 "fed.x"`)
}

// TestNoticesAreOfOthers: nobody is told of what it does itself, and whoever
// publishes and subscribes an event is told of another who does.
func TestNoticesAreOfOthers(t *testing.T) {
	h := start(t, hub.Options{})
	a, b := dialHub(t, h), dialHub(t, h)
	a.subscribe(0, "fed.x")
	a.publish(0, "fed.x")
	a.unpublish("fed.x")
	a.publish(0, "fed.x")
	a.expect("hub 0 = client 0")

	b.publish(0, "fed.x")
	b.expect(`subscribe 0 0 "fed.x"`)
	a.expect(`publish 0 0 "fed.x"`)
	b.subscribe(0, "fed.x")
	b.expect("hub 0 = client 0", `publish 0 0 "fed.x"`)
	a.expect(`subscribe 0 0 "fed.x"`)

	a.unpublish("fed.x")
	a.expect()
	b.expect(`unpublish "fed.x"`)
	b.close(h)
	a.expect(`unpublish "fed.x"`)
}

// TestNoticesOfFilters: a filter is a subscriber as well.
func TestNoticesOfFilters(t *testing.T) {
	h := start(t, hub.Options{})
	pub, tap := dialHub(t, h), dialHub(t, h)
	pub.publish(0, "fed.x")
	pub.expect()
	tap.subscribe(0, "fed.*")
	tap.expect("hub 0 = client 0", `publish 0 0 "fed.x"`)
	pub.expect(`subscribe 0 0 "fed.x"`)
	tap.subscribe(1, "fed.x")
	tap.unsubscribe("fed.x")
	tap.done()
	pub.expect() // was and is a subscriber
	tap.unsubscribe("fed.*")
	tap.expect("hub 0 = client -1")
	pub.expect(`unsubscribe "fed.x"`)
}

// TestNoticesInOwnSpelling: most clients find their event by its exact name.
func TestNoticesInOwnSpelling(t *testing.T) {
	h := start(t, hub.Options{})
	pub, sub := dialHub(t, h), dialHub(t, h)
	sub.subscribe(0, "Fed.X")
	sub.subscribe(1, "fed.x")
	sub.done()
	pub.publish(0, "FED.X")
	pub.expect(`subscribe 0 0 "FED.X"`)
	sub.expect(`publish 0 0 "Fed.X"`, `publish 0 0 "fed.x"`)
	pub.unpublish("FED.X")
	pub.done()
	sub.expect(`unpublish "Fed.X"`, `unpublish "fed.x"`)
}

// TestNoticesOfManyNamesLeft: what is remembered of names that a client has
// left is bounded, so that one that takes ever more names costs no memory. What
// it was told of those that it has kept is not forgotten.
func TestNoticesOfManyNamesLeft(t *testing.T) {
	h := start(t, hub.Options{MaxEvents: 3})
	a, b := dialHub(t, h), dialHub(t, h)
	b.subscribe(0, "*")
	b.done()
	received := drain(b, noPause)
	a.publish(0, "kept")
	a.expect(`subscribe 0 0 "kept"`)
	memory := heapInUse()
	long := strings.Repeat("x", 1000)
	for n := range 10_000 {
		name := fmt.Sprint(n, long)
		a.publish(1, name)
		a.unpublish(name)
		if got := describe(a.next()); !strings.HasPrefix(got, "subscribe 1 0") {
			t.Fatalf("told %s", got)
		}
	}
	if used := heapInUse() - memory; used > 4<<20 {
		t.Errorf("%d MiB of memory", used>>20)
	}
	b.close(h)
	received()
	a.expect(`unsubscribe "kept"`)
}
