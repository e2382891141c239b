package bench

import (
	"context"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
)

// Signals says which signals are sent.
type Signals struct {
	Payload     int // bytes of data in each, at least MinPayload
	Publishers  int
	Subscribers int
	Count       int // in all
}

// Through measures the hub at an address, or with "" one of our own, while as
// much as possible is sent.
func (s Signals) Through(hub string, floors ...Floor) Case {
	return Case{
		Name: fmt.Sprintf("hub, %s, %d -> %d", size(s.Payload), s.Publishers, s.Subscribers), Unit: "signals/s",
		Product: s.flood(aHub(hub)), Ceiling: s.flood(aForwarder), Floors: floors,
	}
}

// OneByOne measures how long each takes through an otherwise idle hub, which is
// that of Through. All is on one processor, see pin.
func (s Signals) OneByOne(hub string, floors ...Floor) Case {
	s.Publishers, s.Subscribers = 1, 1
	pingPong := func(way chain) Side {
		side := s.over(way, func(ctx context.Context, c *crowd) (Sample, error) {
			return c.pingPong(ctx, signal(s.Payload), s.Count)
		})
		return func(ctx context.Context, r *Round) (Sample, error) {
			defer pin()()
			return side(ctx, r)
		}
	}
	return Case{
		Name: fmt.Sprintf("hub, %s, idle", size(s.Payload)), Unit: "signals/s",
		Product: pingPong(aHub(hub)), Ceiling: pingPong(aForwarder), Floors: floors,
	}
}

// passAll is a filter that all signals pass.
const passAll = `text contains "alarm" && event startsWith "a"`

// Relayed measures two hubs with a router between, with or without a filter,
// which all signals pass.
func (s Signals) Relayed(filter bool, floors ...Floor) Case {
	c := Case{
		Name: fmt.Sprintf("relay, %s", size(s.Payload)), Unit: "signals/s",
		Product: s.flood(aRouter(route("all", ""))), Ceiling: s.flood(aSimpleRouter()), Floors: floors,
	}
	if filter {
		c.Name += ", when"
		c.Product, c.Ceiling = s.flood(aRouter(route("all", passAll))), s.flood(aSimpleRouter("filter"))
	}
	return c
}

// RelayedSafely is Relayed without a filter, beside the safe ceiling.
func (s Signals) RelayedSafely() Case {
	c := s.Relayed(false)
	c.Name += ", safe ceiling"
	c.Ceiling = s.flood(aSimpleRouter("queue"))
	return c
}

// ManyRoutes measures a relay with so many routes, of which one takes the
// signals. Its ceiling is that with the one only.
func (s Signals) ManyRoutes(count int, floors ...Floor) Case {
	one := route("one", fmt.Sprintf("event == %q", eventName))
	var all strings.Builder
	for n := range count - 1 {
		all.WriteString(route(fmt.Sprint("other", n), fmt.Sprintf("event == %q", fmt.Sprint("other", n))))
	}
	all.WriteString(one)
	return Case{
		Name: fmt.Sprintf("relay, %s, 1 of %d routes", size(s.Payload), count), Unit: "signals/s",
		Product: s.flood(aRouter(all.String())), Ceiling: s.flood(aRouter(one)), Floors: floors,
	}
}

// route is the table of one in a configuration with aRouter's source and sink.
func route(name, when string) string {
	table := fmt.Sprintf("[routes.%s]\nfrom = [\"in\"]\nto = [\"out\"]\n", name)
	if when != "" {
		table += fmt.Sprintf("when = '%s'\n", when)
	}
	return table
}

func (s Signals) flood(way chain) Side {
	return s.over(way, func(ctx context.Context, c *crowd) (Sample, error) {
		return c.flood(ctx, signal(s.Payload), s.Count)
	})
}

// over lets a crowd do something at the ends of a chain.
func (s Signals) over(way chain, do func(context.Context, *crowd) (Sample, error)) Side {
	return func(ctx context.Context, r *Round) (Sample, error) {
		entrance, exit, err := way(ctx, r)
		if err != nil {
			return Sample{}, err
		}
		c, err := gather(entrance, exit, s.Publishers, s.Subscribers)
		if err != nil {
			return Sample{}, err
		}
		defer c.close()
		if err := c.probe(ctx, signal(s.Payload)); err != nil {
			return Sample{}, err
		}
		return do(ctx, c)
	}
}

// size writes a number of bytes for people, as short as it goes.
func size[T int | int64](n T) string {
	return strings.NewReplacer(" ", "", ".0", "").Replace(humanize.IBytes(uint64(n)))
}
