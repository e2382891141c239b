package daemon_test

import (
	"net"
	"testing"

	"imbrouter/imb/imbtest"
)

// The hub logs a fault of a connection under its lock, and nobody takes the
// line: then it serves nobody, and is stuck until somebody does.
func TestStuckHub(t *testing.T) {
	d := start(t, `
[hub]
listen = "127.0.0.1:0"
max_connections = 1
[connections.hub]
[sources.in]
type = "imb"
events = ["*"]
[sinks.out]
type = "dir"
path = "received"
[routes.receive]
from = ["in"]
to = ["out"]
`)
	if kind, name := d.Stuck(); kind != "" {
		t.Errorf("%s %q is stuck at the start", kind, name)
	}
	addr := d.HubAddress()
	d.Logged.Lock()
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		defer conn.Close()
		imbtest.Eventually(t, func() bool {
			kind, name := d.Stuck()
			return kind == "lock" && name == "hub"
		}, "the hub's lock is told to be held")
	}
	d.Logged.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	imbtest.Eventually(t, func() bool { kind, _ := d.Stuck(); return kind == "" }, "the hub is told to go on")
	if !d.logged("connections are refused") {
		t.Error("the log does not tell of the refused connection")
	}
}
