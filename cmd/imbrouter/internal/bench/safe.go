package bench

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"

	"imbrouter/imb/wire"
	"imbrouter/router/durable"
	"imbrouter/router/share"
)

// A safe ceiling is the simplest program that promises what the product does. How
// much slower than the ordinary ceiling it is, is the price of the promise, which no
// program can get around.

// queuedPieces is how many pieces of what was read may wait in a queuedRelay.
const queuedPieces = 16

// piece is the signals of one read.
type piece struct {
	data    []byte
	signals []queuedSignal
}

type queuedSignal struct {
	kind       wire.Kind
	flags      wire.Flags
	tick       int32
	start, end int // of its data in the piece
}

// queuedRelay is the safe ceiling of a router between two hubs. It goes on reading
// while the second hub takes nothing for a while, so that the first one feels nothing
// of that, and looks whether a signal goes round.
func queuedRelay(from, to *peer) error {
	queue, free := make(chan *piece, queuedPieces), make(chan *piece, queuedPieces)
	for range queuedPieces {
		free <- new(piece)
	}
	failed := make(chan error, 1)
	go func() {
		guard := roundGuard{seed: maphash.MakeSeed()}
		var out []byte
		for p := range queue {
			out = out[:0]
			for _, s := range p.signals {
				data := p.data[s.start:s.end]
				guard.count(data)
				out = wire.AppendEvent(out, wire.Event{ID: eventID, Tick: s.tick, Kind: s.kind, Flags: s.flags, Data: data})
			}
			if _, err := to.Write(out); err != nil {
				failed <- err
				return
			}
			p.data, p.signals = p.data[:0], p.signals[:0]
			free <- p
		}
	}()
	defer close(queue)
	p := <-free
	return from.each(func(frame []byte) error {
		e, err := wire.ParseEvent(frame[wire.HeaderSize : len(frame)-wire.TrailerSize])
		if err != nil {
			return err
		}
		start := len(p.data)
		p.data = append(p.data, e.Data...)
		p.signals = append(p.signals, queuedSignal{e.Kind, e.Flags, e.Tick, start, len(p.data)})
		return nil
	}, func([]byte) error {
		queue <- p
		select {
		case p = <-free:
			return nil
		case err := <-failed:
			return err
		}
	})
}

// roundGuard counts how often signals come.
type roundGuard struct {
	seed  maphash.Seed
	slots [1 << 10]struct {
		hash  uint64
		count int
	}
}

func (g *roundGuard) count(data []byte) {
	const end = 64
	hash := maphash.Bytes(g.seed, data[:min(len(data), end)]) + maphash.Bytes(g.seed, data[max(0, len(data)-end):])
	slot := &g.slots[hash%uint64(len(g.slots))]
	if slot.hash != hash {
		slot.hash, slot.count = hash, 0
	}
	slot.count++
}

const (
	// keepers is how many workers the safe ceiling of small files has: so many that
	// they share the fsyncs of what is not a file's own.
	keepers = 24
	// recordSize is about the length of a record of the journal, in bytes.
	recordSize = 300
)

// keeper is the safe ceiling of many small files, all in one process and without a
// hub. Each is read, and written anew, as land does; its name is durable, and there is
// a durable record at either end, before the one that was read is made durable and
// moved away, by way of a folder where a crash leaves it to be found.
type keeper struct {
	drop, received string
	records        [2]*os.File
	syncs          share.Group
}

// newKeeper makes the files that are to be read, beside the folder where they land.
func newKeeper(received string, count, size int) (*keeper, error) {
	base := filepath.Dir(received)
	k := &keeper{drop: filepath.Join(base, "drop"), received: received}
	if err := errors.Join(os.MkdirAll(k.staged(""), 0o755), os.MkdirAll(k.sent(""), 0o755)); err != nil {
		return nil, err
	}
	for i := range k.records {
		var err error
		k.records[i], err = os.OpenFile(filepath.Join(base, fmt.Sprint("records", i)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
	}
	for n := range count {
		if err := writeRandom(filepath.Join(k.drop, fmt.Sprint(filePrefix, n)), int64(size)); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func (k *keeper) staged(name string) string { return filepath.Join(k.drop, ".staged", name) }

func (k *keeper) sent(name string) string { return filepath.Join(k.drop, "sent", name) }

func (k *keeper) keep(n int) error {
	name := fmt.Sprint(filePrefix, n)
	source, err := os.Open(filepath.Join(k.drop, name))
	if err != nil {
		return err
	}
	defer source.Close()
	body, err := io.ReadAll(source)
	if err != nil {
		return err
	}
	if err := land(k.received, n, body); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(k.received, partialFolder, fmt.Sprint(n))); err != nil {
		return err
	}
	if err := k.syncFolder(k.received); err != nil {
		return err
	}
	for _, file := range k.records {
		if _, err := file.Write(make([]byte, recordSize)); err != nil {
			return err
		}
		if err := k.syncs.Do(file.Name(), file.Sync); err != nil {
			return err
		}
	}
	if err := source.Sync(); err != nil {
		return err
	}
	if err := os.Rename(source.Name(), k.staged(name)); err != nil {
		return err
	}
	if err := os.Rename(k.staged(name), k.sent(name)); err != nil {
		return err
	}
	return errors.Join(k.syncFolder(k.drop), k.syncFolder(k.sent("")))
}

func (k *keeper) syncFolder(path string) error {
	return k.syncs.Do(path, func() error { return durable.SyncDirPath(path) })
}
