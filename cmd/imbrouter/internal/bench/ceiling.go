package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"imbrouter/imb/wire"
)

// Ceiling is one of the simplest programs that do the product's work. It logs
// an address when it is ready, and runs until ctx or stdin ends.
//
//	forward                  a hub: whoever subscribes gets what the others send, under an id
//	relay FROM TO [how]      subscribes at one forwarder, and sends to another, with "filter" only
//	                         alarms, with "queue" as safely as the product
//	send ADDRESS CHUNK       sends each file named on stdin as frames of so many bytes
//	receive ADDRESS FOLDER   makes files of them, fsynced and then linked to their names
//	land FOLDER COUNT SIZE   at a first line, makes as many such files itself, by 8 workers
//	keep FOLDER COUNT SIZE   likewise of files beside it, as safely as the product
//
// They know no more of the protocol than its frames, check nothing, and give up
// at the first error.
func Ceiling(ctx context.Context, stdin io.Reader, log *slog.Logger, args []string) error {
	lines := bufio.NewScanner(stdin)
	work, address, err := prepare(lines, args)
	if err != nil {
		return fmt.Errorf("bench ceiling %s: %w", strings.Join(args, " "), err)
	}
	log.Info("ready", "address", address)
	ended := make(chan error, 1)
	go func() {
		err := work()
		for err == nil && lines.Scan() {
		}
		ended <- err
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	return err
}

// prepare makes ready for a ceiling's work, which it returns.
func prepare(lines *bufio.Scanner, args []string) (work func() error, address string, err error) {
	switch {
	case len(args) == 1 && args[0] == "forward":
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, "", err
		}
		go new(forwarder).serve(listener)
		return func() error { return nil }, listener.Addr().String(), nil
	case len(args) >= 3 && args[0] == "relay":
		from, err := subscriber(args[1])
		if err != nil {
			return nil, "", err
		}
		to, err := publisher(args[2])
		if len(args) > 3 && args[3] == "queue" {
			return func() error { return queuedRelay(from, to) }, args[2], err
		}
		return func() error { return relay(from, to, len(args) > 3) }, args[2], err
	case len(args) == 3 && args[0] == "send":
		chunk, err := strconv.Atoi(args[2])
		if err != nil {
			return nil, "", err
		}
		to, err := publisher(args[1])
		return func() error { return send(to, chunk, lines) }, args[1], err
	case len(args) == 3 && args[0] == "receive":
		from, err := subscriber(args[1])
		return func() error { return receive(from, args[2]) }, args[1], err
	case len(args) == 4 && (args[0] == "land" || args[0] == "keep"):
		count, err := strconv.Atoi(args[2])
		if err != nil {
			return nil, "", err
		}
		size, err := strconv.Atoi(args[3])
		if err != nil {
			return nil, "", err
		}
		if args[0] == "keep" {
			k, err := newKeeper(args[1], count, size)
			return func() error { lines.Scan(); return inParallel(keepers, count, k.keep) }, args[1], err
		}
		body := make([]byte, size)
		return func() error {
			lines.Scan()
			return inParallel(landers, count, func(n int) error { return land(args[1], n, body) })
		}, args[1], nil
	}
	return nil, "", errors.New("there is no such ceiling")
}

// forwarder is the ceiling of a hub.
type forwarder struct {
	mu   sync.Mutex
	outs []*output
}

// output is a subscriber's socket.
type output struct {
	mu sync.Mutex
	net.Conn
}

func (f *forwarder) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_ = f.client(conn)
		}()
	}
}

// client answers what handshake says, and passes on what comes then: whole
// reads, in which only the ids are replaced.
func (f *forwarder) client(conn net.Conn) error {
	patch := func(frame []byte) error {
		switch command(frame) {
		case wire.CmdSubscribe:
			f.mu.Lock()
			f.outs = append(f.outs, &output{Conn: conn})
			f.mu.Unlock()
		case wire.CmdUniqueClientID:
			_, err := conn.Write(frame)
			return err
		case wire.CmdEvent:
			wire.PatchEventID(frame, eventID)
		}
		return nil
	}
	return newFrames(conn).each(patch, func(frames []byte) error {
		if command(frames) != wire.CmdEvent {
			return nil
		}
		f.mu.Lock()
		outs := f.outs
		f.mu.Unlock()
		for _, out := range outs {
			out.mu.Lock()
			_, err := out.Write(frames)
			out.mu.Unlock()
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// relay is the ceiling of a router between two hubs.
func relay(from, to *peer, filter bool) error {
	patch := func(frame []byte) error {
		wire.PatchEventID(frame, eventID)
		return nil
	}
	if !filter {
		return from.each(patch, func(frames []byte) error {
			_, err := to.Write(frames)
			return err
		})
	}
	var passed []byte
	return from.each(func(frame []byte) error {
		if bytes.Contains(data(frame), []byte(alarm)) {
			passed = append(passed, frame...)
			return patch(passed[len(passed)-len(frame):])
		}
		return nil
	}, func([]byte) error {
		_, err := to.Write(passed)
		passed = passed[:0]
		return err
	})
}

// send is the ceiling of a folder to send from.
func send(to *peer, chunk int, paths *bufio.Scanner) error {
	frame := wire.AppendEvent(nil, wire.Event{ID: eventID, Kind: wire.StreamBody, Data: make([]byte, chunk)})
	tail := wire.AppendEvent(nil, wire.Event{ID: eventID, Kind: wire.StreamTail})
	for paths.Scan() {
		f, err := os.Open(paths.Text())
		if err != nil {
			return err
		}
		for {
			n, err := f.Read(data(frame))
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			out := frame
			if n < chunk {
				out = wire.AppendEvent(nil, wire.Event{ID: eventID, Kind: wire.StreamBody, Data: data(frame)[:n]})
			}
			if _, err := to.Write(out); err != nil {
				return err
			}
		}
		if _, err := to.Write(tail); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return paths.Err()
}

// receive is the ceiling of a folder to collect in.
func receive(from *peer, folder string) error {
	var partial *os.File
	n := 0
	return from.each(func(frame []byte) error {
		if !isEvent(frame, wire.StreamBody) && !isEvent(frame, wire.StreamTail) {
			return nil
		}
		if partial == nil {
			var err error
			if partial, err = createPartial(folder, n); err != nil {
				return err
			}
		}
		if _, err := partial.Write(data(frame)); err != nil {
			return err
		}
		if isEvent(frame, wire.StreamBody) {
			return nil
		}
		if err := publish(partial, folder, n); err != nil {
			return err
		}
		partial = nil
		n++
		return nil
	}, nil)
}

// landers is how many workers the ceiling of small files has.
const landers = 8

// inParallel lets so many workers do something for each number below count.
func inParallel(workers, count int, do func(n int) error) error {
	errs := make(chan error, workers)
	for worker := range workers {
		go func() {
			for n := worker; n < count; n += workers {
				if err := do(n); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	var all error
	for range workers {
		all = errors.Join(all, <-errs)
	}
	return all
}

// land is the ceiling of a small file.
func land(folder string, n int, body []byte) error {
	f, err := createPartial(folder, n)
	if err != nil {
		return err
	}
	if _, err := f.Write(body); err != nil {
		return err
	}
	return publish(f, folder, n)
}

// partialFolder is where the ceilings have files that are not whole yet.
const partialFolder = ".partial"

func createPartial(folder string, n int) (*os.File, error) {
	return os.Create(filepath.Join(folder, partialFolder, strconv.Itoa(n)))
}

func publish(partial *os.File, folder string, n int) error {
	if err := partial.Sync(); err != nil {
		return err
	}
	if err := partial.Close(); err != nil {
		return err
	}
	return os.Link(partial.Name(), filepath.Join(folder, fmt.Sprint(filePrefix, n)))
}
