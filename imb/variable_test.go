package imb_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/imbtest"
	"imbrouter/imb/wire"
)

func TestVariables(t *testing.T) {
	addr, _ := imbtest.StartHub(t, hub.Options{})
	proxy := imbtest.NewProxy(t, addr)
	setter := connect(t, imb.Options{Address: addr})
	ctx := t.Context()
	must(t, setter.SetVariable(ctx, "early", []byte("1")))
	must(t, setter.Flush(ctx))

	c := connect(t, imb.Options{Address: proxy.Addr(), ReconnectMin: time.Millisecond})
	var got imbtest.Collector[string]
	stop, err := c.WatchVariables(func(name string, value []byte) { got.Add(fmt.Sprintf("%s=%s", name, value)) })
	must(t, err)
	got.Wait(t, 1)
	must(t, setter.SetVariable(ctx, "late", []byte("2")))
	must(t, setter.SetVariable(ctx, "early", []byte("3")))
	must(t, setter.SetVariable(ctx, "late", nil))
	if diff := cmp.Diff([]string{"early=1", "late=2", "early=3", "late="}, got.Wait(t, 4)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if value, ok := c.Variable("early"); !ok || string(value) != "3" {
		t.Errorf("Variable returned %q, %v", value, ok)
	}
	if value, ok := c.Variable("late"); ok || len(value) != 0 {
		t.Errorf("Variable of a removed one returned %q, %v", value, ok)
	}

	proxy.Reset() // after a reconnect everything is told again
	if diff := cmp.Diff("early=3", got.Wait(t, 5)[4]); diff != "" {
		t.Errorf("told after a reconnect (-want +got):\n%s", diff)
	}
	stop()
	must(t, setter.SetVariable(ctx, "early", []byte("4")))
	must(t, setter.Flush(ctx))
	imbtest.Eventually(t, func() bool {
		value, _ := c.Variable("early")
		return string(value) == "4"
	}, "the change is known")
	if all := got.All(); len(all) != 5 {
		t.Errorf("told after stop: %v", all[5:])
	}
	if err := c.SetVariable(ctx, "big", make([]byte, wire.MaxPayload)); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("a variable that no frame holds: error is %v", err)
	}
}

func TestVariablesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logRecorder
		c, _, p := connectScripted(t, imb.Options{Log: log.logger()}, nil)
		for i := range 5 {
			p.Send(wire.AppendSetVariable(nil, wire.Variable{Name: fmt.Sprint(i), Value: make([]byte, 4<<20)}))
		}
		synctest.Wait()
		known := 0
		for i := range 5 {
			if _, ok := c.Variable(fmt.Sprint(i)); ok {
				known++
			}
		}
		if known != 3 || log.count("more variables") != 1 {
			t.Errorf("%d variables of 4 MiB are known, the log tells %d times of too many", known, log.count("more variables"))
		}
	})
}
