package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/router"
)

// collector reads what /metrics tells from the counters of the router when it is
// asked. It keeps no series: those of a part are gone with the part. The values
// of labels are names of the configuration and words of this program, never a
// name from a network.
type collector struct {
	server *Server

	version, ready, stuck, reloaded, reloadTime *prometheus.Desc
	source, route, sink                         partMetrics
	sourceUp, sourceRestarts, waiting, routeUp  *prometheus.Desc
	connection                                  []metric[router.Link]
	hub                                         []metric[hub.Stats]
}

// partMetrics are those that sources, routes and sinks have in common.
type partMetrics struct {
	messages, bytes, notTaken, failures, seconds *prometheus.Desc // by kind of message
	transfers, succeeded                         *prometheus.Desc
}

// metric is one value of a thing that has many.
type metric[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(T) float64
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("imbrouter_"+name, help, labels, nil)
}

func newRegistry(s *Server) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(s), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

func newCollector(s *Server) *collector {
	return &collector{
		server:     s,
		version:    desc("build_info", "1, with the version of the program.", "version"),
		ready:      desc("ready", "1 when the routes are up and their hubs are connected, as /readyz has it."),
		stuck:      desc("stuck", "1 when something does not return, as /healthz has it."),
		reloaded:   desc("config_last_reload_successful", "0 when the configuration was last refused; 1 before the first reload."),
		reloadTime: desc("config_last_reload_success_timestamp_seconds", "When the configuration that runs was read, as Unix time."),

		source: newPartMetrics("source"), route: newPartMetrics("route"), sink: newPartMetrics("sink"),
		sourceUp:       desc("source_up", "0 while a source has failed and waits to be started again.", "source"),
		sourceRestarts: desc("source_restarts_total", "How often a source failed and was started again.", "source"),
		waiting:        desc("source_waiting_files", "Files in a folder that are to be sent, with those on their way.", "source"),
		routeUp:        desc("route_up", "0 while a route is stopped by its loop_guard.", "route"),

		connection: connectionMetrics(),
		hub:        hubMetrics(),
	}
}

func newPartMetrics(part string) partMetrics {
	return partMetrics{
		messages:  desc(part+"_messages_total", "Messages that came to a "+part+". Each try counts.", part, "kind"),
		bytes:     desc(part+"_bytes_total", "Bytes of data of these messages.", part, "kind"),
		notTaken:  desc(part+"_not_taken_total", "Messages that a "+part+" left out: no filter or sink wanted them.", part, "kind"),
		failures:  desc(part+"_failures_total", "Messages that failed in a "+part+", by cause.", part, "kind", "cause"),
		seconds:   desc(part+"_duration_seconds", "How long messages took that got through; a sample of the signals.", part, "kind"),
		transfers: desc(part+"_transfers", "Streams in transit.", part),
		succeeded: desc(part+"_last_success_timestamp_seconds", "When a message last got through, as Unix time; 0 for never.", part),
	}
}

func (m partMetrics) describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.messages, m.bytes, m.notTaken, m.failures, m.seconds, m.transfers, m.succeeded} {
		ch <- d
	}
}

func connectionMetrics() []metric[router.Link] {
	labels := []string{"connection", "kind", "name"} // kind is "source", "sink" or "relay", name that of the source or sink
	gauge := func(name, help string, value func(router.Link) float64) metric[router.Link] {
		return metric[router.Link]{desc("connection_"+name, help, labels...), prometheus.GaugeValue, value}
	}
	count := func(name, help string, value func(imb.Stats) uint64) metric[router.Link] {
		return metric[router.Link]{
			desc("connection_"+name, help, labels...), prometheus.CounterValue,
			func(l router.Link) float64 { return float64(value(l.Stats)) },
		}
	}
	return []metric[router.Link]{
		gauge("up", "1 while the hub is connected.", func(l router.Link) float64 { return one(l.State == imb.Connected) }),
		gauge("send_queue_bytes", "Bytes that wait to be sent.", func(l router.Link) float64 { return float64(l.Stats.SendQueue) }),
		gauge("receive_queue_bytes", "Bytes that wait for the routes.", func(l router.Link) float64 { return float64(l.Stats.ReceiveQueue) }),
		count("connects_total", "How often the connection was made.", func(s imb.Stats) uint64 { return s.Connections }),
		count("received_bytes_total", "Bytes received.", func(s imb.Stats) uint64 { return s.BytesReceived }),
		count("sent_bytes_total", "Bytes sent.", func(s imb.Stats) uint64 { return s.BytesSent }),
		count("streams_received_total", "Streams that came whole.", func(s imb.Stats) uint64 { return s.StreamsReceived }),
		count("streams_incomplete_total", "Streams that ended before their end.", func(s imb.Stats) uint64 { return s.StreamsIncomplete }),
		count("streams_refused_total", "Streams that max_streams refused, or that have too long a name.", func(s imb.Stats) uint64 { return s.StreamsRefused }),
		count("stream_collisions_total", "Streams that began under the id of another.", func(s imb.Stats) uint64 { return s.Collisions }),
		count("stray_chunks_total", "Parts of streams that are not received.", func(s imb.Stats) uint64 { return s.StrayChunks }),
		count("signals_dropped_total", "Signals for which the queue had no room.", func(s imb.Stats) uint64 { return s.Dropped }),
		count("events_untranslated_total", "Events under an id that the hub did not explain.", func(s imb.Stats) uint64 { return s.Untranslated }),
		count("malformed_total", "Payloads that do not hold what they must.", func(s imb.Stats) uint64 { return s.Malformed }),
		count("broken_total", "Bytes and frames that are no IMB.", func(s imb.Stats) uint64 { return s.Broken }),
	}
}

func hubMetrics() []metric[hub.Stats] {
	gauge := func(name, help string, value func(hub.Stats) int) metric[hub.Stats] {
		return metric[hub.Stats]{desc("hub_"+name, help), prometheus.GaugeValue, func(s hub.Stats) float64 { return float64(value(s)) }}
	}
	count := func(name, help string, value func(hub.Stats) uint64) metric[hub.Stats] {
		return metric[hub.Stats]{desc("hub_"+name, help), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(value(s)) }}
	}
	return []metric[hub.Stats]{
		gauge("connections", "Clients that are connected to the hub inside.", func(s hub.Stats) int { return s.Connections }),
		gauge("events", "Names of events in use.", func(s hub.Stats) int { return s.Events }),
		gauge("variables", "Variables that are kept.", func(s hub.Stats) int { return s.Variables }),
		gauge("queued_bytes", "Bytes that wait to be written to clients.", func(s hub.Stats) int { return s.Queued }),
		count("connections_accepted_total", "Connections accepted.", func(s hub.Stats) uint64 { return s.Accepted }),
		count("connections_refused_total", "Connections refused because there were too many.", func(s hub.Stats) uint64 { return s.Refused }),
		count("received_frames_total", "Frames read from clients.", func(s hub.Stats) uint64 { return s.FramesIn }),
		count("received_bytes_total", "Bytes read from clients.", func(s hub.Stats) uint64 { return s.BytesIn }),
		count("sent_events_total", "Events handed to subscribers.", func(s hub.Stats) uint64 { return s.FramesOut }),
		count("sent_bytes_total", "Bytes of these events.", func(s hub.Stats) uint64 { return s.BytesOut }),
		count("dropped_total", "Events under an unknown id and parts of streams without a beginning.", func(s hub.Stats) uint64 { return s.Dropped }),
		count("malformed_total", "Bytes, frames and payloads that are no IMB.", func(s hub.Stats) uint64 { return s.Malformed }),
		count("slow_consumers_total", "Clients that were disconnected because they read too slowly.", func(s hub.Stats) uint64 { return s.SlowConsumers }),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.version, c.ready, c.stuck, c.reloaded, c.reloadTime, c.sourceUp, c.sourceRestarts, c.waiting, c.routeUp,
	} {
		ch <- d
	}
	for _, parts := range []partMetrics{c.source, c.route, c.sink} {
		parts.describe(ch)
	}
	for _, m := range c.connection {
		ch <- m.desc
	}
	for _, m := range c.hub {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	o := c.server.options.Daemon.Router().Observe()
	gauge(c.version, 1, c.server.options.Version)
	gauge(c.ready, one(len(c.server.notReady(o)) == 0))
	gauge(c.stuck, one(c.server.stuck() != ""))
	last := c.server.options.Reloader.Last()
	gauge(c.reloaded, one(last == nil || last.Outcome != Refused))
	gauge(c.reloadTime, unix(c.server.options.Reloader.Loaded()))
	for _, source := range o.Sources {
		c.source.collect(ch, source)
		gauge(c.sourceUp, one(!source.Down), source.Name)
		ch <- prometheus.MustNewConstMetric(c.sourceRestarts, prometheus.CounterValue, float64(source.Restarts), source.Name)
		if source.Waiting >= 0 {
			gauge(c.waiting, float64(source.Waiting), source.Name)
		}
		c.collectLinks(ch, "source", source)
	}
	for _, route := range o.Routes {
		c.route.collect(ch, route)
		gauge(c.routeUp, one(!route.Down), route.Name)
	}
	for _, sink := range o.Sinks {
		c.sink.collect(ch, sink)
		c.collectLinks(ch, "sink", sink)
	}
	if stats, ok := c.server.options.Daemon.HubStats(); ok {
		for _, m := range c.hub {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(stats))
		}
	}
}

func (c *collector) collectLinks(ch chan<- prometheus.Metric, kind string, o router.Observed) {
	for _, link := range o.Links {
		labels := []string{link.Connection, kind, o.Name}
		if link.Relay {
			labels[1] = "relay"
		}
		for _, m := range c.connection {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(link), labels...)
		}
	}
}

func (m partMetrics) collect(ch chan<- prometheus.Metric, o router.Observed) {
	for kind, flow := range map[string]router.Flow{"signal": o.Signals, "stream": o.Streams} {
		count := func(d *prometheus.Desc, value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, append([]string{o.Name, kind}, labels...)...)
		}
		count(m.messages, float64(flow.Messages))
		count(m.bytes, float64(flow.Bytes))
		count(m.notTaken, float64(flow.NotTaken))
		for cause, n := range flow.Failures {
			count(m.failures, float64(n), cause.String())
		}
		ch <- histogram(m.seconds, flow.Took, o.Name, kind)
	}
	ch <- prometheus.MustNewConstMetric(m.transfers, prometheus.GaugeValue, float64(o.Transfers), o.Name)
	ch <- prometheus.MustNewConstMetric(m.succeeded, prometheus.GaugeValue, unix(o.Succeeded), o.Name)
}

func histogram(d *prometheus.Desc, took router.Durations, labels ...string) prometheus.Metric {
	buckets, sum := map[float64]uint64{}, uint64(0)
	for class, n := range took.Counts {
		sum += n
		if class < len(router.DurationBounds) {
			buckets[router.DurationBounds[class].Seconds()] = sum
		}
	}
	return prometheus.MustNewConstHistogram(d, sum, took.Sum.Seconds(), buckets, labels...)
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
