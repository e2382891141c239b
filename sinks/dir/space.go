package dir

import (
	"sync"
	"sync/atomic"
)

// lookEvery is how many bytes are written between two looks at the free space.
const lookEvery = 16 << 20

// space keeps some of the disk free. It remembers what it saw free, but no
// shortage.
type space struct {
	folder *folder
	keep   atomic.Int64 // bytes; 0 turns it off

	mu   sync.Mutex
	left int64 // bytes that may be written before the next look
}

// take asks for room for n bytes that are written next.
func (s *space) take(n int64) error {
	if s.keep.Load() == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left < n {
		available, err := s.look(n)
		if err != nil {
			return err
		}
		s.left = min(available, n+lookEvery)
	}
	s.left -= n
	return nil
}

// room asks whether a stream of n bytes would fit, without taking the room.
func (s *space) room(n int64) error {
	if s.keep.Load() == 0 {
		return nil
	}
	_, err := s.look(n)
	return err
}

// look returns how many bytes may be written, at least n, or errMinFree.
// Incomplete files give way for them.
func (s *space) look(n int64) (int64, error) {
	keep := s.keep.Load()
	free, err := s.folder.disk.Free()
	if err != nil {
		return 0, err
	}
	if free-keep < n {
		s.folder.incomplete.giveWay(n - (free - keep))
		if free, err = s.folder.disk.Free(); err != nil {
			return 0, err
		}
	}
	if free-keep < n {
		return 0, errMinFree
	}
	return free - keep, nil
}
