package admin_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/router/admin"
	"imbrouter/router/config"
)

// signal sends texts on an event of the hub inside.
func (s *site) signal(event string, texts ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	c, err := imb.Connect(ctx, imb.Options{Address: s.daemon.HubAddress()})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close(ctx)
	e := c.FullEvent(event)
	if err := e.Publish(); err != nil {
		s.t.Fatal(err)
	}
	for _, text := range texts {
		if err := e.SignalString(ctx, text); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := c.Flush(ctx); err != nil {
		s.t.Fatal(err)
	}
}

func TestWhatPassesThroughIsTold(t *testing.T) {
	s := start(t, everything)
	s.drop("report.csv", 100_000)
	s.signal("demo.alarms.fire", `{"level": 5}`, `{"level": 1}`, `{"level": "high"}`)
	imbtest.Eventually(t, func() bool {
		return s.daemon.Exists("received/report.csv") && s.daemon.Exists("drop/sent/report.csv") &&
			s.series()[`imbrouter_route_messages_total{kind="signal",route="alarms"}`] == "3"
	}, "file and signals have passed")
	want := map[string]string{
		`imbrouter_source_messages_total{kind="stream",source="outbox"}`:                                "1",
		`imbrouter_source_bytes_total{kind="stream",source="outbox"}`:                                   "100000",
		`imbrouter_source_waiting_files{source="outbox"}`:                                               "0",
		`imbrouter_source_up{source="outbox"}`:                                                          "1",
		`imbrouter_source_messages_total{kind="signal",source="incoming"}`:                              "3",
		`imbrouter_route_bytes_total{kind="stream",route="receive"}`:                                    "100000",
		`imbrouter_route_duration_seconds_count{kind="stream",route="receive"}`:                         "1",
		`imbrouter_route_duration_seconds_bucket{kind="stream",route="receive",le="+Inf"}`:              "1",
		`imbrouter_route_not_taken_total{kind="signal",route="alarms"}`:                                 "2",
		`imbrouter_route_failures_total{cause="expression",kind="signal",route="alarms"}`:               "1",
		`imbrouter_route_failures_total{cause="unavailable",kind="signal",route="alarms"}`:              "0",
		`imbrouter_sink_messages_total{kind="stream",sink="inbox"}`:                                     "1",
		`imbrouter_sink_bytes_total{kind="stream",sink="inbox"}`:                                        "100000",
		`imbrouter_sink_transfers{sink="inbox"}`:                                                        "0",
		`imbrouter_connection_up{connection="local",kind="source",name="incoming"}`:                     "1",
		`imbrouter_connection_streams_received_total{connection="local",kind="source",name="incoming"}`: "1",
		`imbrouter_build_info{version="v1.2.3"}`:                                                        "1",
		`imbrouter_ready`:                                                                               "1",
		`imbrouter_stuck`:                                                                               "0",
		`imbrouter_config_last_reload_successful`:                                                       "1",
		`imbrouter_config_last_reload_success_timestamp_seconds`:                                        "1.23456789e+09",
	}
	var got map[string]string
	imbtest.Eventually(t, func() bool { // the end of a stream is counted after its file is there
		got = s.series()
		for name, value := range want {
			if got[name] != value {
				return false
			}
		}
		return true
	}, "the counts are told")
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}

	status := s.status()
	if !status.Healthy || !status.Ready || status.Phase != admin.Running || len(status.Reasons) > 0 || status.Version != "v1.2.3" {
		t.Errorf("status is %+v", status)
	}
	if len(status.Routes) != 3 || status.Routes[0].Name != "send" || status.Routes[0].State != admin.Up ||
		quoted(status.Routes[0].From, status.Routes[0].To) != `[["outbox"] ["broadcast"]]` {
		t.Errorf("routes are %+v", status.Routes)
	}
	alarms := status.Routes[2]
	if alarms.Signals.Messages != 3 || alarms.Signals.NotTaken != 2 || alarms.Signals.Failures["expression"] != 1 || alarms.LastError == nil ||
		!strings.Contains(alarms.LastError.Error, `">" does not work between a string and a number`) {
		t.Errorf("route alarms is %+v, %+v", alarms, alarms.LastError)
	}
	if len(status.Sources) != 2 || status.Sources[1].Type != "dir" || status.Sources[1].Waiting == nil || status.Sources[0].Waiting != nil {
		t.Errorf("sources are %+v", status.Sources)
	}
	if len(status.Connections) != 2 || status.Connections[0].State != "connected" || status.Connections[0].Source != "incoming" {
		t.Errorf("connections are %+v", status.Connections)
	}
	if status.Hub == nil || status.Hub.Connections < 2 || status.Hub.BytesIn < 100_000 {
		t.Errorf("the hub is %+v", status.Hub)
	}
}

// No name from a network becomes a series.
func TestNamesFromTheNetworkAreNoLabels(t *testing.T) {
	s := start(t, everything)
	before := s.series()
	for n := range 50 {
		s.signal(fmt.Sprintf("demo.alarms.%d", n), `{"level": 5}`)
		s.drop(fmt.Sprintf("file%d", n), 10)
	}
	imbtest.Eventually(t, func() bool {
		return s.series()[`imbrouter_route_duration_seconds_count{kind="stream",route="receive"}`] == "50"
	}, "all files have come")
	after := s.series()
	maps.DeleteFunc(after, func(name, _ string) bool { _, ok := before[name]; return ok })
	if len(after) > 0 {
		t.Errorf("there are more series than before: %v", after)
	}
}

func TestReadiness(t *testing.T) {
	address, _ := imbtest.StartHub(t, hub.Options{})
	text := func(address string) string {
		return fmt.Sprintf(`
[connections.there]
address = %q
[sources.incoming]
type = "imb"
events = ["e"]
[sinks.print]
type = "log"
[sinks.out]
type = "imb"
event = "f"
[routes.r]
from = ["incoming"]
to = ["print", "out"]
`, address)
	}
	s := start(t, text("127.0.0.1:1")) // where nobody listens
	imbtest.Eventually(t, func() bool {
		code, body := s.get("/readyz")
		return code == http.StatusServiceUnavailable &&
			strings.Contains(body, `connection "there" of source "incoming" is connecting: `) && strings.Contains(body, `of sink "out"`)
	}, "the hub is told to be away")
	if code, body := s.get("/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz answers %d %q", code, body)
	}
	status := s.status()
	if status.Ready || !status.Healthy || status.Routes[0].State != admin.Degraded || status.Sources[0].State != admin.Connecting ||
		status.Sinks[1].State != admin.Up || status.Connections[0].Error == "" {
		t.Errorf("status is %+v", status)
	}

	if _, err := s.daemon.Reload(t.Context(), s.daemon.Parse(text(address))); err != nil {
		t.Fatal(err)
	}
	imbtest.Eventually(t, func() bool {
		code, body := s.get("/readyz")
		return code == http.StatusOK && body == "ready\n"
	}, "it is ready when the hub is there")

	s.server.Enter(admin.Stopping)
	if code, body := s.get("/readyz"); code != http.StatusServiceUnavailable || body != "the router is stopping\n" {
		t.Errorf("while it stops /readyz answers %d %q", code, body)
	}
}

func TestHealth(t *testing.T) {
	s := start(t, everything)
	s.stuck.Store(&[2]string{"route", "send"})
	if code, body := s.get("/healthz"); code != http.StatusServiceUnavailable || body != "stuck: route \"send\"\n" {
		t.Errorf("/healthz answers %d %q", code, body)
	}
	if status := s.status(); status.Healthy || quoted(status.Reasons) != `[["stuck: route \"send\""]]` {
		t.Errorf("status is %+v", status)
	}
	if got := s.series()["imbrouter_stuck"]; got != "1" {
		t.Errorf("imbrouter_stuck is %s", got)
	}
}

// The hub stands still, because it logs under its lock and nobody takes the line:
// who asks for its counts is sent away, and the rest is answered.
func TestLockThatIsNotGivenBack(t *testing.T) {
	s := start(t, strings.Replace(everything, "[connections", "max_connections = 2\n[connections", 1))
	address := s.daemon.HubAddress()
	s.daemon.Logged.Lock()
	conn, err := net.Dial("tcp", address) // is refused, and that is logged
	if err == nil {
		defer conn.Close()
		imbtest.Eventually(t, func() bool { kind, name := s.daemon.Stuck(); return kind == "lock" && name == "hub" }, "the hub is stuck")
		if code, body := s.get("/metrics"); code != http.StatusServiceUnavailable || !strings.Contains(body, "/healthz") {
			t.Errorf("/metrics answers %d %q", code, body)
		}
		if code, body := s.get("/readyz"); code != http.StatusOK {
			t.Errorf("/readyz answers %d %q", code, body)
		}
	}
	s.daemon.Logged.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.series()) == 0 {
		t.Error("when the hub goes on there are no metrics")
	}
}

// Parts that come and go with reloads leave nothing behind, and those that stay
// go on with their counts.
func TestReloadsLeaveNoSeries(t *testing.T) {
	s := start(t, everything)
	s.drop("report.csv", 1000)
	const stays = `imbrouter_sink_messages_total{kind="stream",sink="inbox"}`
	imbtest.Eventually(t, func() bool { return s.series()[stays] == "1" }, "a file has come")
	before := s.series()
	other := s.daemon.Parse(everything + `
[sinks.extra]
type = "log"
[routes.extra]
from = ["outbox"]
to = ["extra"]
`)
	first := s.daemon.Config()
	goroutines := runtime.NumGoroutine()
	for range 20 {
		for _, cfg := range []*config.Config{other, first} {
			if _, err := s.daemon.Reload(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			_, extra := s.series()[`imbrouter_sink_messages_total{kind="stream",sink="extra"}`]
			if extra != (cfg == other) {
				t.Fatalf("the sink is told of: %v", extra)
			}
		}
	}
	after := s.series()
	if len(after) != len(before) || after[stays] != "1" {
		t.Errorf("%d series before, %d after; %s is %q", len(before), len(after), stays, after[stays])
	}
	imbtest.Eventually(t, func() bool { return runtime.NumGoroutine() < goroutines+10 }, "goroutines end")
}

func TestReloadIsAnswered(t *testing.T) {
	s := start(t, everything)
	reload, err := s.client.Reload(t.Context())
	if err != nil || reload.Outcome != admin.Refused || !reload.Invalid || quoted(reload.Errors) != `[["wrong"]]` {
		t.Errorf("%+v, %v", reload, err)
	}
	if err := s.client.Request(t.Context()); err == nil || !strings.Contains(err.Error(), "not now") {
		t.Errorf("a request that fails gives %v", err)
	}
	if status := s.status(); status.LastReload == nil || status.LastReload.Outcome != admin.Refused {
		t.Errorf("the last reload is %+v", status.LastReload)
	}
	if got := s.series()["imbrouter_config_last_reload_successful"]; got != "0" {
		t.Errorf("imbrouter_config_last_reload_successful is %s", got)
	}
	if code, _ := s.get("/api/reload"); code != http.StatusMethodNotAllowed {
		t.Errorf("GET answers %d", code)
	}
}

func TestProfilesAreOffByDefault(t *testing.T) {
	s := start(t, everything)
	if code, _ := s.get("/debug/pprof/heap"); code != http.StatusNotFound {
		t.Errorf("by default: %d", code)
	}
	s = start(t, everything+"[admin]\npprof = true\n")
	if code, body := s.get("/debug/pprof/goroutine?debug=1"); code != http.StatusOK || !strings.Contains(body, "goroutine profile") {
		t.Errorf("switched on: %d %q", code, body)
	}
}

// A web page that somebody on the machine looks at may neither ask nor change
// anything.
func TestOtherSitesAreRefused(t *testing.T) {
	s := start(t, everything+"[admin]\nlisten = \"127.0.0.1:0\"\n")
	for _, tt := range []struct {
		method, path, host, origin string
		want                       int
	}{
		{"GET", "/healthz", "", "", 200},
		{"GET", "/healthz", "localhost:1", "", 200},
		{"GET", "/healthz", "[::1]:1", "", 200},
		{"GET", "/healthz", "rebound.example", "", 403},
		{"GET", "/api/status", "rebound.example:9400", "", 403},
		{"GET", "/healthz", "127.0.0.1.example", "", 403},
		{"POST", "/api/reload", "", "", 200},
		{"POST", "/api/reload", "", "https://evil.example", 403},
	} {
		request, err := http.NewRequestWithContext(t.Context(), tt.method, s.url+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = tt.host
		if tt.origin != "" {
			request.Header.Set("Origin", tt.origin)
		}
		response, err := s.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != tt.want {
			t.Errorf("%s %s, host %q, origin %q: %d, want %d", tt.method, tt.path, tt.host, tt.origin, response.StatusCode, tt.want)
		}
	}
}

// Clients that send nothing, send too much, or do not read hold up neither the
// router nor, for long, other clients; nor the end.
func TestBadClients(t *testing.T) {
	s := start(t, everything+"[admin]\nlisten = \"127.0.0.1:0\"\n")
	address := strings.TrimPrefix(s.url, "http://")
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	conn := dial()
	fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 64<<10))
	if line, _ := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, "431") {
		t.Errorf("a header of 64 KiB is answered with %q", line)
	}
	for range 100 { // more than there is room for
		dial()
	}
	for range 10 {
		fmt.Fprintf(dial(), "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	s.drop("report.csv", 100_000)
	imbtest.Eventually(t, func() bool { return s.daemon.Exists("received/report.csv") }, "the router goes on")
	if code, body := s.get("/healthz"); code != http.StatusOK { // when the idle ones are cut off
		t.Errorf("/healthz answers %d %q", code, body)
	}
	for range 10 {
		io.WriteString(dial(), "GET /healthz HT")
	}
}
