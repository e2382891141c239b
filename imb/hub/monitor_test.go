package hub_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// status tells a status frame from the hub in one line, without the figures.
func status(f wire.Frame) string {
	switch f.Command {
	case wire.CmdStatusHub:
		s, err := wire.ParseStatusHub(f.Payload)
		return line(err, "hub, received anything: %t", s.Commands > 0 && s.Bytes > s.Commands)
	case wire.CmdStatusClient:
		s, err := wire.ParseStatusClient(f.Payload)
		return line(err, "client %d, state %d, received anything: %t, limit %d", s.Handle, s.State, s.ReadCommands > 0 && s.ReadBytes > s.ReadCommands, s.MaxQueueLength)
	case wire.CmdStatusClientPlus:
		s, err := wire.ParseStatusClientPlus(f.Payload)
		return line(err, "client %d is %d %q at %s, %t %t %d", s.Handle, s.OwnerID, s.OwnerName, s.URI, s.IsServer, s.NoDelay, s.Throttle)
	case wire.CmdStatusEventPlus:
		s, err := wire.ParseStatusEventPlus(f.Payload)
		return line(err, "event %d %q from %v to %v", s.EventID, s.Name, s.Publishers, s.Subscribers)
	}
	return describe(f)
}

// reported returns what a client that monitors was told up to now.
func (c *client) reported() []string {
	c.t.Helper()
	go c.conn.Write(wire.AppendUniqueClientID(nil, wire.UniqueClientID{}))
	var told []string
	for {
		f := c.next()
		if f.Command == wire.CmdUniqueClientID {
			return told
		}
		told = append(told, status(f))
	}
}

func (c *client) expectReport(want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.reported()); diff != "" {
		c.t.Errorf("told (-want +got):\n%s", diff)
	}
}

// Who monitors is told who is there, and each second how much there is to do.
func TestMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{QueueBytes: 1 << 20})
		a, b, monitor := dialHub(t, h), dialHub(t, h), dialHub(t, h)
		for _, c := range []*client{a, b, monitor} {
			c.conn.SetDeadline(time.Time{})
		}
		a.send(wire.AppendSetClientInfo(nil, wire.SetClientInfo{OwnerID: 7, OwnerName: "sender"}))
		a.publish(0, "fed.x")
		a.publish(1, wire.FlushPrefix+"private")
		a.done()
		b.subscribe(5, "fed.*")
		b.done()
		monitor.done()
		synctest.Wait() // all is counted

		figures := []string{
			"hub, received anything: true",
			"client 1, state 2, received anything: true, limit 1048576",
			"client 2, state 2, received anything: true, limit 1048576",
			"client 3, state 2, received anything: true, limit 1048576",
		}
		who := []string{
			`client 1 is 7 "sender" at in-process, false true 0`,
			`client 2 is 0 "" at in-process, false true 0`,
			`client 3 is 0 "" at in-process, false true 0`,
		}
		with := func(event string) []string {
			return append(append(append([]string{}, who...), event), figures...)
		}
		monitor.send(wire.AppendFrame(nil, wire.CmdSetMonitor, nil))
		monitor.expectReport(with(`event 0 "fed.x" from [1] to [2]`)...)
		time.Sleep(1500 * time.Millisecond)
		monitor.expectReport(figures...)
		b.publish(6, "fed.x")
		b.done()
		time.Sleep(time.Second)
		monitor.expectReport(with(`event 0 "fed.x" from [1 2] to [2]`)...)
		b.unsubscribe("fed.*")
		b.done()
		time.Sleep(time.Second)
		monitor.expectReport(with(`event 0 "fed.x" from [1 2] to []`)...)
		monitor.send(wire.AppendFrame(nil, wire.CmdSetMonitor, nil)) // asks for all again
		monitor.expectReport(with(`event 0 "fed.x" from [1 2] to []`)...)
		monitor.send(wire.AppendFrame(nil, wire.CmdResetMonitor, nil))
		monitor.send(wire.AppendFrame(nil, wire.CmdResetMonitor, nil))
		monitor.done()
		time.Sleep(10 * time.Second)
		monitor.expectReport()
		monitor.send(wire.AppendFrame(nil, wire.CmdSetMonitor, nil))
		monitor.reported()
		b.conn.Close()
		time.Sleep(1500 * time.Millisecond)
		if told := monitor.reported(); len(told) != 3+3 || strings.Contains(fmt.Sprint(told), "client 2") {
			t.Errorf("told %q when a client had gone", told)
		}
	})
}

// Only a few may monitor, and who goes makes room.
func TestMonitorsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBook
		h := start(t, hub.Options{Log: log.logger()})
		var monitors []*client
		for i := range 9 {
			c := dialHub(t, h)
			monitors = append(monitors, c)
			c.send(wire.AppendFrame(nil, wire.CmdSetMonitor, nil))
			if told := c.reported(); (len(told) == 0) != (i == 8) {
				t.Errorf("monitor %d was told %q", i, told)
			}
		}
		if lines := log.lines("level=WARN", "monitor"); len(lines) != 1 {
			t.Errorf("logged %q", lines)
		}
		monitors[0].close(h)
		monitors[8].send(wire.AppendFrame(nil, wire.CmdSetMonitor, nil))
		if told := monitors[8].reported(); len(told) == 0 {
			t.Error("another one may not monitor when one has gone")
		}
	})
}

// A monitor that does not read is disconnected like others, and nobody waits for
// it.
func TestMonitorThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{QueueBytes: queueBytes, SlowConsumerTimeout: slowTimeout})
		busy, stuck := dialHub(t, h), dialHub(t, h)
		busy.conn.SetDeadline(time.Time{})
		for id := range int32(2000) {
			busy.publish(id, fmt.Sprintf("fed.%d", id))
		}
		busy.done()
		go io.Copy(io.Discard, busy.conn)
		stuck.send(wire.AppendFrame(nil, wire.CmdSetMonitor, nil))
		began := time.Now()
		for i := range 30 {
			time.Sleep(time.Second)
			busy.publish(0, fmt.Sprintf("fed.%d", 2000+i))
		}
		synctest.Wait()
		if d := time.Since(began); d != 30*time.Second {
			t.Errorf("the others took %v", d)
		}
		if s := h.Stats(); s.SlowConsumers != 1 || s.Connections != 1 {
			t.Errorf("%+v", s)
		}
	})
}
