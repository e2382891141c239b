// Package imb is a client of an IMB 3 hub, the publish/subscribe server of
// TNO's IMB framework. Package imb/hub is such a hub; package imb/wire has the
// protocol's data types.
//
//	client, err := imb.Connect(ctx, imb.Options{
//		Address: "localhost:4000", Federation: "my federation", OwnerID: 123, OwnerName: "my name",
//	})
//	if err != nil {
//		return err
//	}
//	defer client.Close(ctx)
//
//	event := client.Event("my event") // "my federation.my event" on the hub
//	event.Handle(wire.NormalEvent, func(m imb.Message) {
//		text, err := wire.ParseText(m.Data)
//		…
//	})
//	if err := event.Subscribe(); err != nil { … }
//	if err := event.Publish(); err != nil { … }
//	if err := event.SignalString(ctx, "hello"); err != nil { … }
//	if err := client.Flush(ctx); err != nil { … } // now the hub has it
//
// # Events
//
// An [Event] is a named channel. Who subscribes it receives what anybody sends
// on it, also what the same client sends. A hub has no memory: what was sent
// before the subscription is missed. There are signals, which are small, have
// a kind and are handled whole; and streams, which have a name and arrive in
// pieces. Names are compared without regard to case.
//
// A subscription to a name that ends in "*" is one to all events that begin so.
// [Message.Name] then tells which of them it was, if the hub tells: imb/hub
// announces each event of a wildcard before its first message. With a hub that
// does not, Name is the wildcard itself.
//
// # Connections
//
// A connection that is lost is made again, with growing pauses, and everything
// that is published and subscribed is told to the hub anew; [Options].OnState
// tells of it. Signals that are sent in the meantime wait in a bounded queue.
// Streams do not: an outgoing one fails with [ErrDisconnected], an incoming one
// ends with it, and nobody takes a part for the whole.
//
// A connection that falls silent is asked for a sign of life, and given up
// when there is none.
//
// That something was sent does not mean that the hub has it. [Client.Flush]
// tells when it has taken what was sent on the present connection, and
// [OutStream.Flush] when it has taken a stream, whatever became of the
// connection:
//
//	stream, err := event.OpenStream(ctx, "report.csv", imb.StreamOptions{})
//	if err != nil { … }
//	defer stream.Abort() // does nothing after Close
//	if _, err := stream.ReadFrom(file); err != nil { … }
//	if err := stream.Close(ctx); err != nil { … }
//	if err := stream.Flush(ctx); err != nil { … } // now the hub has it, whole
//
// # Handlers
//
// Handlers are called one after the other on a goroutine of the client, in the
// order in which things arrived. While one runs, what arrives waits in a
// bounded queue; when that is full the client stops reading, so that the hub
// feels it; and when no handler has returned for [Options].BlockTimeout, what
// waits is dropped, and [Options].OnDrop told.
//
// A program with hundreds of thousands of signals a second takes them with
// [Event.HandleBatches], and sends them with [Event.SendBatch], many in one call.
//
// # Timers
//
// A hub can keep the time of several programs in step: [Event.Timer] names a
// timer on an event, [Timer.Create] makes the hub have it, and
// [Event.HandleTicks] gets its ticks, here or in any other client that
// subscribes the event.
//
// # Conventions
//
// Variables are kept by the hub for all: [Client.SetVariable],
// [Client.SetPrefixedVariable] for those that are this client's alone, and
// [Client.WatchVariables]. Models tell in one what they do, see
// [Client.SetModelStatus] and [Client.WatchModelStatus]. Two events mean the
// same in every federation: see [Client.SignalFocus] and [Client.SignalSession].
//
// # Coming from pyimb
//
// Every function of the Python client has its counterpart:
//
//	Client(host, port, owner_id, …)     Connect(ctx, Options{…})
//	Client.disconnect()                 Client.Close
//	Client.get_event(name)              Client.Event
//	Client.get_event(n, prefix=False)   Client.FullEvent
//	Client.get_event(n, create=False)   Client.LookupEvent(Client.FullName(n))
//	Client.publish, subscribe           Client.Publish, Subscribe; with
//	                                    prefix=False: Client.FullEvent(n).Publish
//	Client.unpublish, unsubscribe       Client.Unpublish, Unsubscribe
//	Client.signal_publish, …            Event.Publish, …: a client numbers its events itself
//	Client.signal_normal_event          Event.Send, Event.Signal
//	Client.collect_incoming_data,       none: Connect starts what reads
//	found_terminator, handle_connect
//	ClientStates                        State
//	Command                             wire.Frame, and wire.Append… for each command
//	EventDefinition                     Event
//	 .publish(), .subscribe(), …        Event.Publish, Subscribe, Unpublish, Unsubscribe
//	 .add_handler(kind, handler)        Event.Handle; Event.HandleAll for every kind
//	 .handle_event(kind, payload)       none: the client calls the handlers
//	 .create_stream_callback            Event.HandleStreams
//	 .end_stream_callback               StreamReceiver.End
//	 .signal_event(kind, payload)       Event.Signal; Event.Send with flags and tick
//	 .signal_string(value)              Event.SignalString
//	 .signal_change_object(…)           Event.SignalChangeObject
//	 .signal_stream(name, stream, n)    Event.SendStream; Event.OpenStream to write it,
//	                                    and to confirm it by OutStream.Flush
//	ekNormalEvent, ekChangeObjectEvent  wire.NormalEvent, wire.ChangeObject, …
//	encode_int32, encode_uint32         wire.AppendInt32, wire.AppendUint32
//	encode_string                       wire.AppendString
//	decode_int, decode_uint             wire.Decoder: Int32, Uint32
//	decode_string(buf)                  wire.ParseText
//	decode_string(buf, start, nextpos)  wire.Decoder: String
//
// A handler of pyimb gets the decoded fields of a changeObject; here
// [imbrouter/imb/wire.ParseChangeObject] decodes Message.Data, and the other
// Parse functions of that package the data of the other kinds.
package imb
