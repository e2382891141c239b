// Package router carries signals and streams from sources to sinks along
// routes.
//
// A [Source] pushes into a [Sink]; a route is itself a Sink that filters,
// rewrites and fans out to other Sinks, like HTTP middleware. Calls are
// synchronous: the error that a Sink returns is the acknowledgement, its time
// is the backpressure, its context the cancellation, and a buffer is the
// caller's again when the call returns.
//
//	r := router.New(router.Options{Log: slog.Default()})
//	r.AddSource("outbox", outbox)
//	r.AddSink("broadcast", broadcast)
//	r.AddRoute(router.Route{Name: "send", From: []string{"outbox"}, To: []string{"broadcast"}})
//	err := r.Run(ctx) // until ctx ends, and what was in flight then is done
//
// Package router/daemon builds a Router from a configuration file.
package router
