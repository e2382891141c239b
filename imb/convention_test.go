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

func TestFocusAndSession(t *testing.T) {
	bubbleHub(t, func(t *testing.T, h *hub.Hub, c *imb.Client) {
		ctx := t.Context()
		other := connect(t, imb.Options{Dial: h.Dial})
		abroad := connect(t, imb.Options{Dial: h.Dial, Federation: "abroad"})
		var got imbtest.Collector[string]
		focus := func(x, y float64) { got.Add(fmt.Sprintf("focus %v %v", x, y)) }
		removeFocus, err := c.HandleFocus(focus)
		must(t, err)
		_, err = abroad.HandleFocus(focus)
		must(t, err)
		removeSession, err := c.HandleSession(func(id int32, federation string) { got.Add(fmt.Sprintf("session %d %s", id, federation)) })
		must(t, err)
		must(t, c.Flush(ctx))
		must(t, other.SignalFocus(ctx, 1.5, -2e9))
		must(t, other.SignalSession(ctx, 42, "city"))
		must(t, other.Flush(ctx))
		must(t, c.Drain(ctx))
		want := []string{"focus 1.5 -2e+09", "session 42 city"}
		if diff := cmp.Diff(want, got.All()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		must(t, other.Event(wire.FocusEvent).SignalChangeObject(ctx, wire.ActionNew, 1, "no focus"))
		must(t, other.Flush(ctx))
		must(t, c.Drain(ctx))
		if n := c.Stats().Malformed; n != 1 {
			t.Errorf("%d malformed", n)
		}
		removeFocus()
		removeSession()
		must(t, other.SignalFocus(ctx, 0, 0))
		must(t, other.SignalSession(ctx, 0, ""))
		must(t, other.Flush(ctx))
		must(t, c.Drain(ctx))
		if all := got.All(); len(all) != len(want) {
			t.Errorf("told after the handlers were removed: %q", all[len(want):])
		}
		closeNow(t, c)
		if _, err := c.HandleFocus(focus); err != nil { // it is subscribed
			t.Errorf("HandleFocus once more: %v", err)
		}
		closeNow(t, other)
		if _, err := other.HandleSession(func(int32, string) {}); !errors.Is(err, imb.ErrClosed) {
			t.Errorf("HandleSession of a closed client: %v", err)
		}
		closeNow(t, abroad)
		if err := abroad.SignalSession(ctx, 1, "x"); !errors.Is(err, imb.ErrClosed) {
			t.Errorf("SignalSession of a closed client: %v", err)
		}
	})
}

func TestModelStatus(t *testing.T) {
	bubbleHub(t, func(t *testing.T, h *hub.Hub, c *imb.Client) {
		ctx := t.Context()
		model := connect(t, imb.Options{Dial: h.Dial, OwnerName: "traffic"})
		id, _ := model.UniqueID()
		must(t, model.SetModelStatus(ctx, wire.ModelCalculating, 10))
		must(t, model.Flush(ctx))
		var got imbtest.Collector[imb.ModelStatus]
		stop, err := c.WatchModelStatus(got.Add)
		must(t, err)
		defer stop()
		letPass(time.Second)
		must(t, model.SetModelStatus(ctx, wire.ModelBusy, 90))
		must(t, model.SetVariable(ctx, "weather", []byte("rain")))
		must(t, model.RemoveModelStatus(ctx))
		must(t, model.SetModelStatus(ctx, wire.ModelReady, 0))
		must(t, model.SetVariable(ctx, "00000001x|ModelStatus", []byte("broken")))
		must(t, model.Flush(ctx))
		closeNow(t, model)
		synctest.Wait()
		status := func(state wire.ModelState, progress int32) imb.ModelStatus {
			return imb.ModelStatus{ClientID: id, Model: "demo.traffic", ModelStatus: wire.ModelStatus{State: state, Progress: progress}}
		}
		gone := imb.ModelStatus{ClientID: id, Model: "demo.traffic", Gone: true}
		want := []imb.ModelStatus{status(wire.ModelCalculating, 10), status(wire.ModelBusy, 90), gone, status(wire.ModelReady, 0), gone}
		if diff := cmp.Diff(want, got.All()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if n := c.Stats().Malformed; n != 1 {
			t.Errorf("%d malformed", n)
		}
	})
}

// A variable of one's own has the id or the handle before its name.
func TestPrefixedVariables(t *testing.T) {
	bubbleHub(t, func(t *testing.T, h *hub.Hub, c *imb.Client) {
		ctx := t.Context()
		other := connect(t, imb.Options{Dial: h.Dial})
		stop, err := c.WatchVariables(func(string, []byte) {})
		must(t, err)
		defer stop()
		must(t, other.SetPrefixedVariable(ctx, wire.PrefixUniqueClientID, "x", []byte("by id")))
		must(t, other.SetPrefixedVariable(ctx, wire.PrefixClientHandle, "x", []byte("by handle")))
		must(t, other.Flush(ctx))
		letPass(time.Second)
		id, handle := other.UniqueID()
		for prefix, want := range map[uint32]string{id: "by id", handle: "by handle"} {
			if value, ok := c.Variable(wire.VariablePrefix(prefix) + "x"); !ok || string(value) != want {
				t.Errorf("the variable %s is %q, %t", want, value, ok)
			}
		}
		closeNow(t, other)
		synctest.Wait()
		if value, ok := c.Variable(wire.VariablePrefix(id) + "x"); ok {
			t.Errorf("the variable by id is left: %q", value)
		}
		if err := other.SetPrefixedVariable(ctx, wire.PrefixClientHandle, "x", nil); !errors.Is(err, imb.ErrClosed) {
			t.Errorf("on a closed client: %v", err)
		}
		if err := c.SetPrefixedVariable(ctx, wire.PrefixClientHandle, "x", make([]byte, wire.MaxPayload-12)); !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("a variable that no frame holds: %v", err)
		}
	})
}
