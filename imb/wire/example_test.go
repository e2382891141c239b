package wire_test

import (
	"bytes"
	"fmt"
	"log"

	"imbrouter/imb/wire"
)

// A client's first frames go into one buffer; a hub reads them.
func Example() {
	var buf []byte
	buf = wire.AppendSetClientInfo(buf, wire.SetClientInfo{OwnerID: 123, OwnerName: "my name"})
	buf = wire.AppendPublish(buf, wire.EventRef{ID: 0, Name: "demo.greetings"})
	buf = wire.AppendEvent(buf, wire.Event{ID: 0, Kind: wire.NormalEvent, Data: wire.AppendString(nil, "hello")})

	r := wire.NewReader(bytes.NewReader(buf))
	for range 3 {
		frame, err := r.Next()
		if err != nil {
			log.Fatal(err)
		}
		switch frame.Command {
		case wire.CmdPublish:
			ref, err := wire.ParseEventRef(frame.Payload)
			fmt.Printf("publish %d %q %v\n", ref.ID, ref.Name, err)
		case wire.CmdEvent:
			event, err := wire.ParseEvent(frame.Payload)
			fmt.Printf("%v event %d: %s %v\n", event.Kind, event.ID, wire.Describe(event.Kind, event.Data), err)
		default:
			fmt.Println(frame.Command)
		}
	}
	// Output:
	// setClientInfo
	// publish 0 "demo.greetings" <nil>
	// normal event 0: "hello" <nil>
}

// A frame whose payload is built in place, with no slice of its own.
func ExampleBeginEvent() {
	var buf []byte
	start := len(buf)
	buf = wire.BeginEvent(buf, 0, 0, wire.StreamBody, 0)
	buf = wire.AppendInt32(buf, 42) // the stream's id
	buf = append(buf, "the body"...)
	buf = wire.EndFrame(buf, start)
	fmt.Printf("%q\n", buf)
	// Output:
	// "/Gaq\x95\xad\xc5\xfb\xf1\xff\xff\xff\x18\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00*\x00\x00\x00the bodyg4\xf1\x10"
}
