package rawstore

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ocellus/ocellus/hal"
)

// Slot fills a slot: head invalid on the device, then the rest in any order, then a flush, then the head, a flush, and
// the head read back. The head stays in memory until Commit.
type Slot struct {
	name string
	disk Disk
	end  func() error // once, by Close

	mu        sync.Mutex // guards the fields below and orders the writes
	head      [hal.SlotHead]byte
	headBegun bool
	fault     error // what makes Commit fail: a write or a flush that did
	committed bool
	closed    bool
}

// OpenSlot makes the head of a slot invalid and returns its writer. end is called by Close.
func OpenSlot(name string, d Disk, end func() error) (*Slot, error) {
	if d.Size() < 2*hal.SlotHead {
		return nil, fmt.Errorf("open slot %s: %d bytes are no slot", name, d.Size())
	}
	s := &Slot{name: name, disk: d, end: end}
	if err := put(d, s.head[:], 0); err != nil {
		return nil, fmt.Errorf("open slot %s: %w", name, err)
	}
	return s, nil
}

// Size implements hal.SlotReader.
func (s *Slot) Size() int64 { return s.disk.Size() }

// check says what is wrong with a call.
func (s *Slot) check(op string, n int, offset int64) error {
	if s.closed {
		return fmt.Errorf("%s slot %s: %w", op, s.name, hal.ErrClosed)
	}
	if offset < 0 || offset > s.disk.Size()-int64(n) {
		return fmt.Errorf("%s slot %s: %d bytes at %d leave its %d bytes", op, s.name, n, offset, s.disk.Size())
	}
	return nil
}

// WriteAt implements hal.SlotWriter.
func (s *Slot) WriteAt(p []byte, offset int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check("write", len(p), offset); err != nil {
		return 0, err
	}
	if s.committed {
		return 0, fmt.Errorf("write slot %s: it is committed: %w", s.name, hal.ErrClosed)
	}
	n := 0
	if offset < hal.SlotHead {
		n = copy(s.head[offset:], p)
		s.headBegun = s.headBegun || n > 0
	}
	if n == len(p) {
		return n, nil
	}
	m, err := s.disk.WriteAt(p[n:], offset+int64(n))
	if err != nil {
		err = fmt.Errorf("write slot %s: %w", s.name, err)
		s.fault = err
	}
	return n + m, err
}

// ReadAt implements hal.SlotReader.
func (s *Slot) ReadAt(p []byte, offset int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var short error
	if left := s.disk.Size() - offset; offset >= 0 && left >= 0 && int64(len(p)) > left {
		p, short = p[:left], io.EOF
	}
	if err := s.check("read", len(p), offset); err != nil {
		return 0, err
	}
	n := 0
	if offset < hal.SlotHead {
		n = copy(p, s.head[offset:])
	}
	if n == len(p) {
		return n, short
	}
	if err := readFull(s.disk, p[n:], offset+int64(n)); err != nil {
		return n, fmt.Errorf("read slot %s: %w", s.name, err)
	}
	return len(p), short
}

// errNoHead: nothing was written to the first hal.SlotHead bytes.
var errNoHead = errors.New("the head was never written")

// Commit implements hal.SlotWriter.
func (s *Slot) Commit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check("commit", 0, 0); err != nil {
		return err
	}
	if s.fault == nil && !s.headBegun {
		return fmt.Errorf("commit slot %s: %w", s.name, errNoHead)
	}
	if s.fault == nil {
		s.fault = s.disk.Sync() // a second Sync after a failed one may lie
	}
	if s.fault == nil {
		s.fault = put(s.disk, s.head[:], 0)
	}
	if s.fault != nil {
		return fmt.Errorf("commit slot %s: %w", s.name, s.fault)
	}
	s.committed = true
	return nil
}

// Close implements hal.SlotReader.
func (s *Slot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.end()
}
