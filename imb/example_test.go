package imb_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"imbrouter/imb"
	"imbrouter/imb/hub"
	"imbrouter/imb/wire"
)

// The hub of these examples runs in the program itself. With a hub elsewhere,
// Options.Address takes the place of Options.Dial.

func Example() {
	h := hub.New(hub.Options{})
	defer h.Close()
	ctx := context.Background()
	client, err := imb.Connect(ctx, imb.Options{
		Dial: h.Dial, Federation: "my federation", OwnerID: 123, OwnerName: "my name",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)

	event := client.Event("my event")
	received := make(chan string)
	if _, err := event.Handle(wire.NormalEvent, func(m imb.Message) {
		text, err := wire.ParseText(m.Data)
		if err != nil {
			text = err.Error()
		}
		received <- m.Name + ": " + text
	}); err != nil {
		log.Fatal(err)
	}
	if err := event.Subscribe(); err != nil {
		log.Fatal(err)
	}
	if err := event.Publish(); err != nil {
		log.Fatal(err)
	}
	if err := event.SignalString(ctx, "hello"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-received)
	// Output: my federation.my event: hello
}

func ExampleEvent_SendStream() {
	h := hub.New(hub.Options{})
	defer h.Close()
	ctx := context.Background()
	client, err := imb.Connect(ctx, imb.Options{Dial: h.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)

	event, err := client.Publish("files")
	if err != nil {
		log.Fatal(err)
	}
	n, err := event.SendStream(ctx, "greeting.txt", strings.NewReader("hello, world\n"), imb.StreamOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("sent", n, "bytes")
	// Output: sent 13 bytes
}

// A stream that is known to have arrived at the hub.
func ExampleOutStream_Flush() {
	h := hub.New(hub.Options{})
	defer h.Close()
	ctx := context.Background()
	client, err := imb.Connect(ctx, imb.Options{Dial: h.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)

	event, err := client.Publish("files")
	if err != nil {
		log.Fatal(err)
	}
	stream, err := event.OpenStream(ctx, "greeting.txt", imb.StreamOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Abort() // does nothing after Close
	n, err := stream.ReadFrom(strings.NewReader("hello, world\n"))
	if err != nil {
		log.Fatal(err)
	}
	if err := stream.Close(ctx); err != nil {
		log.Fatal(err)
	}
	if err := stream.Flush(ctx); err != nil {
		log.Fatal(err) // unknown whether the hub has it
	}
	fmt.Println("the hub has", n, "bytes")
	// Output: the hub has 13 bytes
}

// stdout is a receiver that prints a stream.
type stdout struct{ ended chan error }

func (stdout) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
func (s stdout) End(err error)             { s.ended <- err }

func ExampleEvent_HandleStreams() {
	h := hub.New(hub.Options{})
	defer h.Close()
	ctx := context.Background()
	client, err := imb.Connect(ctx, imb.Options{Dial: h.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)

	event := client.Event("files")
	ended := make(chan error, 1)
	event.HandleStreams(func(s imb.IncomingStream) imb.StreamReceiver {
		if !strings.HasSuffix(s.StreamName, ".txt") {
			return nil // declined
		}
		fmt.Printf("receiving %q\n", s.StreamName)
		return stdout{ended}
	})
	if err := event.Subscribe(); err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"picture.png", "greeting.txt"} {
		if _, err := event.SendStream(ctx, name, strings.NewReader("hello, world\n"), imb.StreamOptions{}); err != nil {
			log.Fatal(err)
		}
	}
	if err := <-ended; err != nil {
		log.Fatal(err) // it is not whole
	}
	fmt.Println("whole")
	// Output:
	// receiving "greeting.txt"
	// hello, world
	// whole
}

// A subscription to all events that begin with "alarms.".
func ExampleEvent_Subscribe_wildcard() {
	h := hub.New(hub.Options{})
	defer h.Close()
	ctx := context.Background()
	client, err := imb.Connect(ctx, imb.Options{Dial: h.Dial, Federation: "demo"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)

	alarms := client.Event("alarms.*")
	received := make(chan string)
	alarms.HandleAll(func(m imb.Message) { received <- m.Name + " " + wire.Describe(m.Kind, m.Data) })
	if err := alarms.Subscribe(); err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"alarms.fire", "alarms.flood"} {
		event, err := client.Publish(name)
		if err != nil {
			log.Fatal(err)
		}
		if err := event.SignalChangeObject(ctx, wire.ActionNew, 7, "level"); err != nil {
			log.Fatal(err)
		}
		fmt.Println(<-received)
	}
	// Output:
	// demo.alarms.fire new object 7 "level"
	// demo.alarms.flood new object 7 "level"
}

func ExampleClient_WatchVariables() {
	h := hub.New(hub.Options{})
	defer h.Close()
	ctx := context.Background()
	client, err := imb.Connect(ctx, imb.Options{Dial: h.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)

	told := make(chan string)
	stop, err := client.WatchVariables(func(name string, value []byte) { told <- fmt.Sprintf("%s = %s", name, value) })
	if err != nil {
		log.Fatal(err)
	}
	defer stop()
	if err := client.SetVariable(ctx, "weather", []byte("rain")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-told)
	// Output: weather = rain
}

// A timer in simulation time: each tick waits until the model has acknowledged
// the one before, and the model says when it wants the next one.
func ExampleTimer() {
	h := hub.New(hub.Options{})
	defer h.Close()
	ctx := context.Background()
	client, err := imb.Connect(ctx, imb.Options{Dial: h.Dial, Federation: "demo"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)

	event := client.Event("clock")
	clock := event.Timer("simulation")
	ended := make(chan struct{})
	event.HandleTicks(func(t imb.Tick) {
		fmt.Println(t.Number, t.Time.Format(time.DateTime))
		if t.Number >= 90 {
			close(ended)
			return
		}
		if err := clock.Acknowledge(ctx, "model", 30); err != nil {
			log.Fatal(err)
		}
	})
	if err := event.Subscribe(); err != nil {
		log.Fatal(err)
	}
	err = errors.Join(
		clock.Create(ctx, imb.TimerOptions{
			Start:      time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
			Resolution: time.Minute, Simulated: true,
		}),
		clock.AddAcknowledger(ctx, "model"),
		clock.Start(ctx),
	)
	if err != nil {
		log.Fatal(err)
	}
	<-ended
	// Output:
	// 0 2030-01-01 00:00:00
	// 30 2030-01-01 00:30:00
	// 60 2030-01-01 01:00:00
	// 90 2030-01-01 01:30:00
}
