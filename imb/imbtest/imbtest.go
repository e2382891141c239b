// Package imbtest helps to test what speaks IMB 3: a hub on a free port, a
// proxy that injects the faults of a network, a connection that sends and
// expects frames byte by byte, recorded conversations, and two helpers that
// wait for what happens in another goroutine.
//
// Everything is bound to the test that it is given: it is closed, and its
// goroutines have ended, when the test is over, and what goes wrong fails the
// test. Nothing leaves the loopback interface. Nothing waits for longer than
// half a minute: what a test expects has happened by then, or the test fails.
//
// A client against a hub, over a line that breaks:
//
//	addr, _ := imbtest.StartHub(t, hub.Options{})
//	proxy := imbtest.NewProxy(t, addr)
//	client, err := imb.Connect(ctx, imb.Options{Address: proxy.Addr()})
//	…
//	proxy.Reset()
//	imbtest.Eventually(t, func() bool { return client.State() == imb.Connected }, "the client reconnects")
//
// A hub against exact bytes:
//
//	c := imbtest.DialRaw(t, addr)
//	c.ExpectCommand(wire.CmdUniqueClientID) // the greeting
//	c.Send(wire.AppendSubscribe(nil, wire.EventRef{ID: 7, Name: "demo.alarm"}))
//	c.ExpectCommand(wire.CmdSetEventIDTranslation)
//
// A client against a hub that the test plays itself:
//
//	l := imbtest.ListenRaw(t)
//	go …                  // a client that connects to l.Addr()
//	h := l.Accept()
//	h.Send(wire.AppendUniqueClientID(nil, wire.UniqueClientID{ID: 0x10000000, Handle: 1}))
//	h.ExpectCommand(wire.CmdSetClientInfo)
//
// What handlers are called with, collected:
//
//	var got imbtest.Collector[string]
//	event.Handle(wire.NormalEvent, func(m imb.Message) { got.Add(string(m.Data)) })
//	…
//	texts := got.Wait(t, 3)
package imbtest
