package rawstore

import (
	"fmt"
	"sync"

	"github.com/ocellus/ocellus/hal"
)

// ClosableDisk is a disk that its user closes.
type ClosableDisk interface {
	Disk
	Close() error
}

// Slots sees to it that only the other slot is written, and by one writer.
type Slots struct {
	booted hal.Slot
	open   func(s hal.Slot, write bool) (ClosableDisk, error)

	mu   sync.Mutex       // guards open files, and orders Open, Read and Close
	held map[hal.Slot]int // -1: a writer has it; else how many readers do
}

// NewSlots serves the slots that open opens. booted may be empty: then nothing can be written.
func NewSlots(booted hal.Slot, open func(s hal.Slot, write bool) (ClosableDisk, error)) *Slots {
	return &Slots{booted: booted, open: open, held: map[hal.Slot]int{}}
}

// Booted implements hal.Slots.
func (s *Slots) Booted() hal.Slot { return s.booted }

// Other implements hal.Slots.
func (s *Slots) Other() hal.Slot {
	switch s.booted {
	case hal.SlotA:
		return hal.SlotB
	case hal.SlotB:
		return hal.SlotA
	}
	return ""
}

// Open implements hal.Slots.
func (s *Slots) Open(slot hal.Slot) (hal.SlotWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot == "" || slot != s.Other() {
		return nil, fmt.Errorf("open slot %s: booted is slot %q: %w", slot, s.booted, hal.ErrBusy)
	}
	if s.held[slot] != 0 {
		return nil, fmt.Errorf("open slot %s: %w", slot, hal.ErrBusy)
	}
	d, err := s.open(slot, true)
	if err != nil {
		return nil, err
	}
	w, err := OpenSlot(string(slot), d, func() error {
		s.let(slot, 1)
		return d.Close()
	})
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	s.held[slot] = -1
	return w, nil
}

// let counts a user of a slot up or down.
func (s *Slots) let(slot hal.Slot, change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[slot] += change
}

// Read implements hal.Slots.
func (s *Slots) Read(slot hal.Slot) (hal.SlotReader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot != hal.SlotA && slot != hal.SlotB {
		return nil, fmt.Errorf("read slot %q: %w", slot, hal.ErrUnsupported)
	}
	if s.held[slot] < 0 {
		return nil, fmt.Errorf("read slot %s: %w", slot, hal.ErrBusy)
	}
	d, err := s.open(slot, false)
	if err != nil {
		return nil, err
	}
	s.held[slot]++
	return &slotReader{ClosableDisk: d, end: sync.OnceValue(func() error {
		s.let(slot, -1)
		return d.Close()
	})}, nil
}

// slotReader is a slot to read.
type slotReader struct {
	ClosableDisk
	end func() error
}

// Close implements hal.SlotReader.
func (r *slotReader) Close() error { return r.end() }
