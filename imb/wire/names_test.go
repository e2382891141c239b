package wire_test

import (
	"testing"

	"imbrouter/imb/wire"
)

func TestCommandNames(t *testing.T) {
	tests := []struct {
		command wire.Command
		code    int32
		name    string
	}{
		{wire.CmdHeartBeat, -4, "heartBeat"},
		{wire.CmdEndSession, -5, "endSession"},
		{wire.CmdFlushQueue, -6, "flushQueue"},
		{wire.CmdUniqueClientID, -7, "uniqueClientID"},
		{wire.CmdTimeStamp, -8, "timeStamp"},
		{wire.CmdEvent, -15, "event"},
		{wire.CmdEndClientSession, -21, "endClientSession"},
		{wire.CmdFlushClientQueue, -22, "flushClientQueue"},
		{wire.CmdConnectToGateway, -23, "connectToGateway"},
		{wire.CmdSetClientInfo, -31, "setClientInfo"},
		{wire.CmdSetVariable, -32, "setVariable"},
		{wire.CmdAllVariables, -33, "allVariables"},
		{wire.CmdSetState, -34, "setState"},
		{wire.CmdSetThrottle, -35, "setThrottle"},
		{wire.CmdSetNoDelay, -36, "setNoDelay"},
		{wire.CmdSetVariablePrefixed, -37, "setVariablePrefixed"},
		{wire.CmdSetEventNameFilter, -38, "setEventNameFilter"},
		{wire.CmdRequestEventNames, -41, "requestEventNames"},
		{wire.CmdEventNames, -42, "eventNames"},
		{wire.CmdSubscribe, -45, "subscribe"},
		{wire.CmdUnsubscribe, -46, "unsubscribe"},
		{wire.CmdPublish, -47, "publish"},
		{wire.CmdUnpublish, -48, "unpublish"},
		{wire.CmdSetEventIDTranslation, -49, "setEventIDTranslation"},
		{wire.CmdStatusEvent, -52, "statusEvent"},
		{wire.CmdStatusClient, -53, "statusClient"},
		{wire.CmdStatusEventPlus, -54, "statusEventPlus"},
		{wire.CmdStatusClientPlus, -55, "statusClientPlus"},
		{wire.CmdStatusHub, -56, "statusHUB"},
		{wire.CmdStatusTimer, -57, "statusTimer"},
		{wire.CmdHumanReadableHeader, -60, "humanReadableHeader"},
		{wire.CmdSetMonitor, -61, "setMonitor"},
		{wire.CmdResetMonitor, -62, "resetMonitor"},
		{wire.CmdCreateTimer, -73, "createTimer"},
		{wire.CmdHubLocate, -81, "HUBLocate"},
		{wire.CmdHubFound, -82, "HUBFound"},
		{wire.CmdLogClear, -91, "logClear"},
		{wire.CmdLogRequest, -92, "logRequest"},
		{wire.CmdLogContents, -93, "logContents"},
		{-12345, -12345, "-12345"}, // unknown
		{7, 7, "7"},
	}
	for _, tt := range tests {
		if int32(tt.command) != tt.code || tt.command.String() != tt.name {
			t.Errorf("command %d is called %q, want %d and %q", int32(tt.command), tt.command, tt.code, tt.name)
		}
	}
}

func TestKindNames(t *testing.T) {
	tests := []struct {
		kind   wire.Kind
		number uint8
		name   string
	}{
		{wire.ChangeObject, 0, "change_object"},
		{wire.StreamHeader, 1, "stream"},
		{wire.StreamBody, 2, "stream_body"},
		{wire.StreamTail, 3, "stream_tail"},
		{wire.Buffer, 4, "buffer"},
		{wire.NormalEvent, 5, "normal"},
		{wire.ChangeObjectWithData, 6, "change_object_data"},
		{wire.ChildEventAdd, 11, "child_event_add"},
		{wire.ChildEventRemove, 12, "child_event_remove"},
		{wire.LogWriteLn, 30, "log"},
		{wire.TimerCancel, 40, "timer_cancel"},
		{wire.TimerPrepare, 41, "timer_prepare"},
		{wire.TimerStart, 42, "timer_start"},
		{wire.TimerStop, 43, "timer_stop"},
		{wire.TimerReInit, 44, "timer_reinit"},
		{wire.TimerAcknowledgedListAdd, 45, "timer_acknowledged_list_add"},
		{wire.TimerAcknowledgedListRemove, 46, "timer_acknowledged_list_remove"},
		{wire.TimerSetSpeed, 47, "timer_set_speed"},
		{wire.TimerTick, 48, "timer_tick"},
		{wire.TimerAcknowledge, 49, "timer_acknowledge"},
		{wire.TimerStatusRequest, 50, "timer_status_request"},
		{7, 7, "7"}, // unknown
		{255, 255, "255"},
	}
	for _, tt := range tests {
		if uint8(tt.kind) != tt.number || tt.kind.String() != tt.name {
			t.Errorf("kind %d is called %q, want %d and %q", uint8(tt.kind), tt.kind, tt.number, tt.name)
		}
		if got, want := tt.kind.IsStream(), tt.number >= 1 && tt.number <= 3; got != want {
			t.Errorf("%v.IsStream() = %t, want %t", tt.kind, got, want)
		}
		if got, want := tt.kind.IsTimer(), tt.number >= 40 && tt.number <= 50; got != want {
			t.Errorf("%v.IsTimer() = %t, want %t", tt.kind, got, want)
		}
	}
}

func TestActionNames(t *testing.T) {
	for action, name := range map[wire.Action]string{0: "new", 1: "delete", 2: "change", 3: "3", -1: "-1"} {
		if got := action.String(); got != name {
			t.Errorf("action %d is called %q, want %q", int32(action), got, name)
		}
		if got, err := wire.ParseAction(name); got != action || err != nil {
			t.Errorf("%q is action %d, %v", name, int32(got), err)
		}
	}
}

func TestParseKind(t *testing.T) {
	for n := range 256 {
		kind := wire.Kind(n)
		if got, err := wire.ParseKind(kind.String()); got != kind || err != nil {
			t.Errorf("%q is kind %d, %v", kind, got, err)
		}
	}
	for _, name := range []string{"", "norml", "256", "-1", "Normal"} {
		if got, err := wire.ParseKind(name); err == nil {
			t.Errorf("%q is kind %d", name, got)
		}
	}
	for _, name := range []string{"", "create", "99999999999", "New"} {
		if got, err := wire.ParseAction(name); err == nil {
			t.Errorf("%q is action %d", name, got)
		}
	}
}
