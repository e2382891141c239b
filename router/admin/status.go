package admin

import (
	"fmt"
	"strings"
	"time"

	"imbrouter/imb"
	"imbrouter/router"
	"imbrouter/router/config"
)

const (
	// maxTransfers is how many streams in transit a Status lists, the oldest.
	maxTransfers = 100
	// maxText is how much is told of a text that others may have made, in bytes.
	maxText = 1024
)

// Status is how a router is, the answer of /api/status. Fields are added to it,
// but not changed.
type Status struct {
	Version string    `json:"version"`
	Config  string    `json:"config"` // path of the configuration, as "run" got it
	Started time.Time `json:"started"`
	Phase   Phase     `json:"phase"`
	// Healthy and Ready are what /healthz and /readyz answer, and Reasons why not.
	Healthy bool     `json:"healthy"`
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`

	Loaded     time.Time `json:"loaded"`      // when the configuration that runs was read
	LastReload *Reload   `json:"last_reload"` // null when there was none
	Hub        *Hub      `json:"hub"`         // null without [hub]

	Sources     []Part       `json:"sources"`
	Routes      []Route      `json:"routes"` // in the order of the configuration
	Sinks       []Part       `json:"sinks"`
	Connections []Connection `json:"connections"`

	Transfers      []Transfer `json:"transfers"` // the oldest 100
	TransfersInAll int        `json:"transfers_in_all"`
}

// State is how a source, a route or a sink is.
type State string

// The states.
const (
	Up         State = "up"
	Connecting State = "connecting" // its hub is away
	Failed     State = "failed"     // a source that is started again soon
	Degraded   State = "degraded"   // a route with a source or a sink that is not up
	Stopped    State = "stopped"    // a route on which a message went round, see loop_guard
)

// Part is a source or a sink.
type Part struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	State      State  `json:"state"`
	Folder     string `json:"folder,omitempty"`
	Connection string `json:"connection,omitempty"`
	Waiting    *int   `json:"waiting,omitempty"` // files that a dir source has still to send
	Counts
}

// Route is a route.
type Route struct {
	Name  string   `json:"name"`
	State State    `json:"state"`
	From  []string `json:"from"`
	To    []string `json:"to"`
	Counts
}

// Counts is what has passed through since the router has had the part.
type Counts struct {
	Signals     Flow      `json:"signals"`
	Streams     Flow      `json:"streams"`
	Transfers   int64     `json:"transfers"` // streams in transit
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastError   *Failure  `json:"last_error,omitempty"`
	Failing     bool      `json:"failing"` // the last message failed, but for those that a filter left out
}

// Flow is what came of signals, or of streams.
type Flow struct {
	Messages uint64            `json:"messages"`
	Bytes    uint64            `json:"bytes"`
	NotTaken uint64            `json:"not_taken"`
	Failures map[string]uint64 `json:"failures"` // by cause; those that there were
}

// Failed returns the number of failures of all causes.
func (f Flow) Failed() (n uint64) {
	for _, count := range f.Failures {
		n += count
	}
	return n
}

// Failure is one that happened.
type Failure struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

// Connection is one connection to a hub.
type Connection struct {
	Name          string `json:"name"` // in the configuration
	Source        string `json:"source,omitempty"`
	Sink          string `json:"sink,omitempty"`
	Relay         bool   `json:"relay,omitempty"` // the sink's second one, for what it relays
	State         string `json:"state"`           // "connected", "connecting" or "closed"
	Error         string `json:"error,omitempty"` // why it is not connected
	Connects      uint64 `json:"connects"`
	BytesReceived uint64 `json:"bytes_received"`
	BytesSent     uint64 `json:"bytes_sent"`
	ReceiveQueue  int    `json:"receive_queue"` // bytes
	SendQueue     int    `json:"send_queue"`    // bytes
}

// Hub is the hub inside, see hub.Stats.
type Hub struct {
	Listen        string `json:"listen"` // in the configuration
	Connections   int    `json:"connections"`
	Events        int    `json:"events"`
	Variables     int    `json:"variables"`
	QueuedBytes   int    `json:"queued_bytes"`
	Refused       uint64 `json:"connections_refused"`
	FramesIn      uint64 `json:"frames_received"`
	BytesIn       uint64 `json:"bytes_received"`
	FramesOut     uint64 `json:"events_sent"`
	BytesOut      uint64 `json:"bytes_sent"`
	Dropped       uint64 `json:"dropped"`
	Malformed     uint64 `json:"malformed"`
	SlowConsumers uint64 `json:"slow_consumers"`
}

// Transfer is a stream in transit.
type Transfer struct {
	Source  string    `json:"source"`
	Event   string    `json:"event"` // chosen by its sender, as Name is
	Name    string    `json:"name"`
	Size    int64     `json:"size"` // bytes; −1 when unknown
	Done    int64     `json:"done"` // bytes
	Started time.Time `json:"started"`
}

// Reload is what came of reading the configuration again.
type Reload struct {
	At       time.Time `json:"at"`
	Outcome  Outcome   `json:"outcome"`
	Changes  []string  `json:"changes"`
	Warnings []string  `json:"warnings"`
	// Errors say why it was refused; Invalid that the configuration is wrong,
	// and not only not to be taken now.
	Errors  []string `json:"errors"`
	Invalid bool     `json:"invalid"`
}

// Outcome is how a reload ended.
type Outcome string

// The outcomes.
const (
	Applied   Outcome = "applied"
	Unchanged Outcome = "unchanged" // there was nothing to apply
	Refused   Outcome = "refused"   // what was before goes on
)

// Status returns how the router is.
func (s *Server) Status() Status {
	d := s.options.Daemon
	cfg, o := d.Config(), d.Router().Observe()
	status := Status{
		Version: s.options.Version, Config: cfg.Path, Started: s.started, Phase: s.phase.Load().(Phase),
		Loaded: s.options.Reloader.Loaded(), LastReload: s.options.Reloader.Last(), Reasons: []string{},
		Sources: []Part{}, Routes: []Route{}, Sinks: []Part{}, Connections: connections(o), Transfers: []Transfer{},
	}
	if stuck := s.stuck(); stuck != "" {
		status.Reasons = append(status.Reasons, stuck)
	}
	status.Healthy = len(status.Reasons) == 0
	notReady := s.notReady(o)
	status.Ready = len(notReady) == 0
	status.Reasons = append(status.Reasons, notReady...)
	if stats, ok := d.HubStats(); ok {
		status.Hub = &Hub{
			Listen: cfg.Hub.Listen, Connections: stats.Connections, Events: stats.Events, Variables: stats.Variables,
			QueuedBytes: stats.Queued, Refused: stats.Refused, FramesIn: stats.FramesIn, BytesIn: stats.BytesIn,
			FramesOut: stats.FramesOut, BytesOut: stats.BytesOut, Dropped: stats.Dropped, Malformed: stats.Malformed,
			SlowConsumers: stats.SlowConsumers,
		}
	}
	status.parts(cfg, o)
	status.transfers(d.Router().Transfers())
	return status
}

// notReady says what is not up. Sinks without a hub are always ready.
func (s *Server) notReady(o router.Observation) (reasons []string) {
	if phase := s.phase.Load(); phase != Running {
		reasons = append(reasons, fmt.Sprintf("the router is %v", phase))
	}
	for _, source := range o.Sources {
		if source.Down {
			reasons = append(reasons, fmt.Sprintf("source %q has failed, and is started again soon: %s", source.Name, text(source.Failed.Err)))
		}
	}
	for _, route := range o.Routes {
		if route.Down {
			reasons = append(reasons, fmt.Sprintf("route %q is stopped, because a message went round (loop_guard)", route.Name))
		}
	}
	for _, c := range connections(o) {
		if c.State == imb.Connected.String() {
			continue
		}
		reason := fmt.Sprintf("connection %q of %s is %s", c.Name, c.user(), c.State)
		if c.Error != "" {
			reason += ": " + c.Error
		}
		reasons = append(reasons, reason)
	}
	return reasons
}

func (c Connection) user() string {
	if c.Source != "" {
		return fmt.Sprintf("source %q", c.Source)
	}
	return fmt.Sprintf("sink %q", c.Sink)
}

func connections(o router.Observation) []Connection {
	all := []Connection{}
	add := func(part router.Observed, source, sink string) {
		for _, link := range part.Links {
			all = append(all, Connection{
				Name: link.Connection, Source: source, Sink: sink, Relay: link.Relay, State: link.State.String(), Error: text(link.Err),
				Connects: link.Stats.Connections, BytesReceived: link.Stats.BytesReceived, BytesSent: link.Stats.BytesSent,
				ReceiveQueue: link.Stats.ReceiveQueue, SendQueue: link.Stats.SendQueue,
			})
		}
	}
	for _, source := range o.Sources {
		add(source, source.Name, "")
	}
	for _, sink := range o.Sinks {
		add(sink, "", sink.Name)
	}
	return all
}

// parts adds what both the configuration and the router have: between the two a
// reload may have come.
func (s *Status) parts(cfg *config.Config, o router.Observation) {
	up := map[string]bool{} // by "source" or "sink", and name
	for _, source := range o.Sources {
		if c, ok := cfg.Sources[source.Name]; ok {
			s.Sources = append(s.Sources, part(source, cfg.Type("sources", source.Name), c.Traffic()))
			up["source "+source.Name] = state(source) == Up
		}
	}
	for _, sink := range o.Sinks {
		if c, ok := cfg.Sinks[sink.Name]; ok {
			s.Sinks = append(s.Sinks, part(sink, cfg.Type("sinks", sink.Name), c.Traffic()))
			up["sink "+sink.Name] = state(sink) == Up
		}
	}
	observed := map[string]router.Observed{}
	for _, route := range o.Routes {
		observed[route.Name] = route
	}
	for _, route := range cfg.Routes {
		found, ok := observed[route.Name]
		if !ok {
			continue
		}
		r := Route{Name: route.Name, State: Up, From: route.From, To: route.To, Counts: counts(found)}
		for _, name := range route.From {
			if !up["source "+name] {
				r.State = Degraded
			}
		}
		for _, name := range route.To {
			if !up["sink "+name] {
				r.State = Degraded
			}
		}
		if found.Down {
			r.State = Stopped
		}
		s.Routes = append(s.Routes, r)
	}
}

func part(o router.Observed, kind string, t config.Traffic) Part {
	p := Part{Name: o.Name, Type: kind, State: state(o), Folder: t.Folder, Connection: t.Connection, Counts: counts(o)}
	if o.Waiting >= 0 {
		p.Waiting = &o.Waiting
	}
	return p
}

func state(o router.Observed) State {
	if o.Down {
		return Failed
	}
	for _, link := range o.Links {
		if link.State != imb.Connected {
			return Connecting
		}
	}
	return Up
}

func counts(o router.Observed) Counts {
	c := Counts{Signals: flow(o.Signals), Streams: flow(o.Streams), Transfers: o.Transfers, LastSuccess: o.Succeeded, Failing: o.Failing}
	if o.Failed != nil {
		c.LastError = &Failure{o.Failed.At, text(o.Failed.Err)}
	}
	return c
}

func flow(f router.Flow) Flow {
	all := Flow{Messages: f.Messages, Bytes: f.Bytes, NotTaken: f.NotTaken, Failures: map[string]uint64{}}
	for cause, n := range f.Failures {
		if n > 0 {
			all.Failures[cause.String()] = n
		}
	}
	return all
}

func (s *Status) transfers(all []router.Transfer) {
	s.TransfersInAll = len(all)
	for _, t := range all[:min(len(all), maxTransfers)] {
		s.Transfers = append(s.Transfers, Transfer{
			Source: t.Source, Event: short(t.Event), Name: short(t.Name), Size: t.Size, Done: t.Done, Started: t.Started,
		})
	}
}

// text is that of an error; "" for nil.
func text(err error) string {
	if err == nil {
		return ""
	}
	return short(err.Error())
}

// short returns a text as far as it is told.
func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
