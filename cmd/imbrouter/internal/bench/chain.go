package bench

import (
	"context"
	"fmt"
)

// chain starts what messages go through, and returns where they enter and exit.
type chain func(context.Context, *Round) (entrance, exit string, err error)

// aHub is a hub of the product, or the one at an address.
func aHub(given string) chain {
	return func(ctx context.Context, r *Round) (entrance, exit string, err error) {
		if given != "" {
			return given, given, nil
		}
		return one(r.hub(ctx))
	}
}

// aForwarder is the ceiling of a hub.
func aForwarder(ctx context.Context, r *Round) (entrance, exit string, err error) {
	return one(r.ceiling(ctx, "forward"))
}

func one(p *process, err error) (entrance, exit string, _ error) {
	if err != nil {
		return "", "", err
	}
	return p.address, p.address, nil
}

// aRouter is two hubs of the product with a router between that has routes.
func aRouter(routes string) chain {
	return func(ctx context.Context, r *Round) (entrance, exit string, err error) {
		from, err := r.hub(ctx)
		if err != nil {
			return "", "", err
		}
		to, err := r.hub(ctx)
		if err != nil {
			return "", "", err
		}
		config := connection("from", from.address) + connection("to", to.address) + routerParts + routes
		return from.address, to.address, r.run("relay.toml", config)
	}
}

// routerParts are the source and the sink of aRouter's routes.
const routerParts = `
[sources.in]
type = "imb"
connection = "from"
events = ["*"]
[sinks.out]
type = "imb"
connection = "to"
`

// aSimpleRouter is the ceiling of aRouter.
func aSimpleRouter(filter ...string) chain {
	return func(ctx context.Context, r *Round) (entrance, exit string, err error) {
		from, err := r.ceiling(ctx, "forward")
		if err != nil {
			return "", "", err
		}
		to, err := r.ceiling(ctx, "forward")
		if err != nil {
			return "", "", err
		}
		_, err = r.ceiling(ctx, append([]string{"relay", from.address, to.address}, filter...)...)
		return from.address, to.address, err
	}
}

// connection is the table of one in a configuration.
func connection(name, address string) string {
	return fmt.Sprintf("[connections.%s]\naddress = %q\nfederation = %q\n\n", name, address, federation)
}
